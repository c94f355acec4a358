"""What the ranking page sends and gets: submissions, drafts, leases, corrections."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.assignments import shown
from labeling.drafts import drafted
from labeling.judgements import Judgement
from labeling.leasing import lease_next
from labeling.models import Assignment, Draft, Ranking
from labeling.prompts import withdraw_prompt
from labeling.rankings import ranks_of
from labeling.rendering import written
from tests.factories import (
    PASSWORD,
    make_labeler,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
)
from tests.labeling.views.clients import numbered

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def labeler(project):
    return make_labeler(project)


@pytest.fixture
def client(labeler):
    client = Client()
    client.force_login(labeler, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def assignment(project, labeler):
    make_slate(project)
    return lease_next(project=project, labeler=labeler)


def address(name, assignment):
    return reverse(name, args=[assignment.project.slug, assignment.pk])


def sent(assignment, ranks=(1, 2, 3, 4), **fields):
    completions = shown(assignment)
    return {
        "lease": str(assignment.lease_token),
        "seconds": "7.5",
        **{f"rank-{numbered(c.pk)}": r for c, r in zip(completions, ranks, strict=True)},
        **fields,
    }


def test_a_submission_is_stored_with_its_seconds(client, assignment):
    response = client.post(address("submission", assignment), sent(assignment, (2, 1, 2, 9)))
    assert response.status_code == 302
    stored = ranks_of(Ranking.objects.get())
    assert [stored[c.pk] for c in shown(assignment)] == [2, 1, 2, 3]
    assert Ranking.objects.get().seconds == 7.5


@pytest.mark.parametrize("seconds", ["", "NaN", "-4", "soon", "inf"])
def test_seconds_that_make_no_sense_are_taken_from_the_clock(client, assignment, seconds):
    client.post(address("submission", assignment), sent(assignment, seconds=seconds))
    assert 0 <= Ranking.objects.get().seconds < 60


@pytest.mark.parametrize("wrong", ["", "0", "-1", "first", "1.5", "9" * 400, "²"])
def test_ranks_that_are_none_are_told_and_the_others_stay_chosen(client, assignment, wrong):
    response = client.post(address("submission", assignment), sent(assignment, (wrong, 1, 2, 3)))
    assert response.status_code == 400
    page = response.content.decode()
    assert "Give each completion a rank" in page
    assert page.count(" selected") == 3 + 1  # and the reason to skip
    assert not Ranking.objects.exists()


@pytest.mark.parametrize("name", ["rank-" + "9" * 5000, "rank-x", "rank-"])
def test_a_rank_of_no_completion_is_refused_with_a_sentence(client, assignment, name):
    response = client.post(
        address("submission", assignment),
        urlencode(sent(assignment) | {name: "1"}),
        content_type="application/x-www-form-urlencoded",
    )
    assert response.status_code == 400
    assert "Give each completion a rank" in response.content.decode()


def test_the_same_submission_twice_is_one_ranking(client, assignment):
    for _ in range(2):
        assert client.post(address("submission", assignment), sent(assignment)).status_code == 302
    assert Ranking.objects.count() == 1


def test_another_submission_for_the_same_prompt_is_told_that_the_first_stands(client, assignment):
    client.post(address("submission", assignment), sent(assignment))
    again = client.post(address("submission", assignment), sent(assignment, (4, 3, 2, 1)))
    assert again.status_code == 409
    assert "that stands" in again.content.decode()
    assert Ranking.objects.count() == 1


def test_a_mangled_lease_token_is_no_reason_to_lose_the_work(client, assignment):
    client.post(address("submission", assignment), sent(assignment, lease="zzz"))
    assert Ranking.objects.count() == 1


@pytest.mark.parametrize("held", [True, False])
def test_a_slot_that_was_not_given_shows_nothing_and_takes_nothing(client, project, held):
    slot = make_slate(project, purpose="evaluation").assignments.get()
    if held:
        slot = lease_next(project=project, labeler=make_labeler(project))
    texts = [completion.text for completion in shown(slot)]
    for name, fields in (
        ("submission", {}),
        ("submission", sent(slot)),
        ("submission", sent(slot, lease=str(uuid.uuid4()))),
        ("skip", {}),
        ("draft", {"sequence": 1, "content": "[]"}),
    ):
        response = client.post(address(name, slot), fields)
        page = response.content.decode()
        assert response.status_code == 409
        assert "not given to you" in page
        assert not any(text in page for text in [*texts, str(slot.lease_token or "lease_token")])
    assert not Draft.objects.exists()
    assert not Ranking.objects.exists()


def test_a_page_that_lost_its_slot_keeps_its_own_token(client, project, assignment):
    Assignment.objects.update(lease_expires_at=timezone.now())
    taken = lease_next(project=project, labeler=make_labeler(project))
    response = client.post(address("submission", taken), {"lease": str(assignment.lease_token)})
    assert response.status_code == 400
    assert str(assignment.lease_token) in response.content.decode()
    assert str(taken.lease_token) not in response.content.decode()


def test_htmx_gets_the_next_prompt_alone(client, project, assignment):
    make_slate(project)
    response = client.post(
        address("submission", assignment), sent(assignment), headers={"HX-Request": "true"}
    )
    page = response.content.decode()
    assert response.status_code == 200
    assert "<html" not in page
    assert page.strip().startswith('<section id="assignment"')
    assert "Submitted. Next:" in page


def test_a_draft_is_kept_and_an_older_one_does_not_overwrite_it(client, assignment):
    where = address("draft", assignment)
    entries = [
        [f"rank-{numbered(1)}", "1"],
        [f"flag-{numbered(1)}", "opinion"],
        [f"flag-{numbered(1)}", "sexual"],
        ["seconds", "7.5"],
    ]
    newer = {"sequence": 5, "content": json.dumps(entries)}
    older = {"sequence": 4, "content": "[]"}
    assert client.post(where, newer).json() == {"saved": True}
    assert client.post(where, older).json() == {"saved": False}
    draft = Draft.objects.get()
    said = Judgement(ranks={1: 1}, flags={1: frozenset({"opinion", "sexual"})})
    assert (drafted(draft), draft.content["seconds"]) == (said, 7.5)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"sequence": "x", "content": "[]"},
        {"sequence": 1, "content": "{}"},
        {"sequence": 1, "content": "["},
        {"sequence": 10**30, "content": "[]"},
        {"sequence": 1, "content": "[" * 50_000},
        {"sequence": 1, "content": json.dumps([["comment", "x" * 1_000_000]])},
        {"sequence": 1, "content": json.dumps([["comment", "x"]] * 1_000)},
        {"sequence": 1, "content": json.dumps([["rank-1", 1]])},
        {"sequence": 1, "content": json.dumps([["rank-1", "ten"]])},
        {"sequence": 1, "content": json.dumps([["likert-1", "8"]])},
        {"sequence": 1, "content": json.dumps([["flag-1", "rude"]])},
    ],
)
def test_a_draft_that_is_none_is_refused(client, assignment, bad):
    response = client.post(address("draft", assignment), bad)
    assert response.status_code == 400
    assert response.json()["message"]
    assert not Draft.objects.exists()


def test_a_lease_is_renewed_and_a_lost_one_is_told(client, assignment):
    where = address("renew", assignment)
    assert "until" in client.post(where, {"lease": str(assignment.lease_token)}).json()
    for token in (str(uuid.uuid4()), "", "zzz"):
        response = client.post(where, {"lease": token})
        assert response.status_code == 409
        assert response.json()["code"] == "lease_expired"


def test_a_correction_stands_in_the_place_of_the_ranking_which_is_kept(client, project, labeler):
    make_slate(project)
    ranking = make_ranking(project, labeler)
    where = reverse("ranking", args=[project.slug, ranking.pk])
    turned = {completion: 5 - rank for completion, rank in ranks_of(ranking).items()}
    page = client.post(
        where, {f"rank-{numbered(pk)}": rank for pk, rank in turned.items()}, follow=True
    )
    fresh = Ranking.objects.current().get()
    assert fresh.replaces == ranking
    assert ranks_of(fresh) == turned
    assert "stands now" in page.content.decode()
    assert "You corrected this one later" in client.get(where).content.decode()


def test_ranks_sent_from_another_tab_are_offered_where_one_corrects(client, project, assignment):
    client.post(address("submission", assignment), sent(assignment))
    client.post(address("submission", assignment), sent(assignment, (4, 3, 2, 1)))
    where = reverse("ranking", args=[project.slug, Ranking.objects.get().pk])
    page = client.get(where)
    assert "You changed this later" in page.content.decode()
    assert [item["rank"] for item in page.context["desk"].items] == [4, 3, 2, 1]
    fields = sent(assignment, (1, 2, 3, 4))
    client.post(where, fields)
    assert not Draft.objects.exists()
    assert "You changed this later" not in client.get(where).content.decode()
    assert Ranking.objects.count() == 1


def test_what_came_too_late_can_be_read_in_my_rankings(client, project, assignment):
    where = reverse("my-rankings", args=[project.slug])
    late = sent(assignment, (2, 1, 3, 4))
    assert "too late" not in client.get(where).content.decode()
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(hours=1))
    other = make_labeler(project, "quick")
    make_ranking(project, other)
    assert client.post(address("submission", assignment), late).status_code == 409
    page = client.get(where)
    assert "Kept, but too late" in page.content.decode()
    assert [text["rank"] for text in page.context["late"][0]["texts"]] == [1, 2, 3, 4]
    assert page.context["late"][0]["texts"][0]["text"] == shown(assignment)[1].text


def test_my_rankings_are_listed_in_the_letters_that_were_shown(client, project, labeler):
    make_slate(project)
    assignment = lease_next(project=project, labeler=labeler)
    client.post(address("submission", assignment), sent(assignment, (2, 1, 2, 3)))
    page = client.get(reverse("my-rankings", args=[project.slug])).content.decode()
    assert "B &gt; A = C &gt; D" in page


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"),
        ("a\r\nb\tc", "a\nb\tc"),
        (
            "\x1b[31m",
            '<span class="hidden-character" title="control character U+001B">ESC</span>[31m',
        ),
        ("\u202e", '<span class="hidden-character" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>'),
        ("\ud800", '<span class="hidden-character" title="control character U+D800">U+D800</span>'),
        ("👩‍🔬 سلام‌ها", "👩‍🔬 سلام‌ها"),
    ],
)
def test_text_is_escaped_and_hidden_characters_are_named(text, html):
    assert written(text) == html


def test_a_script_without_a_session_gets_401_and_the_page_stays_as_it_is(project):
    response = Client().get(reverse("rank", args=[project.slug]), headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert response.content == b""


def fields_of(html):
    """Names and values of a page's hidden inputs, as a browser would send them."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html)
    return {name: unescape(value) for name, value in found}


def test_without_scripts_a_ranking_sent_after_the_session_ended_is_kept(client, assignment):
    ranks = sent(assignment, reason='"<b>&\nline two')
    assignment.labeler.set_password(PASSWORD)
    assignment.labeler.save()
    client.logout()
    kept = client.post(address("submission", assignment), ranks)
    assert kept.status_code == 401
    assert "Your session has ended" in kept.content.decode()
    who = {"username": assignment.labeler.username, "password": "not this one"}
    wrong = client.post(reverse("sign-in"), fields_of(kept.content.decode()) | who)
    who["password"] = PASSWORD
    again = client.post(reverse("sign-in"), fields_of(wrong.content.decode()) | who)
    html = again.content.decode()
    assert f'action="{address("submission", assignment)}"' in html
    fields = fields_of(html)
    assert fields["reason"] == ranks["reason"]
    assert client.post(address("submission", assignment), fields).status_code == 302
    assert Ranking.objects.count() == 1


def test_a_kept_form_is_sent_nowhere_else(client):
    page = client.post(reverse("sign-in"), {"next": "https://evil.example/", "kept-a": "1"})
    assert 'action="/"' in page.content.decode()


def test_a_password_is_never_kept(assignment):
    page = Client().post(reverse("account"), {"new_password1": "purple otters dance"})
    assert page.status_code == 302
    assert "purple" not in page["Location"]
    assert "purple otters" not in page.content.decode()


def test_a_page_that_waits_promises_nothing_that_nobody_does(client, project):
    prompt = make_prompt(project)
    page = reverse("rank", args=[project.slug])
    prompt.sample_requests.create(k=4)
    said = client.get(page).content.decode()
    assert "The next completions are not written yet" in said
    assert "1 prompt waits for completions." in said
    assert "is writing" not in said
    withdraw_prompt(prompt=prompt)
    assert "Nothing to rank right now" in client.get(page).content.decode()
