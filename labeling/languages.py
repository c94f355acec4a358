"""Languages by their codes: what a person reads, and what a prompt is in.

Two codes fit where their primary subtags are the same: who reads "zh" reads "zh-Hans" and "zh-TW".
Knows no list of languages: a code is right in form or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import User
from labeling.refusals import Refusal

CODE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,8})*", re.IGNORECASE)
"""The form of BCP 47."""
LONGEST = 12
"""Characters of a prompt's code."""
MOST = 20
"""Codes of one person."""


class LanguagesRefused(Refusal):
    """Not a list of codes."""

    code = "languages_refused"
    status = 400
    sentence = _(
        "“%(code)s” is not the code of a language: write two or three letters, for example “en”, "
        "“zh” or “pt-BR”."
    )


def primary(code: str) -> str:
    """The subtag that decides: "zh" of "zh-Hans"; empty stays empty."""
    return code.strip().partition("-")[0].casefold()


def is_code(text: str) -> bool:
    """Whether `text` has the form of a code, and is short enough to be stored with a prompt."""
    return len(text) <= LONGEST and CODE.fullmatch(text) is not None


def checked_languages(text: str) -> str:
    """What a person typed, as it is stored: each code once, in one spelling, spaces between.

    Commas and semicolons separate codes too. Raises LanguagesRefused.
    """
    codes = [code.replace("_", "-") for code in re.split(r"[\s,;]+", text) if code]
    for code in codes:
        if not is_code(code):
            raise LanguagesRefused(code=code[:40])
    if len(codes) > MOST:
        raise LanguagesRefused(_("At most %(most)s languages."), most=MOST)
    return " ".join(dict.fromkeys(map(_spelled, codes)))


def _spelled(code: str) -> str:
    """As BCP 47 recommends: en, pt-BR, zh-Hans."""
    first, *others = code.split("-")
    styled = {2: str.upper, 4: str.title}
    return "-".join([first.lower(), *(styled.get(len(one), str.lower)(one) for one in others)])


def set_languages(*, user: User, languages: str) -> None:
    """What `user` reads from now on; empty: anything. Raises LanguagesRefused."""
    user.languages = checked_languages(languages)
    user.save(update_fields=["languages"])


def readable(languages: str) -> Q:
    """Slots that somebody who reads `languages` may be given: of these, or of no language."""
    codes = primaries(languages.split())
    return Q(language__in=["", *codes]) if codes else Q()


def primaries(codes: Iterable[str]) -> list[str]:
    """The primary subtags of some codes, each once."""
    return list(dict.fromkeys(primary(code) for code in codes if code.strip()))
