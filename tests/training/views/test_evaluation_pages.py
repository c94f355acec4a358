"""Evaluations: what the gate says, the intervals, the texts, the labelers' blind vote."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.judgements import Judgement
from labeling.leasing import lease_next
from labeling.models import Purpose, Slate
from labeling.rankings import submit_ranking
from tests.factories import make_labeler
from training.evaluations import batch_name
from training.models import Evaluation, EvaluationText, RunResult


def at(name, seeded):
    return reverse(name, args=[seeded.project.slug, seeded.evaluation.pk])


def test_the_gate_says_what_is_missing(seeded, manager):
    manager.post(reverse("roll-back", args=[seeded.project.slug]))
    Evaluation.objects.filter(pk=seeded.evaluation.pk).update(kl=14.25)
    page = manager.get(at("evaluation", seeded)).content.decode()
    assert "The gate is not met" in page
    assert "It is 14.2 nats from the base; the limit is 10." in page


def test_what_is_shown_is_of_95_percent_and_what_decides_is_surer(seeded, manager):
    manager.post(reverse("roll-back", args=[seeded.project.slug]))
    Evaluation.objects.filter(pk=seeded.evaluation.pk).update(win_low=0.52, win_sure=0.49)
    page = manager.get(at("evaluation", seeded)).content.decode()
    assert "95 % interval" in page
    assert "52 to 72 %" in page
    assert "as sure as look 2 has to be, in 49%, which is not above 50%." in page


def test_the_dots_lie_where_the_numbers_are(seeded, manager):
    dot = manager.get(at("evaluation", seeded)).context["win_dots"][0]
    assert (dot.x, dot.x_low, dot.x_high) == ("64.00%", "56.00%", "72.00%")


def test_the_reward_model_stands_beside_the_labelers(seeded, manager):
    reward, labelers = manager.get(at("evaluation", seeded)).context["trust_dots"]
    assert reward.value == pytest.approx(0.69)
    assert labelers.label == "Labelers with each other"
    assert labelers.value is not None


def test_labelers_are_asked_blindly_and_their_vote_stands_beside_the_judges(seeded, manager):
    manager.post(at("evaluation-ask", seeded), {"count": "3"})
    slates = Slate.objects.filter(
        purpose=Purpose.EVALUATION, batch=batch_name(seeded.evaluation), withdrawn_at=None
    )
    assert slates.count() == 3
    labeler = make_labeler(seeded.project)
    while (turn := lease_next(project=seeded.project, labeler=labeler)) is not None:
        ranks = {
            item.completion_id: 1
            if item.completion.source_id == seeded.evaluation.candidate.source_id
            else 2
            for item in turn.slate.items.select_related("completion")
        }
        submit_ranking(
            assignment=turn,
            labeler=labeler,
            token=turn.lease_token,
            judgement=Judgement(ranks=ranks),
            seconds=3,
        )
    blind = manager.get(at("evaluation", seeded)).context["win_dots"][1]
    assert blind.value == 1.0
    assert blind.note == "3 comparisons"


@pytest.mark.parametrize("count", ["", "0", "-1", "1001", "many"])
def test_a_senseless_number_of_comparisons_is_refused(count, seeded, manager):
    page = manager.post(at("evaluation-ask", seeded), {"count": count}, follow=True)
    assert "A number from 1 to 1000." in page.content.decode()
    assert not Slate.objects.filter(purpose=Purpose.EVALUATION).exists()


def test_the_texts_come_in_pages_and_by_outcome(seeded, manager):
    texts = EvaluationText.objects.filter(evaluation=seeded.evaluation)
    first = texts.earliest("pk")
    texts.update(candidate_score=1.0, deployed_score=2.0)
    texts.filter(pk=first.pk).update(candidate_score=3.0)
    won = manager.get(at("evaluation-texts", seeded), {"outcome": "won"}).context["page"]
    assert list(won) == [first]
    lost = manager.get(at("evaluation-texts", seeded), {"outcome": "lost"}).context["page"]
    assert lost.paginator.count == texts.count() - 1


def test_where_the_base_is_deployed_its_text_is_shown_once(seeded, manager):
    first = Evaluation.objects.filter(run__project=seeded.project).earliest("pk")
    url = reverse("evaluation-texts", args=[seeded.project.slug, first.pk])
    assert "Base (deployed)" in manager.get(url).content.decode()


def matched(seeded, **numbers):
    for name, value in numbers.items():
        RunResult.objects.create(
            run=seeded.evaluation.run, name=f"base_win_matched_{name}", value=value
        )


def test_the_win_rate_over_the_base_at_matched_length_stands_beside_it(seeded, manager):
    matched(seeded, rate=0.58, low=0.49, high=0.67, prompts=31)
    page = manager.get(at("evaluation", seeded))
    over_base, at_length = page.context["win_dots"][-2:]
    assert over_base.label == "Judge: over the base"
    assert at_length.label == "Judge: over the base, lengths within 20 %"
    assert (at_length.x, at_length.x_low, at_length.x_high) == ("58.00%", "49.00%", "67.00%")
    assert "31 prompts" in page.content.decode()


def test_too_few_prompts_of_matched_length_are_said(seeded, manager):
    matched(seeded, prompts=4)
    assert "too few: 4 prompts" in manager.get(at("evaluation", seeded)).content.decode()


def test_an_evaluation_that_did_not_measure_it_has_no_such_row(seeded, manager):
    assert "lengths within" not in manager.get(at("evaluation", seeded)).content.decode()
