"""Whole numbers for templates."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def grouped(value: int) -> str:
    """250000 → '250,000', as English and Chinese tables have it."""
    return f"{value:,}"
