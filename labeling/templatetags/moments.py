"""Moments and days for templates, as each language writes them.

A page's script shows a moment by its reader's own clock; without scripts it carries its zone.
"""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """A `<time>` with date, time and zone; may stand inside a translated sentence. None: empty."""
    if value is None:
        return ""
    here = timezone.localtime(value)
    return format_html(
        '<time datetime="{}">{} {}</time>',
        value.isoformat(timespec="seconds"),
        date_format(here, "DATETIME_FORMAT"),
        here.tzname(),
    )


@register.filter
def day(value: datetime | None) -> SafeString | str:
    """A `<time>` of which only the date is shown. None: empty."""
    if value is None:
        return ""
    return format_html(
        '<time datetime="{}" data-day>{}</time>',
        value.isoformat(timespec="seconds"),
        date_format(timezone.localtime(value), "DATE_FORMAT"),
    )
