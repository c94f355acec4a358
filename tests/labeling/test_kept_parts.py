"""Parts of a page that are rendered once and then kept."""

from __future__ import annotations

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.utils import translation


class Counted:
    """A value that knows how often it was written."""

    def __init__(self) -> None:
        self.times = 0

    def __str__(self) -> str:
        self.times += 1
        return "<counted>"


def test_it_is_rendered_once_for_the_same_values():
    part = Template("{% load kept %}{% kept what=what %}{{ what }}{% endkept %}")
    one, other = Counted(), Counted()
    texts = [part.render(Context({"what": what})) for what in (one, one, other, one)]
    assert texts == ["&lt;counted&gt;"] * 4
    assert (one.times, other.times) == (1, 1)


def test_it_sees_its_values_and_nothing_else():
    part = Template("{% load kept %}{% kept a=a|upper %}{{ a }}{{ b }}{% endkept %}{{ b }}")
    assert part.render(Context({"a": "x", "b": "y"})) == "Xy"


def test_the_id_is_put_in_anew():
    part = Template(
        '{% load kept %}{% kept id=pk a=a %}<i id="{{ id }}" class="{{ a }}">{% endkept %}'
    )
    seen = [part.render(Context({"pk": pk, "a": "x"})) for pk in (7, 12345)]
    assert seen == ['<i id="7" class="x">', '<i id="12345" class="x">']


def test_an_id_is_a_number():
    part = Template("{% load kept %}{% kept id=pk %}{{ id }}{% endkept %}")
    with pytest.raises(ValueError, match="format code"):
        part.render(Context({"pk": "<script>"}))


def test_each_language_has_its_own():
    part = Template('{% load i18n kept %}{% kept a=a %}{% translate "Rank" %}{% endkept %}')
    english = part.render(Context({"a": 1}))
    with translation.override("zh-hans"):
        chinese = part.render(Context({"a": 1}))
    assert (english, part.render(Context({"a": 1}))) == ("Rank", "Rank")
    assert chinese != english


def test_words_without_a_name_are_refused():
    with pytest.raises(TemplateSyntaxError):
        Template("{% load kept %}{% kept a=1 what %}{% endkept %}")
