"""Texts of people in tables that a spreadsheet opens."""

from __future__ import annotations

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet take a cell for a formula; full-width signs count in some."""


def plain_cell(text: str) -> str:
    """`text` so that no spreadsheet runs it: behind an apostrophe where it could be a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULAS) else text
