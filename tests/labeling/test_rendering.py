"""Texts as Markdown and as written: harmless, whatever is in them."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.rendering import ATTRIBUTES, LONGEST, TAGS, shown, written

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:x)",
    "![a](javascript:alert(1))",
    '[a](http://e.org/" onclick="alert(1))',
    '[a](<http://e.org/" onmouseover="x>)',
    "`<script>`",
    "```html\n<script>alert(1)</script>\n```",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "$<script>alert(1)</script>$",
    "$$\\text{<img src=x onerror=alert(1)>}$$",
    "\\(\\href{javascript:alert(1)}{x}\\)",
    "<svg onload=alert(1)>",
    '<math><mi//xlink:href="data:x,<script>alert(4)</script>">',
    "| <b onclick=x> | b |\n|-|-|\n| <i> | 2 |",
    "<!-- --><style>*{display:none}</style>",
    "&lt;script&gt; &#60;script&#62;",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "# <iframe src=//e.org>",
    r'$\tag*{<span class="toast">out <a href="https://e.org">Sign in</a></span>}$',
    r'$\text{<span class="toast">out</span>}$',
    r"$\class{toast}{x}$",
    r"$\href{https://e.org}{x}$",
    r"$\style{position:fixed}{x}$",
]


class Seen(HTMLParser):
    """The tags and attributes of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def harmless(html: str) -> None:
    seen = Seen(html)
    assert seen.tags <= TAGS
    for tag, name, value in seen.attributes:
        assert name in ATTRIBUTES["*"] | ATTRIBUTES.get(tag, set()) | {"rel"}
        if name == "href":
            assert value.startswith(("http://", "https://"))
        if name == "class":
            assert value not in {"toast", "notice", "button"}


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_is_text(text):
    both = shown(text)
    harmless(both.rendered)
    if both.as_written is not None:
        assert Seen(both.as_written).tags == set()


@given(st.text(alphabet=st.sampled_from("<>&\"'`*_[]()!#|$\\-=\n\t :/x1{}^"), max_size=80))
def test_so_is_any_mixture_of_signs(text):
    harmless(shown(text).rendered)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**a** and `b`", '<p dir="auto"><strong>a</strong> and <code>b</code></p>\n'),
        ("# One", '<p class="heading heading-1" dir="auto">One</p>\n'),
        ("*a*\nb", '<p dir="auto"><em>a</em><br>b</p>\n'),
        ("~~a~~", '<p dir="auto"><s>a</s></p>\n'),
        ("```\na < b\n```", '<pre dir="ltr"><code>a &lt; b\n</code></pre>\n'),
    ],
)
def test_markdown_is_rendered(text, html):
    both = shown(text)
    assert both.rendered == html
    assert both.as_written == written(text)


def test_code_is_highlighted_by_class_and_only_in_known_languages():
    assert '<span class="k">def</span>' in shown("```python\ndef f(): pass\n```").rendered
    assert "<span" not in shown("```nosuch\ndef f(): pass\n```").rendered


def test_tables_and_math_are_rendered():
    assert "<th" in shown("| a | b |\n|---|---|\n| 1 | 2 |").rendered
    for text in (r"so $x^2$ is", r"so \(x^2\) is", r"$$x^2$$", r"\[x^2\]"):
        assert "<msup>" in shown(text).rendered, text


def test_prices_are_no_formulas_and_broken_formulas_stay_as_written():
    assert shown("It costs $5 and $10.").as_written is None
    assert "\\frac{" in shown(r"so $\frac{$ is").rendered


def test_images_are_named_and_never_loaded():
    html = shown("![a cat](https://e.org/cat.png)").rendered
    assert "image: a cat" in html
    assert "<img" not in html


def test_a_link_tells_where_it_leads_and_hands_nothing_over():
    html = shown("[here](https://e.org/a)").rendered
    assert 'title="https://e.org/a"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


@pytest.mark.parametrize(
    "text",
    [
        "\\[ x^2 = 4 \\] so x = 2 or x = -2.",
        "\\[ E = mc^2 \\] (Einstein, 1905)",
        "$$ x $$ (wrong!)",
        "a \\( b \\) c \\[ d \\]",
        "> \\[ x \\] tail",
        "- $y$ item\n- \\(z\\) more",
        "# Head $x$ tail",
        "| one $x$ | two |\n|---|---|\n| three | four |",
    ],
)
def test_no_word_is_missing_from_the_rendered_form(text):
    html = re.sub(r"<[^>]*>", " ", shown(text).rendered)
    words = re.findall(r"[A-Za-z0-9]{2,}", text)
    assert all(word in html for word in words), html


@pytest.mark.parametrize(
    "space",
    [r"\hspace{40em}", r"\hspace{-40em}", r"\kern-90em", r"\mspace{9999mu}", r"\rule{9cm}{9em}"],
)
def test_a_formula_draws_nothing_over_what_others_wrote(space):
    made = shown(rf"$a{space}\text{{worse}}$").rendered
    assert "<mspace></mspace>" in made
    assert "worse" in made


def test_the_spaces_of_usual_formulas_stay():
    made = shown(r"$a\quad b\qquad c\!d \Big( x \hspace{3em} y$").rendered
    for length in ("1em", "2em", "negativethinmathspace", "1.623em", "3em"):
        assert f'"{length}"' in made


@pytest.mark.parametrize("letter", ["\U000e0101", "\u3164", "\u180e", "\u034f", "\uffa0"])
def test_letters_that_are_drawn_as_nothing_are_named(letter):
    made = shown(f"good{letter}answer").rendered
    assert f"U+{ord(letter):04X}" in made
    assert 'class="hidden-character"' in made


def test_a_variant_of_an_ideograph_is_no_hidden_letter():
    assert "hidden-character" not in shown("\u845b\U000e0100\u98fe\u533a").rendered
    twice = shown("\u845b\U000e0100\U000e0101").rendered
    assert twice.count("hidden-character") == 1


def test_a_formula_may_compare(text=r"so $a < b$ and $c>d$ hold"):
    assert shown(text).rendered.count("<math") == 2


@pytest.mark.parametrize("text", ["", "Plain words.", "two\nlines", "two\n\nparagraphs"])
def test_plain_text_has_one_form(text):
    assert shown(text).as_written is None
    assert shown(text).rendered == text


def test_hidden_characters_are_shown_in_both_forms():
    both = shown("**safe** \u202egnp.exe")
    assert "U+202E" in both.rendered
    assert "U+202E" in both.as_written


def test_right_to_left_blocks_say_their_own_direction():
    assert shown("- שלום\n- hello").rendered.count('<li dir="auto">') == 2


def test_a_huge_text_is_shown_as_written():
    assert shown("**a** " * LONGEST).as_written is None


MACROS = "".join(
    rf"\newcommand{{\q{one}}}{{{{\q{other}}}{{\q{other}}}}}"
    for one, other in pairwise("abcdefghijklmnopqrst")
)
SLOW = [
    *("[", "> ", "a**b", "`", "[a](b", "$a", "\\(", "\\[", "| a", "- ", "$$"),
    f"${MACROS}\\qa$",
    "$\\text{<b" * 10 + "$",
    "$" + "{" * 900 + "x" + "}" * 900 + "$ ",
    "$" + "\\frac" * 300 + "$ ",
    "\\(x\\) ",
    "\\[\n",
    "```html\n<a\n",
]


@pytest.mark.parametrize("part", SLOW)
def test_no_text_takes_long(part):
    text = part * (LONGEST // len(part))
    started = time.process_time()
    shown(text)
    assert time.process_time() - started < 3
