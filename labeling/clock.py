"""Moments by the database's clock: machines that share a database need not agree on the time."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import DateTimeField, Expression, ExpressionWrapper, Value
from django.db.models.functions import Now


def from_now(span: timedelta) -> Expression:
    """The moment `span` from now, as the database sees it; for updates and filters."""
    return ExpressionWrapper(Now() + Value(span), output_field=DateTimeField())
