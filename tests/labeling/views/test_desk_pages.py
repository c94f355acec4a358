"""Beside the ranks: guidelines first, two compared, a break, undo, what the project asks for."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.assignments import BreakTaken, begin_break, shown
from labeling.drafts import drafted
from labeling.guidelines import publish
from labeling.hidden_numbers import Of, hidden
from labeling.judgements import judgement_of
from labeling.leasing import lease_ahead, lease_next
from labeling.models import Assignment, Draft, Ranking, User
from labeling.projects import update_project
from tests.factories import make_labeler, make_project, make_ranking, make_slate
from tests.labeling.views.clients import as_user, numbered

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(name="Rain")


@pytest.fixture
def labeler(project) -> User:
    return make_labeler(project)


@pytest.fixture
def client(labeler) -> Client:
    return as_user(labeler)


@pytest.fixture
def assignment(project, labeler) -> Assignment:
    make_slate(project, ["The cat sat.", "The dog sat.", "**Bold** words", "<b>d</b>"])
    return lease_next(project=project, labeler=labeler)


def address(name: str, assignment: Assignment) -> str:
    return reverse(name, args=[assignment.project.slug, assignment.pk])


def letter_of(assignment: Assignment, text: str) -> str:
    texts = [completion.text for completion in shown(assignment)]
    return "ABCD"[texts.index(text)]


class TestGuidelines:
    def test_who_has_not_read_them_reads_them_first(self, client, project, assignment):
        publish(project=project, text="Be *kind*.")
        rank = reverse("rank", args=[project.slug])
        page = client.get(rank, follow=True)
        assert "Please read these before you begin" in page.content.decode()
        assert "<em>kind</em>" in page.content.decode()
        page = client.post(
            reverse("guidelines-read", args=[project.slug]), {"version": 1}, follow=True
        )
        assert "Rank these 4 completions" in page.content.decode()

    def test_what_is_new_is_marked(self, client, project, assignment):
        publish(project=project, text="Be kind.")
        client.post(reverse("guidelines-read", args=[project.slug]), {"version": 1})
        publish(project=project, text="Be brief.")
        page = client.get(reverse("guidelines", args=[project.slug])).content.decode()
        assert '<mark class="only-right">brief</mark>' in page

    def test_in_mid_work_they_come_after_the_submission_which_is_stored(
        self, client, project, assignment
    ):
        publish(project=project, text="Be kind.")
        ranks = {f"rank-{numbered(completion.pk)}": 1 for completion in shown(assignment)}
        response = client.post(
            address("submission", assignment),
            {**ranks, "lease": str(assignment.lease_token)},
            headers={"HX-Request": "true"},
        )
        assert Ranking.objects.count() == 1
        assert response["HX-Redirect"] == reverse("guidelines", args=[project.slug])

    def test_earlier_versions_can_be_read(self, client, project):
        publish(project=project, text="One.")
        publish(project=project, text="Two.")
        where = reverse("guidelines", args=[project.slug])
        assert "One." in client.get(where, {"version": 1}).content.decode()
        assert client.get(where, {"version": 9}).status_code == 404


class TestCompare:
    def test_words_that_differ_are_marked(self, client, assignment):
        sides = {
            "left": letter_of(assignment, "The cat sat."),
            "right": letter_of(assignment, "The dog sat."),
        }
        page = client.get(address("compare", assignment), sides).content.decode()
        assert '<mark class="only-left">cat</mark>' in page
        assert '<mark class="only-right">dog</mark>' in page
        part = client.get(
            address("compare", assignment), sides, headers={"HX-Request": "true"}
        ).content.decode()
        assert "<html" not in part

    def test_what_there_is_not_is_404(self, client, project, assignment):
        where = address("compare", assignment)
        assert client.get(where, {"left": "Z"}).status_code == 404
        stranger = as_user(make_labeler(project))
        assert stranger.get(where).status_code == 404


class TestBreak:
    def take(self, client, assignment):
        return client.post(
            address("break", assignment), {"lease": str(assignment.lease_token)}, follow=True
        )

    def test_the_prompt_is_kept_for_as_long_as_a_break_may_last(self, client, project, assignment):
        update_project(project=project, break_minutes=20)
        page = self.take(client, assignment).content.decode()
        assert "You are on a break" in page
        assignment.refresh_from_db()
        left = assignment.lease_expires_at - timezone.now()
        assert timedelta(minutes=19) < left <= timedelta(minutes=20)
        assert lease_next(project=project, labeler=make_labeler(project)) is None
        assert (
            "You are on a break"
            in client.get(reverse("rank", args=[project.slug])).content.decode()
        )

    def test_back_at_work_the_lease_is_the_usual_one(self, client, project, assignment):
        self.take(client, assignment)
        page = client.post(address("end-break", assignment), follow=True).content.decode()
        assert "Rank these 4 completions" in page
        assignment.refresh_from_db()
        assert assignment.lease_expires_at - timezone.now() <= timedelta(minutes=10)

    def test_a_second_one_on_the_same_prompt_is_refused(self, client, project, labeler, assignment):
        self.take(client, assignment)
        client.post(address("end-break", assignment))
        with pytest.raises(BreakTaken):
            begin_break(assignment=assignment, labeler=labeler, token=assignment.lease_token)
        assert "You had your break on this prompt" in self.take(client, assignment).content.decode()

    def test_renewing_does_not_cut_it_short(self, client, project, labeler, assignment):
        self.take(client, assignment)
        client.post(address("renew", assignment), {"lease": str(assignment.lease_token)})
        assignment.refresh_from_db()
        assert assignment.lease_expires_at - timezone.now() > timedelta(minutes=29)

    def test_after_its_end_somebody_else_gets_the_prompt(self, client, project, assignment):
        self.take(client, assignment)
        Assignment.objects.update(
            lease_expires_at=timezone.now() - timedelta(seconds=1),
            break_ends_at=timezone.now() - timedelta(seconds=1),
        )
        other = make_labeler(project)
        assert lease_next(project=project, labeler=other) == assignment
        assignment.refresh_from_db()
        assert (assignment.labeler, assignment.break_ends_at) == (other, None)


class TestUndo:
    def test_it_opens_the_last_submission(self, client, project, labeler):
        make_ranking(project, labeler)
        last = make_ranking(project, labeler)
        response = client.get(reverse("undo", args=[project.slug]))
        assert response["Location"] == reverse("ranking", args=[project.slug, last.pk])

    def test_without_one_it_says_so(self, client, project):
        page = client.get(reverse("undo", args=[project.slug]), follow=True)
        assert "no submission that can still be corrected" in page.content.decode()

    def test_after_its_time_a_ranking_can_be_read_and_not_changed(self, client, project, labeler):
        ranking = make_ranking(project, labeler)
        update_project(project=project, correction_hours=0)
        where = reverse("ranking", args=[project.slug, ranking.pk])
        assert "stands now as it is" in client.get(where).content.decode()
        ranks = {f"rank-{numbered(pk)}": 1 for pk in judgement_of(ranking).ranks}
        response = client.post(where, ranks)
        assert response.status_code == 409
        assert "What you changed is kept" in response.content.decode()
        assert Ranking.objects.count() == 1

    def test_a_correction_under_way_is_kept(self, client, project, labeler):
        ranking = make_ranking(project, labeler)
        where = reverse("correction-draft", args=[project.slug, ranking.pk])
        content = json.dumps([["comment", "Hm."]])
        answer = client.post(where, {"sequence": 3, "content": content})
        assert answer.json() == {"saved": True}
        assert drafted(Draft.objects.get()).comment == "Hm."
        other = as_user(make_labeler(project))
        assert other.post(where, {"sequence": 4, "content": content}).status_code == 404


class TestWhatIsAsked:
    def test_the_page_asks_what_the_project_says(self, client, project, assignment):
        rank = reverse("rank", args=[project.slug])
        page = client.get(rank).content.decode()
        assert "Overall quality" not in page
        assert "Hallucination" in page
        update_project(
            project=project,
            asks_likert=True,
            completion_flags="opinion",
            asks_prompt_flags=False,
            asks_comment=False,
            allows_edits=False,
        )
        page = client.get(rank).content.decode()
        assert "Overall quality" in page
        assert "Hallucination" not in page
        for gone in ("prompt_flag", 'name="comment"', "Write it better"):
            assert gone not in page

    def test_a_form_with_a_grade_of_eight_comes_back_with_all_that_was_typed(
        self, client, project, assignment
    ):
        update_project(project=project, asks_likert=True)
        pks = [completion.pk for completion in shown(assignment)]
        fields = {f"rank-{numbered(pk)}": place for place, pk in enumerate(pks, 1)}
        fields |= {f"likert-{numbered(pk)}": 3 for pk in pks} | {f"likert-{numbered(pks[0])}": 8}
        fields |= {
            f"edit-{numbered(pks[1])}": "Better.",
            "comment": "Typed <b>.",
            "none_good": "on",
        }
        fields |= {f"flag-{numbered(pks[2])}": "hallucination", "prompt_flag": "unclear"}
        response = client.post(
            address("submission", assignment), {**fields, "lease": str(assignment.lease_token)}
        )
        assert response.status_code == 400
        page = response.content.decode()
        assert "A grade is a whole number from 1 to 7." in page
        assert "Typed &lt;b&gt;." in page
        assert ">Better.</textarea>" in page
        desk = response.context["desk"]
        assert [item["rank"] for item in desk.items] == [1, 2, 3, 4]
        assert (desk.none_good, desk.prompt_flags_set, desk.items[2]["flagged"]) == (True, True, 1)

    def test_completions_are_rendered_and_their_html_is_text(self, client, project, assignment):
        page = client.get(reverse("rank", args=[project.slug])).content.decode()
        assert "<strong>Bold</strong> words" in page
        assert "**Bold** words" in page
        assert "<b>d</b>" not in page


class TestByScript:
    """What the page's script is told of a submission whose slate it shows no more."""

    def post(self, client, assignment, **fields):
        ranks = {
            f"rank-{numbered(one.pk)}": place for place, one in enumerate(shown(assignment), 1)
        }
        return client.post(
            address("submission", assignment),
            {**ranks, "lease": str(assignment.lease_token), **fields},
            headers={"Accept": "application/json", "HX-Request": "true"},
        )

    def test_it_is_told_which_slot_is_open_now(self, client, project, labeler, assignment):
        make_slate(project)
        following = lease_ahead(project=project, labeler=labeler)
        assert self.post(client, assignment).json() == {"open": hidden(Of.ASSIGNMENT, following.pk)}
        following.refresh_from_db()
        assert not following.ahead

    def test_what_is_refused_is_kept_as_a_draft(self, client, project, assignment):
        update_project(project=project, asks_likert=True)
        answer = self.post(client, assignment, comment="Typed.")
        assert answer.status_code == 400
        assert answer.json()["kept"] is True
        assert answer.json()["open"] == hidden(Of.ASSIGNMENT, assignment.pk)
        assert drafted(Draft.objects.get()).comment == "Typed."

    def test_a_slot_that_was_never_given_keeps_nothing(self, client, project):
        slot = make_slate(project).assignments.get()
        slot.order = "0123"
        answer = self.post(client, slot)
        assert answer.status_code == 409
        assert (answer.json()["code"], answer.json()["kept"]) == ("not_given", False)

    def test_another_person_gets_401(self, client, project, assignment):
        other = make_labeler(project)
        assert self.post(as_user(other), assignment, page_of="999").status_code == 401
        assert not Ranking.objects.exists()

    def test_a_page_of_another_person_gets_no_work_either(self, project, labeler):
        make_slate(project)
        other = make_labeler(project)
        headers = {"HX-Request": "true", "Page-Of": str(labeler.pk)}
        for name in ("rank", "ahead"):
            answer = as_user(other).get(reverse(name, args=[project.slug]), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["Other-Account"] == "1"
        assert not Assignment.objects.exclude(labeler=None).exists()

    def test_the_version_that_was_shown_is_stamped(self, client, project, assignment):
        first = publish(project=project, text="One.")
        publish(project=project, text="Two.")
        self.post(client, assignment, guidelines="1")
        assert Ranking.objects.get().guidelines == first
