"""Codes of languages have one spelling; what is none is told with what would be right."""

from __future__ import annotations

import pytest

from labeling.languages import LanguageError, checked_language, choices, own_name, readable_by
from labeling.models import Prompt
from tests.factories import make_project, make_prompt


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("en", "en"),
        ("DE", "de"),
        ("zh_hans", "zh-Hans"),
        ("ZH-HANS-cn", "zh-Hans-CN"),
        ("pt-br", "pt-BR"),
        ("es-419", "es-419"),
        (" yue ", "yue"),
    ],
)
def test_a_code_has_one_spelling(given, code):
    assert checked_language(given) == code


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("english", "“en”"),
        ("Deutsch", "“de”"),
        ("simplified chinese", "“zh-Hans”"),
        ("xx", "such as"),
        ("e", "such as"),
        ("en-", "such as"),
        ("en-US-x-long", "such as"),
        ("", "such as"),
    ],
)
def test_what_is_none_is_told_with_what_would_be_right(given, says):
    with pytest.raises(LanguageError, match=says):
        checked_language(given)


def test_the_forms_list_holds_codes_that_are_taken():
    assert all(checked_language(code) == code and name != code for code, name in choices())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("reads", "found"),
    [("", {"", "de", "zh-Hans"}), ("en", {""}), ("de", {"", "de"}), ("en zh", {"", "zh-Hans"})],
)
def test_prompts_are_for_those_who_read_them(reads, found):
    project = make_project()
    for code in ("", "de", "zh-Hans"):
        make_prompt(project, language=code)
    read = Prompt.objects.filter(readable_by(reads)).values_list("language", flat=True)
    assert set(read) == found


@pytest.mark.parametrize(
    ("code", "name"),
    [("de", "Deutsch"), ("pt-BR", "Português Brasileiro"), ("de-CH", "Deutsch"), ("wuu", "wuu")],
)
def test_a_language_is_called_what_it_calls_itself(code, name):
    assert own_name(code) == name
