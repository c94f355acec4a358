"""Who reads what: codes as people type them, and slots that fit."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from labeling.leasing import lease_ahead, lease_next
from labeling.models import Prompt, Slate, User
from labeling.reading import LanguagesRefused, checked_languages, primary
from tests.factories import make_labeler, make_project, make_prompt, make_ranking, make_slate
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db


def reads(user: User, languages: str) -> None:
    """What `user` says of themselves."""
    user.languages = languages
    user.save()


def slate_in(language: str, user: User) -> Slate:
    """A slate of a prompt in `language`, in the project of `user`."""
    project = user.memberships.get().project
    prompt = make_prompt(project)
    Prompt.objects.filter(pk=prompt.pk).update(language=language)
    prompt.refresh_from_db()
    return make_slate(project, prompt=prompt)


@pytest.fixture
def zoe(db: None) -> User:
    """A labeler."""
    return make_labeler(make_project())


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("", ""),
        (" en,  de ", "en de"),
        ("EN;pt_br zh-hans", "en pt-BR zh-Hans"),
        ("en en", "en"),
    ],
)
def test_codes_are_stored_in_one_spelling(typed: str, stored: str) -> None:
    assert checked_languages(typed) == stored


@pytest.mark.parametrize("typed", ["english", "e", "xx", "en+de", "zh-Hans-CN-x", "<b>", "1"])
def test_what_is_no_code_is_refused_by_name(typed: str) -> None:
    with pytest.raises(LanguagesRefused) as refused:
        checked_languages(f"en {typed}")
    assert typed in refused.value.message


def test_the_primary_subtag_decides() -> None:
    assert [primary(code) for code in ("zh-Hans", "ZH", "", "pt-BR")] == ["zh", "zh", "", "pt"]


@pytest.mark.parametrize(
    ("read", "language", "fits"),
    [
        ("", "zh-Hans", True),
        ("zh", "zh-Hans", True),
        ("zh-TW", "zh-Hans", True),
        ("en zh", "zh", True),
        ("en", "zh", False),
        ("en", "", True),
        ("en", "enx", False),
    ],
)
def test_a_labeler_is_given_what_they_read(zoe: User, read: str, language: str, fits: bool) -> None:
    project = zoe.memberships.get().project
    reads(zoe, read)
    slate_in(language, zoe)
    assert (lease_next(project=project, labeler=zoe) is not None) is fits


def test_what_is_kept_ahead_fits_too_and_others_get_the_rest(zoe: User) -> None:
    project = zoe.memberships.get().project
    reads(zoe, "de")
    french, german, any_ = slate_in("fr", zoe), slate_in("de", zoe), slate_in("", zoe)
    first, second = (
        lease_next(project=project, labeler=zoe),
        lease_ahead(project=project, labeler=zoe),
    )
    assert first and second
    assert [first.slate, second.slate] == [german, any_]
    other = lease_next(project=project, labeler=make_labeler(project))
    assert other and other.slate == french


def test_an_open_slot_stays_when_the_languages_change(zoe: User) -> None:
    project = zoe.memberships.get().project
    slate = slate_in("fr", zoe)
    lease_next(project=project, labeler=zoe)
    reads(zoe, "de")
    again = lease_next(project=project, labeler=zoe)
    assert again and again.slate == slate
    make_ranking(project, zoe, assignment=again)


def test_the_first_page_counts_what_the_person_reads(zoe: User) -> None:
    reads(zoe, "de")
    slate_in("fr", zoe), slate_in("de-AT", zoe)
    assert "1 ready" in as_user(zoe).get("/").content.decode()


class TestAccountPage:
    def send(self, client: Client, languages: str) -> int:
        sent = {"form": "profile", "name": "Zoe", "languages": languages}
        return client.post(reverse("account"), sent).status_code

    def test_languages_are_set_there(self, zoe: User) -> None:
        client = as_user(zoe)
        assert self.send(client, "de, en") == 302
        zoe.refresh_from_db()
        assert zoe.languages == "de en"
        assert self.send(client, "") == 302
        zoe.refresh_from_db()
        assert zoe.languages == ""

    def test_a_name_of_a_language_is_refused_and_stays_in_the_field(self, zoe: User) -> None:
        client = as_user(zoe)
        sent = {"form": "profile", "name": "Zoe", "languages": "german"}
        answer = client.post(reverse("account"), sent)
        page = answer.content.decode()
        assert answer.status_code == 400
        assert "“german”: write the code of the language, here “de”" in page
        assert 'value="german"' in page
        zoe.refresh_from_db()
        assert zoe.languages == ""
