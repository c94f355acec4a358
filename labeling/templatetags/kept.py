"""Parts of a page that come out the same again and again: rendered once, then kept.

    {% kept id=completion.pk letter=letter rank=rank %} … {% endkept %}

What is between sees these values and nothing else of the page, so that one that was forgotten
shows at once. Kept in each process by language and values, but for `id`: it is put into each
answer anew. Values are small and our own (letters, ranks, flags), never what somebody wrote.
"""

from __future__ import annotations

from threading import Lock

from cachetools import LRUCache
from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Token, token_kwargs
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

register = Library()

MOST = 512
"""Of one part: nine letters, nine ranks, some flags, two languages."""
ID = "\ue000"
"""Stands in for an id: a character that no page of ours has."""


class KeptNode(Node):
    """A part, and what came out of it so far."""

    def __init__(self, nodelist: NodeList, values: dict[str, FilterExpression]) -> None:
        """values: what the part sees, by name."""
        self.nodelist, self.values = nodelist, values
        self.kept: LRUCache[tuple[object, ...], str] = LRUCache(MOST)
        self.lock = Lock()

    def render(self, context: Context) -> SafeString:
        """The part with these values, and with its id."""
        values = {name: value.resolve(context) for name, value in self.values.items()}
        pk = values.pop("id", None)
        key = (get_language(), *values.values())
        with self.lock:
            text = self.kept.get(key)
        if text is None:
            text = self.nodelist.render(context.new({**values, "id": ID}))
            with self.lock:
                self.kept[key] = text
        return mark_safe(text.replace(ID, f"{pk:d}") if pk is not None else text)  # noqa: S308  # as rendered


@register.tag
def kept(parser: Parser, token: Token) -> KeptNode:
    """See the module."""
    bits = token.split_contents()[1:]
    values = token_kwargs(bits, parser)
    if bits:
        raise TemplateSyntaxError("“kept” takes name=value pairs")
    nodelist = parser.parse(("endkept",))
    parser.delete_first_token()
    return KeptNode(nodelist, values)
