"""The two forms of a text that a model or a stranger wrote, and its language, for templates."""

from __future__ import annotations

from django import template
from django.template.defaultfilters import stringfilter
from django.utils.safestring import SafeString

from labeling import languages, rendering

register = template.Library()


@register.filter
@stringfilter
def visible_text(text: str) -> SafeString:
    """`text` as it was written, with every hidden character shown."""
    return rendering.written(text)


@register.filter
def both_forms(text: str) -> rendering.Shown:
    """`text` rendered and as written; see `labeling/_text.html`."""
    return rendering.shown(text)


@register.filter
def language_name(code: str) -> str:
    """What the language of that code calls itself."""
    return languages.own_name(code)
