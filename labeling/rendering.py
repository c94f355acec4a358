"""How a text that a model or a stranger wrote is shown: as written, or as the Markdown it is.

As written: letters, line ends and tabs stay. Characters that nobody sees, or that turn the order
of the letters around them, are shown by name instead: they could make a text read otherwise than it
is stored. Rendered: Markdown with tables, code with highlighting, math as MathML, each block in its
own direction. HTML in a text is text; images are never loaded. Every text is hostile: what comes
out is escaped piece by piece, then passed through an allow-list once more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import nh3
from cachetools import LRUCache, cached
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath.index import RuleDictType, make_block_func, make_inline_func
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LONGEST = 20_000
"""Characters; longer texts are shown as written."""
LONGEST_FORMULA = 2_000
LANGUAGES = frozenset(
    "bash c clojure console cpp csharp css dart diff docker elixir go haskell html ini java "
    "javascript js json jsx julia kotlin latex lua make matlab nginx objective-c "
    "ocaml perl php powershell py python r ruby rust scala scss sh shell sql swift tex toml "
    "ts tsx typescript vim xml yaml yml".split()
)
"""Code of other languages is shown plain: not every lexer is safe with hostile text."""
CACHED = 8_000_000
"""Characters of HTML kept in each web process."""

HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but tab and line feed
    "\u200b\u2060-\u2064\ufeff"  # characters of no width (joiners shape letters: they stay)
    "\u202a-\u202e\u2066-\u206f"  # embeddings, overrides and isolates of direction
    "\u2028\u2029\ufff9-\ufffb"
    "\ud800-\udfff"  # halves of characters
    "\u034f\u115f\u1160\u180e\u3164\uffa0"  # fillers that are drawn as nothing
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags: a hidden alphabet
    "]"
    # Another one: selectors of variants, where they stand behind no ideograph, as in a name.
    "|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)
NO_FORMULA = re.compile(
    HIDDEN.pattern + r"|\\(?:re|provide)?newcommand|\\[egx]?def\b|\\let\b|environment"
    r"|\\DeclareMathOperator|\\(?:html)?(?:class|style|href|url|tag|label|id|data)\b"
)
"""What no formula needs: macros, which can grow without end, and what would be attributes."""
NAMES = {"\x00": "NUL", "\x07": "BEL", "\x08": "BS", "\r": "CR", "\x1b": "ESC", "\x7f": "DEL"}


@dataclass(frozen=True)
class Shown:
    """A text as HTML. `as_written` is None where the rendered form is no other."""

    rendered: SafeString
    as_written: SafeString | None = None


def written(text: str) -> SafeString:
    """`text` as HTML, as it was written: escaped, with every hidden character shown."""
    text = text.replace("\r\n", "\n")
    pieces: list[str] = []
    at = 0
    for match in HIDDEN.finditer(text):
        pieces += [conditional_escape(text[at : match.start()]), _mark(match)]
        at = match.end()
    pieces.append(conditional_escape(text[at:]))
    return mark_safe("".join(pieces))  # noqa: S308  # every piece is escaped above


def _mark(match: re.Match[str]) -> SafeString:
    """A hidden character as a small label with its full name."""
    character = match[0]
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "") or _("control character %(code)s") % {"code": code}
    return format_html(
        '<span class="hidden-character" title="{}">{}</span>', name, NAMES.get(character, code)
    )


def shown(text: str) -> Shown:
    """`text` in both forms; rendered once a process and language, and then kept."""
    return _shown(text, get_language())


@cached(
    LRUCache(CACHED, getsizeof=lambda kept: 2 * len(kept.rendered) + 500),
    lock=Lock(),
)
def _shown(text: str, _language: str | None) -> Shown:
    """The language is that of the names of hidden characters."""
    text = text.replace("\r\n", "\n")
    plain = written(text)
    if len(text) > LONGEST:
        return Shown(plain)
    parser = _parser()
    tokens = parser.parse(text)
    if _is_plain(tokens, text):
        return Shown(plain)
    html = nh3.clean(
        parser.renderer.render(tokens, parser.options, {}),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer nofollow",
    )
    return Shown(mark_safe(html), plain)  # noqa: S308  # escaped by `_Renderer`, cleaned by nh3


def _is_plain(tokens: Sequence[Token], text: str) -> bool:
    """Whether the parser found nothing in `text` but paragraphs, said letter by letter."""
    if {token.type for token in tokens} - {"paragraph_open", "inline", "paragraph_close"}:
        return False
    paragraphs = [token.children or [] for token in tokens if token.type == "inline"]
    if any(word.type not in {"text", "softbreak"} for words in paragraphs for word in words):
        return False
    said = ["".join(word.content or "\n" for word in words) for words in paragraphs]
    return "\n\n".join(said) == text.rstrip("\n")


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    """CommonMark with tables, strikethrough and math between $, $$, \\( \\) and \\[ \\]."""
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.use(
        dollarmath_plugin,
        allow_labels=False,
        allow_space=False,
        allow_digits=False,
        double_inline=True,
    )
    parser.inline.ruler.before("escape", "math_brackets", make_inline_func(BRACKETS))
    parser.block.ruler.before("fence", "math_square_brackets", make_block_func(SQUARE_BRACKETS))
    for kind in ("math_inline", "math_inline_double"):  # the plug-in brings rules of its own
        parser.add_render_rule(kind, _Renderer.formula)
    parser.add_render_rule("math_block", _Renderer.formula_block)
    return parser


BRACKETS: RuleDictType = {
    "name": "math_inline",
    "rex": re.compile(r"\\\((.{1,%d}?)\\\)" % LONGEST_FORMULA, re.DOTALL),  # noqa: UP031  # braces
    "tmpl": "",
    "tag": "\\(",
}
SQUARE_BRACKETS: RuleDictType = {
    "name": "math_block",
    "rex": re.compile(r"\\\[(.{1,%d}?)\\\][ \t]*(?=\n|\Z)" % LONGEST_FORMULA, re.DOTALL),  # noqa: UP031
    "tmpl": "",
    "tag": "\\[",
}
"""Only at the end of a line: the parser would drop what follows on it."""


class _Renderer(RendererHTML):
    """Blocks in their own direction, headings that don't outrank the page's, nothing loaded."""

    def renderToken(  # noqa: N802  # the base class's name
        self, tokens: Sequence[Token], idx: int, *_rest: object
    ) -> str:
        """Any tag without a rule of its own; a block has the direction of its text."""
        token = tokens[idx]
        if token.hidden:
            return ""
        tag = token.tag
        if token.type.startswith("heading"):
            level = token.tag[1]
            return (
                "</p>\n" if token.nesting < 0 else f'<p class="heading heading-{level}" dir="auto">'
            )
        if token.nesting < 0:
            return f"</{tag}>" + ("\n" if token.block else "")
        start = f' start="{int(token.attrs["start"])}"' if "start" in token.attrs else ""
        return f'<{tag} dir="auto"{start}>' if token.block else f"<{tag}>"

    def text(self, tokens: Sequence[Token], idx: int, *_rest: object) -> str:
        """Words."""
        return written(tokens[idx].content)

    def softbreak(self, *_rest: object) -> str:
        """A line end that the writer typed stays one."""
        return "<br>"

    def hardbreak(self, *_rest: object) -> str:
        """So does one marked by spaces or a backslash."""
        return "<br>"

    def code_inline(self, tokens: Sequence[Token], idx: int, *_rest: object) -> str:
        """Code within a line."""
        return f"<code>{written(tokens[idx].content)}</code>"

    def code_block(self, tokens: Sequence[Token], idx: int, *_rest: object) -> str:
        """Indented code."""
        return f'<pre dir="ltr"><code>{written(tokens[idx].content)}</code></pre>\n'

    def fence(self, tokens: Sequence[Token], idx: int, *_rest: object) -> str:
        """Fenced code, highlighted where its language is one of LANGUAGES."""
        code = tokens[idx].content
        name = tokens[idx].info.split(maxsplit=1)[0].lower() if tokens[idx].info.strip() else ""
        shown_as = written(code) if HIDDEN.search(code) else _highlighted(code, name)
        return f'<pre dir="ltr"><code>{shown_as}</code></pre>\n'

    def image(self, tokens: Sequence[Token], idx: int, *_rest: object) -> str:
        """What the image is said to show, and where it lies: it is not loaded."""
        source = str(tokens[idx].attrs.get("src", ""))
        label = _("image: %(text)s") % {"text": tokens[idx].content or source}
        return f'<span class="image-place" title="{written(source)}">{written(label)}</span>'

    def link_open(self, tokens: Sequence[Token], idx: int, *_rest: object) -> str:
        """A link that tells where it leads."""
        target = written(str(tokens[idx].attrs.get("href", "")))
        return f'<a href="{target}" title="{target}" target="_blank">'

    def formula(self, tokens: Sequence[Token], idx: int, *_rest: object) -> str:
        """Math within a line."""
        return _mathml(tokens[idx].content, display="inline")

    def formula_block(self, tokens: Sequence[Token], idx: int, *_rest: object) -> str:
        """Math on lines of its own."""
        return f'<p class="formula">{_mathml(tokens[idx].content, display="block")}</p>\n'


def _highlighted(code: str, language: str) -> str:
    """HTML with Pygments' short classes."""
    if language not in LANGUAGES:
        return written(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return written(code)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))


def _mathml(source: str, *, display: str) -> str:
    """MathML, or the formula as written where it is not one."""
    source = source.strip()
    as_written = f'<code class="formula-source">{written(source)}</code>'
    if not source or len(source) > LONGEST_FORMULA or NO_FORMULA.search(source):
        return as_written
    try:
        made = convert(source, display=display)
    except Exception:  # noqa: BLE001  # no formula, or one that the library trips over
        return as_written
    if NOT_MATH.search(made):  # the library lets a text's HTML through
        return as_written
    return nh3.clean(made, tags=MATH, attributes=MATH_ATTRIBUTES, attribute_filter=_modest)


def _modest(_tag: str, attribute: str, value: str) -> str | None:
    """A length that stays where it stands: longer ones would draw over what others wrote."""
    if attribute not in MATH_LENGTHS:
        return value
    for length in value.split():
        match = LENGTH.fullmatch(length)
        if match and not -1 <= float(match[1]) / UNITS_IN_EM[match[2]] <= LONGEST_LENGTH:
            return None
        if not match and not length.isalpha():  # what has a name is as long as a letter at most
            return None
    return value


MATH = frozenset(
    "math mfrac mi mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub msubsup "
    "msup mtable mtd mtext mtr munder munderover menclose mmultiscripts mprescripts none".split()
)
NOT_MATH = re.compile(rf"<(?!/?(?:{'|'.join(MATH)})[\s/>])")
TAGS = MATH | set(
    "a blockquote br code em hr li ol p pre s span strong table tbody td th thead tr ul".split()
)
MATH_ATTRIBUTES = {
    "math": {"display", "xmlns"},
    "mo": {"stretchy", "fence", "form", "separator", "lspace", "rspace", "minsize", "maxsize"},
    "mi": {"mathvariant"},
    "mtext": {"mathvariant"},
    "mover": {"accent"},
    "mtable": {"columnalign", "rowspacing", "columnspacing"},
    "mtd": {"columnalign"},
    "mspace": {"width"},
    "mfrac": {"linethickness"},
}
MATH_LENGTHS = {"columnspacing", "linethickness", "lspace", "maxsize", "minsize", "rowspacing"}
MATH_LENGTHS |= {"rspace", "width"}
LENGTH = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(|em|ex|mu|px|pt|mm|cm|in)", re.ASCII)
UNITS_IN_EM = {"": 1, "em": 1, "ex": 2, "mu": 18, "px": 16, "pt": 12, "mm": 4.2, "cm": 0.42}
UNITS_IN_EM |= {"in": 0.17}
LONGEST_LENGTH = 4.0
"""In em: two of LaTeX's \\qquad. At most one em goes backwards."""
ATTRIBUTES = {
    "*": {"class", "dir"},
    "a": {"href", "title", "target"},
    "ol": {"start"},
    "span": {"title"},
    **MATH_ATTRIBUTES,
}
