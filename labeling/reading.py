"""Who reads what: the languages of a person, and the slots that fit them.

Two codes fit where their primary subtags are the same: who reads "zh" reads "zh-Hans" and "zh-TW".
"""

from __future__ import annotations

import re

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.languages import LanguageError, checked_language
from labeling.refusals import Refusal

MOST = 20
"""Languages of one person."""


class LanguagesRefused(Refusal):
    """Not a list of codes."""

    code = "languages_refused"
    status = 400
    sentence = _("“%(code)s”: %(problem)s")


def primary(code: str) -> str:
    """The subtag that decides: "zh" of "zh-Hans"; empty stays empty."""
    return code.strip().partition("-")[0].casefold()


def checked_languages(text: str) -> str:
    """What a person typed, as it is stored: each code once, in one spelling, spaces between.

    Commas and semicolons separate codes too. Raises LanguagesRefused.
    """
    found = []
    for code in re.split(r"[\s,;]+", text.strip()):
        try:
            found += [checked_language(code)] if code else []
        except LanguageError as unknown:
            raise LanguagesRefused(code=code[:40], problem=str(unknown)) from unknown
    if len(found) > MOST:
        raise LanguagesRefused(_("Name at most %(most)s languages."), most=MOST)
    return " ".join(dict.fromkeys(found))


def readable(languages: str) -> Q:
    """Slots that somebody who reads `languages` may be given: of these, or of no language."""
    codes = [primary(code) for code in languages.split()]
    return Q(language__in=["", *codes]) if codes else Q()
