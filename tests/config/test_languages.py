"""Pages speak the language that a person chose, else the one that the browser asks for."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from config.messages import LANGUAGES, faults
from labeling.models import User
from tests.factories import make_labeler, make_project, make_user
from tests.labeling.views.clients import as_user

CHINESE = {"accept-language": "zh-CN,zh;q=0.9,en;q=0.5"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_string_is_translated_and_compiled(language: str) -> None:
    assert faults(language) == []


@pytest.mark.django_db
def test_a_browser_that_asks_for_chinese_gets_it() -> None:
    page = Client(headers=CHINESE).get(reverse("sign-in")).content.decode()
    assert '<html lang="zh-hans" dir="ltr">' in page
    assert "登录" in page


@pytest.mark.django_db
def test_a_language_without_a_translation_is_english() -> None:
    page = Client(headers={"accept-language": "de"}).get(reverse("sign-in")).content.decode()
    assert '<html lang="en"' in page


@pytest.mark.django_db
def test_the_switch_on_the_sign_in_page_holds_for_the_browser() -> None:
    client = Client()
    address = reverse("sign-in")
    answer = client.post(reverse("set-language"), {"language": "zh-hans", "next": address})
    assert answer["Location"] == address
    assert 'lang="zh-hans"' in client.get(address).content.decode()


@pytest.mark.django_db
def test_the_switch_leads_to_no_other_site() -> None:
    answer = Client().post(
        reverse("set-language"), {"language": "zh-hans", "next": "https://elsewhere.example/"}
    )
    assert answer["Location"] == "/"


@pytest.mark.django_db
def test_what_a_person_chose_comes_before_what_the_browser_asks_for() -> None:
    person = make_user()
    client = as_user(person)
    fields = {"form": "profile", "name": "Ann", "interface_language": "zh-hans"}
    assert client.post(reverse("account"), fields).status_code == 302
    assert 'lang="zh-hans"' in client.get(reverse("account")).content.decode()
    fields["interface_language"] = "en"
    client.post(reverse("account"), fields)
    assert 'lang="en"' in client.get(reverse("account"), headers=CHINESE).content.decode()


@pytest.mark.django_db
def test_a_language_that_is_none_of_ours_is_refused() -> None:
    person = make_user()
    fields = {"form": "profile", "name": "Ann", "interface_language": "tlh"}
    assert as_user(person).post(reverse("account"), fields).status_code == 400
    assert User.objects.get(pk=person.pk).interface_language == ""


@pytest.mark.django_db
def test_the_ranking_page_and_refusals_speak_chinese() -> None:
    project = make_project()
    labeler = make_labeler(project)
    labeler.interface_language = "zh-hans"
    labeler.save()
    page = as_user(labeler).get(reverse("rank", args=[project.slug])).content.decode()
    assert 'lang="zh-hans"' in page
    assert "Nothing to rank right now" not in page


@pytest.mark.django_db
def test_errors_over_rest_follow_the_language_that_is_asked_for() -> None:
    answer = Client(headers=CHINESE | {"authorization": "Bearer rl_nonsense"}).get(
        "/api/v1/projects/"
    )
    assert answer.status_code == 401
    assert "令牌" in answer.content.decode()
