"""What must hold before a policy answers."""

from __future__ import annotations

import pytest

from labeling.assignments import skip
from labeling.leasing import blind_judges, lease_next
from labeling.models import Assignment, Project, Purpose, Slate, User
from labeling.slates import withdraw_slate
from tests import factories
from tests.training import steps
from training import evaluations, gate, rounds
from training.models import Evaluation, Round
from training.plans import update_plan


def evaluate(project: Project, *, texts: int = 4, **results: float) -> Evaluation:
    """An evaluation whose texts are in the project, with these results."""
    update_plan(project=project, deploys_by_itself=False)
    steps.add_evaluation_prompts(project, enough=max(texts, rounds.MIN_EVALUATION_PROMPTS))
    steps.start(project)
    run = steps.finish_until("evaluate")
    dataset = run.datasets.get()
    prompts = list(dataset.prompts.filter(split="evaluation").order_by("pk"))[:texts]
    rows = [
        {
            "id": str(prompt.pk),
            "prompt": str(prompt.pk),
            "candidate": f"new {prompt.pk}",
            "deployed": None,
            "base": f"old {prompt.pk}",
            "candidate_score": 1.0,
            "deployed_score": None,
            "base_score": 0.5,
            "candidate_finished": True,
            "base_finished": False,
        }
        for prompt in prompts
    ]
    steps.finish(run, evaluation=rows, **results)
    return Evaluation.objects.get(run=run)


@pytest.mark.parametrize(
    ("point", "results"),
    [
        ("wins", {"win_sure": 0.5}),
        ("wins", {"prompts": 19}),
        ("kl", {"kl": 10.1}),
        ("length", {"length": 50.0}),
        ("length", {"length": 20.0}),
        ("distinct", {"distinct2": 0.7}),
    ],
)
def test_one_missing_point_is_named(
    project: Project, point: str, results: dict[str, float]
) -> None:
    found = gate.gate_of(evaluate(project, texts=4, **results))
    assert not found.holds
    assert [each.name for each in found.missing] == [point]
    assert all(each.sentence for each in found.points)


def test_all_points_hold(project: Project) -> None:
    found = gate.gate_of(evaluate(project))
    assert found.holds
    assert found.judged_by == "judge"
    assert found.blind is None


def vote(project: Project, evaluation: Evaluation, *, for_new: int, for_old: int) -> None:
    """Labelers rank the blind slates."""
    slates = Slate.objects.filter(batch=evaluations.batch_name(evaluation)).order_by("pk")
    for index, slate in enumerate(slates[: for_new + for_old]):
        labeler = factories.make_labeler(project)
        assignment = lease_next(project=project, labeler=labeler)
        assert isinstance(assignment, Assignment)
        prefer(labeler, assignment, "new" if index < for_new else "old")
        assert slate.purpose == Purpose.EVALUATION


def prefer(labeler: User, assignment: Assignment, better: str) -> None:
    """Rank the text that begins so first."""
    items = assignment.slate.items.select_related("completion")
    ranks = {
        item.completion_id: 1 if item.completion.text.startswith(better) else 2 for item in items
    }
    factories.make_ranking(assignment.project, labeler, ranks, assignment=assignment)


def test_labelers_votes_replace_the_judge_where_there_are_enough(project: Project) -> None:
    evaluation = evaluate(project)
    update_plan(project=project, blind_slates=4, blind_enough=4)
    assert evaluations.open_blind_slates(evaluation) == 4
    vote(project, evaluation, for_new=0, for_old=3)
    assert gate.gate_of(evaluation).judged_by == "judge"
    vote(project, evaluation, for_new=0, for_old=1)
    found = gate.gate_of(evaluation)
    assert found.judged_by == "labelers"
    assert not found.holds
    assert found.blind is not None
    assert found.blind.rate == 0.0


def test_asking_labelers_twice_opens_each_slate_once(project: Project) -> None:
    evaluation = evaluate(project)
    update_plan(project=project, blind_slates=3)
    assert evaluations.open_blind_slates(evaluation) == 3
    assert evaluations.open_blind_slates(evaluation) == 3
    assert Slate.objects.filter(purpose=Purpose.EVALUATION).count() == 3


def test_ids_do_not_tell_the_new_text_from_the_deployed(project: Project) -> None:
    evaluation = evaluate(project, texts=16)
    evaluations.open_blind_slates(evaluation, count=16)
    slates = Slate.objects.filter(purpose=Purpose.EVALUATION)
    for order in ("completion", "position"):
        first = [slate.items.order_by(order)[0].completion.text for slate in slates]
        assert 0 < sum(text.startswith("new") for text in first) < 16


def test_votes_decide_once_when_all_are_in(project: Project) -> None:
    evaluation = evaluate(project, texts=8, win_sure=0.4)
    update_plan(project=project, blind_slates=8, blind_enough=2, deploys_by_itself=True)
    evaluations.open_blind_slates(evaluation)
    vote(project, evaluation, for_new=7, for_old=0)
    rounds.reconsider_waiting()
    assert gate.gate_of(evaluation).judged_by == "judge"
    assert Round.objects.get().state == Round.State.WAITING
    with pytest.raises(evaluations.BlindVoteBegun):
        evaluations.open_blind_slates(evaluation, count=9)
    last = Slate.objects.filter(assignments__state="open", purpose=Purpose.EVALUATION).get()
    withdraw_slate(slate=last)
    assert gate.gate_of(evaluation).judged_by == "labelers"
    rounds.reconsider_waiting()
    assert Round.objects.get().state == Round.State.DEPLOYED


def test_votes_that_meet_the_gate_deploy_a_waiting_policy(project: Project) -> None:
    evaluation = evaluate(project, texts=8, win_sure=0.4)
    update_plan(project=project, blind_slates=8, blind_enough=8, deploys_by_itself=True)
    evaluations.open_blind_slates(evaluation)
    rounds.reconsider_waiting()
    assert Round.objects.get().state == Round.State.WAITING
    vote(project, evaluation, for_new=8, for_old=0)
    rounds.reconsider_waiting()
    assert Round.objects.get().state == Round.State.DEPLOYED


def test_the_judge_alone_deploys_nothing_where_labelers_are_asked(project: Project) -> None:
    evaluation = evaluate(project, texts=8)
    update_plan(project=project, blind_slates=8, blind_enough=8, deploys_by_itself=True)
    evaluations.open_blind_slates(evaluation)
    (missing,) = gate.gate_of(evaluation).missing
    assert "0 of 8" in missing.sentence
    rounds.reconsider_waiting()
    assert Round.objects.get().state == Round.State.WAITING
    vote(project, evaluation, for_new=8, for_old=0)
    rounds.reconsider_waiting()
    assert Round.objects.get().state == Round.State.DEPLOYED


def test_the_gate_says_where_too_few_texts_differ_for_a_vote(project: Project) -> None:
    evaluation = evaluate(project)
    update_plan(project=project, blind_slates=50, blind_enough=50)
    assert evaluations.open_blind_slates(evaluation) == 4
    (missing,) = gate.gate_of(evaluation).missing
    assert "at least 50" in missing.sentence
    assert "there are 4" in missing.sentence


def test_votes_that_a_manager_asked_for_by_hand_count_as_well(project: Project) -> None:
    evaluation = evaluate(project, texts=8, win_sure=0.4)
    update_plan(project=project, blind_enough=8, deploys_by_itself=True)
    evaluations.open_blind_slates(evaluation, count=8)
    vote(project, evaluation, for_new=8, for_old=0)
    rounds.reconsider_waiting()
    assert Round.objects.get().state == Round.State.DEPLOYED


def test_a_handful_of_votes_deploys_nothing_though_all_agree(project: Project) -> None:
    evaluation = evaluate(project, win_sure=0.4)
    update_plan(project=project, blind_slates=4, blind_enough=4, deploys_by_itself=True)
    evaluations.open_blind_slates(evaluation)
    vote(project, evaluation, for_new=4, for_old=0)
    rounds.reconsider_waiting()
    assert Round.objects.get().state == Round.State.WAITING
    (missing,) = gate.gate_of(evaluation).missing
    assert "100% of 4 blind comparisons; as sure as look 1 has to be, in 33%" in missing.sentence


def test_a_comparison_that_all_labelers_skipped_holds_the_vote_up_no_longer(
    project: Project,
) -> None:
    evaluation = evaluate(project, win_sure=0.4)
    update_plan(project=project, blind_slates=4, blind_enough=3)
    evaluations.open_blind_slates(evaluation)
    labelers = list(blind_judges(project))
    assert len(labelers) > 1
    for _ in range(3):
        assignment = lease_next(project=project, labeler=labelers[0])
        assert assignment is not None
        prefer(labelers[0], assignment, "new")
    for labeler in labelers:
        assert gate.gate_of(evaluation).judged_by == "judge"
        assignment = lease_next(project=project, labeler=labeler)
        assert assignment is not None
        skip(assignment=assignment, labeler=labeler)
    assert gate.gate_of(evaluation).judged_by == "labelers"


def test_how_many_more_rankings_are_needed() -> None:
    # Half-width .1 at 100 rankings, .05 wanted: four times as many, so 300 more.
    assert gate.more_rankings_needed(rankings=100, value=0.55, low=0.45) == 300
    assert gate.more_rankings_needed(rankings=400, value=0.48, low=0.44) == 400
    assert gate.more_rankings_needed(rankings=0, value=None, low=None) == 50
    assert gate.half_as_many_again(400) == 200
    assert gate.half_as_many_again(10) == 50
