"""What came too late can be read in full, by its labeler alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.drafts import keep_draft
from labeling.judgements import Judgement
from labeling.models import Assignment, Draft, Project, Ranking, User
from labeling.rankings import CorrectionTooLate, correct_ranking
from tests.factories import make_labeler, make_ranking, make_slate
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def late(project: Project) -> tuple[User, Draft]:
    """A labeler's draft of a slate that somebody else finished."""
    labeler = make_labeler(project)
    slate = make_slate(project, ["Long " * 200, "Second answer.", "<b>Third</b>", "Fourth."])
    ids = list(slate.items.values_list("completion_id", flat=True))
    said = Judgement(
        ranks={ids[2]: 1, ids[0]: 2},
        flags={ids[0]: frozenset({"hallucination"})},
        edits={ids[1]: "A better second."},
        comment="Wait & see.",
        none_good=True,
    )
    keep_draft(slate=slate.pk, labeler=labeler, judgement=said)
    make_ranking(project, make_labeler(project))
    return labeler, Draft.objects.get()


def test_my_rankings_lead_to_it(late: tuple[User, Draft], project: Project) -> None:
    labeler, draft = late
    page = as_user(labeler).get(reverse("my-rankings", args=[project.slug])).content.decode()
    assert reverse("kept-draft", args=[project.slug, draft.pk]) in page


def test_it_is_shown_in_full_beside_the_completions(
    late: tuple[User, Draft], project: Project
) -> None:
    labeler, draft = late
    answer = as_user(labeler).get(reverse("kept-draft", args=[project.slug, draft.pk]))
    page = answer.content.decode()
    assert ("Long " * 200).strip() in page
    assert "A better second." in page
    assert "Wait &amp; see." in page
    assert "Makes things up" in page or "allucinat" in page
    assert page.index("Place 1") < page.index("Place 2") < page.index("No place yet")
    assert "<b>Third</b>" not in page


def test_nobody_else_sees_it(late: tuple[User, Draft], project: Project, manager: User) -> None:
    _labeler, draft = late
    address = reverse("kept-draft", args=[project.slug, draft.pk])
    assert as_user(manager).get(address).status_code == 404


def test_a_draft_under_way_is_not_there(project: Project) -> None:
    labeler = make_labeler(project)
    slate = make_slate(project)
    keep_draft(slate=slate.pk, labeler=labeler, judgement=Judgement(comment="Hm."))
    address = reverse("kept-draft", args=[project.slug, Draft.objects.get().pk])
    assert as_user(labeler).get(address).status_code == 404


def test_a_correction_that_came_too_late_is_kept_to_be_read(project: Project) -> None:
    labeler = make_labeler(project)
    ranking = make_ranking(project, labeler)
    ids = list(ranking.slate.items.values_list("completion_id", flat=True))
    said = Judgement(ranks=dict.fromkeys(ids, 1), comment="On second thoughts.")
    client = as_user(labeler)
    listed = reverse("my-rankings", args=[project.slug])
    keep_draft(slate=ranking.slate_id, labeler=labeler, judgement=said)
    assert "/rankings/kept/" not in client.get(listed).content.decode()  # it can still be sent
    Assignment.objects.update(completed_at=timezone.now() - timedelta(days=400))
    ranking = Ranking.objects.get(pk=ranking.pk)
    with pytest.raises(CorrectionTooLate):
        correct_ranking(ranking=ranking, labeler=labeler, judgement=said, seconds=1)
    address = reverse("kept-draft", args=[project.slug, Draft.objects.get().pk])
    assert address in client.get(listed).content.decode()
    page = client.get(address).content.decode()
    assert "On second thoughts." in page
    assert "before the time for corrections was over" in page
