"""Codes of human languages: checked when they come in, named for people.

A code is one of BCP 47: a language, perhaps a script and a region, "en", "zh-Hans", "pt-BR".
"""

from __future__ import annotations

import re

from django.conf.locale import LANG_INFO
from django.db.models import Q
from django.utils.translation import gettext as _

KNOWN = frozenset(
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da "
    "de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy "
    "hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg "
    "li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or "
    "os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta "
    "te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu "
    "ast bho ceb ckb dsb fil haw hmn hsb kab mai nan sco szl war wuu yue".split()
)
"""ISO 639-1, and those of three letters in which much is written."""
LONGEST = 12
SHAPE = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|\d{3}))?", re.IGNORECASE)
OFFERED = (
    "ar bn cs da de el en es fa fi fr he hi hu id it ja ko ms nl no pl pt pt-br ro ru sv sw ta te "
    "th tr uk ur vi zh-hans zh-hant".split()
)
"""What forms list; any other code may come by a file or over REST."""


class LanguageError(ValueError):
    """No code of a language; the message says what would be right."""


def checked_language(value: str) -> str:
    """The code in its one spelling ("ZH_hans" is "zh-Hans"). Raises LanguageError."""
    found = SHAPE.fullmatch(value.strip())
    if found is None or found[1].lower() not in KNOWN:
        raise LanguageError(_suggestion(value))
    language, script, region = found[1].lower(), found[2], found[3]
    parts = [language, script and script.title(), region and region.upper()]
    return "-".join(part for part in parts if part)


def _suggestion(value: str) -> str:
    """What to write in the place of `value`."""
    meant = value.strip().casefold()
    for code, names in LANG_INFO.items():
        if meant and meant in {names.get("name", "").casefold(), _own_name(names).casefold()}:
            right = checked_language(code)
            return _("write the code of the language, here “%(code)s”") % {"code": right}
    return _("is no code of a language; write one such as “en”, “de” or “zh-Hans”")


def _own_name(names: dict[str, str]) -> str:
    return names.get("name_local", "")


def own_name(code: str) -> str:
    """What a language calls itself; its code where that is not known."""
    names = LANG_INFO.get(code.lower()) or LANG_INFO.get(code.partition("-")[0].lower(), {})
    return _own_name(names) or code


def choices() -> list[tuple[str, str]]:
    """Codes with the language's own name, for a form."""
    return [
        (checked_language(code), _own_name(LANG_INFO.get(code, {})) or code) for code in OFFERED
    ]


def readable_by(languages: str) -> Q:
    """Prompts for somebody who reads `languages` (codes with spaces between; empty: any).

    A prompt without a language is for everybody, and "zh" reads "zh-Hans" as well.
    """
    codes = languages.split()
    if not codes:
        return Q()
    wanted = Q(language="") | Q(language__in=codes)
    for code in codes:
        wanted |= Q(language__startswith=f"{code}-")
    return wanted
