"""One turn of the loop, step by step: what follows what, what stops it, how it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from labeling.models import Project, Split
from labeling.projects import update_project
from tests import factories
from tests.training import steps
from training import (
    checkpoints,
    deployments,
    evaluations,
    outcomes,
    rounds,
    rules,
    runs,
    single_runs,
)
from training.models import Checkpoint, Deployment, Evaluation, Round, Run
from training.plans import plan_of, update_plan
from training.run_configs import JUDGE_SEED, path_relations


def kinds(round_: Round) -> list[str]:
    return list(round_.runs.order_by("pk").values_list("kind", flat=True))


def test_a_round_goes_from_reward_model_to_deployment(project: Project) -> None:
    round_ = steps.start(project)
    run = steps.finish_until("evaluate")
    steps.finish(run)
    round_.refresh_from_db()
    assert kinds(round_) == ["reward", "judge", "best_of", "ppo", "evaluate"]
    assert round_.state == Round.State.DEPLOYED
    assert round_.finished_at is not None
    deployed = deployments.current(project)
    assert deployed is not None
    assert deployed.checkpoint.kind == Checkpoint.Kind.POLICY
    assert deployed.deployed_by is None
    assert deployed.evaluation == Evaluation.objects.get()


def test_each_step_uses_what_the_round_made(project: Project) -> None:
    steps.start(project)
    ppo = steps.finish_until("ppo")
    assert ppo.reward is not None
    assert ppo.judge is not None
    assert ppo.reward.kind == "reward"
    assert ppo.judge.kind == "judge"
    assert ppo.start is None
    reward, judge = Run.objects.get(kind="reward"), Run.objects.get(kind="judge")
    assert judge.config["role"] == "judge"
    assert judge.config["seed"] == reward.config["seed"] + JUDGE_SEED
    best_of = Run.objects.get(kind="best_of")
    assert best_of.config["best_of"] == 8
    assert {each.kind for each in best_of.datasets.all()} == {"prompts"}
    steps.finish(ppo)
    evaluate = steps.claim()
    assert evaluate.start == Checkpoint.objects.get(kind="policy")
    assert evaluate.deployed == checkpoints.base_checkpoint(project)


def test_the_next_round_starts_from_the_deployed_policy(project: Project) -> None:
    steps.start(project)
    steps.finish(steps.finish_until("evaluate"))
    policy = Checkpoint.objects.get(kind="policy")
    steps.start(project)
    second = steps.finish_until("ppo")
    assert second.start == policy
    steps.finish(second)
    evaluate = steps.claim()
    assert evaluate.deployed == policy
    assert evaluate.config["look"] == 2


def test_a_refused_policy_is_never_a_start(project: Project) -> None:
    steps.start(project)
    steps.finish(steps.finish_until("evaluate"), win_sure=0.4)
    waiting = Round.objects.get()
    assert waiting.state == Round.State.WAITING
    rounds.refuse_round(round_=waiting)
    steps.start(project)
    assert steps.finish_until("ppo").start is None


def test_a_waiting_round_is_closed_by_the_next(project: Project) -> None:
    steps.start(project)
    steps.finish(steps.finish_until("evaluate"), kl=50.0)
    steps.start(project)
    assert Round.objects.get(number=1).state == Round.State.REFUSED


def test_a_policy_waits_where_the_plan_does_not_deploy_by_itself(project: Project) -> None:
    update_plan(project=project, deploys_by_itself=False)
    steps.start(project)
    steps.finish(steps.finish_until("evaluate"))
    assert Round.objects.get().state == Round.State.WAITING
    policy = Checkpoint.objects.get(kind="policy")
    deployments.deploy(checkpoint=policy, by=factories.make_manager(project))
    assert Round.objects.get().state == Round.State.DEPLOYED


def test_a_reward_model_no_better_than_chance_ends_the_round(project: Project) -> None:
    steps.start(project)
    steps.finish(steps.claim(), oof_accuracy=0.53, oof_low=0.47)
    round_ = Round.objects.get()
    assert round_.state == Round.State.NEEDS_RANKINGS
    assert round_.rankings_needed
    assert kinds(round_) == ["reward"]


def test_an_accuracy_of_no_pair_at_all_asks_for_rankings(project: Project) -> None:
    round_ = steps.start(project)
    steps.finish(steps.claim(), oof_accuracy=None, oof_low=None, oof_high=None)
    round_.refresh_from_db()
    assert round_.state == Round.State.NEEDS_RANKINGS
    assert round_.rankings_needed


def test_what_is_no_number_is_no_result(project: Project) -> None:
    steps.start(project)
    run = steps.claim()
    steps.finish(run, oof_high=float("inf"), oof_log_loss=float("nan"), columns="visible")
    assert runs.results_of(run) == {"oof_accuracy": 0.7, "oof_low": 0.62}


def test_best_of_no_better_than_the_base_ends_the_round(project: Project) -> None:
    steps.start(project)
    steps.finish(steps.finish_until("best_of"), best_of_win_sure=0.49)
    round_ = Round.objects.get()
    assert round_.state == Round.State.NEEDS_RANKINGS
    assert not Run.objects.live().exists()


def test_too_few_rankings_end_the_round_and_say_how_many(project: Project) -> None:
    steps.start(project)
    outcomes.fail(steps.claim(), code="too_few_rankings", values={"found": 2, "needed": 20})
    round_ = Round.objects.get()
    assert round_.state == Round.State.NEEDS_RANKINGS
    assert round_.rankings_needed == 26, "of 84 rankings 60 are on training prompts"
    update_plan(project=project, after_rankings=None)
    assert rules.wants_rankings(project)


def test_too_few_for_the_judge_are_a_share_of_all(project: Project) -> None:
    steps.start(project)
    values = {"found": 2, "needed": 5}
    outcomes.fail(steps.finish_until("judge"), code="too_few_rankings", values=values)
    assert Round.objects.get().rankings_needed == 14, "of 84 rankings 18 are the judge's"


def test_without_evaluation_prompts_no_round_begins(project: Project) -> None:
    update_plan(project=project, after_rankings=1)
    factories.make_ranking(project)
    steps.add_evaluation_prompts(project, enough=7)
    with pytest.raises(rounds.TooFewEvaluationPrompts, match=r"at least 8 .* has 7"):
        rounds.start_round(project=project)
    assert rules.start_due_rounds() == []
    steps.add_evaluation_prompts(project)
    assert len(rules.start_due_rounds()) == 1


def test_rankings_are_wanted_until_the_rule_is_met(project: Project) -> None:
    update_plan(project=project, after_rankings=3)
    assert rules.wants_rankings(project)
    for _ in range(3):
        factories.make_ranking(project)
    assert not rules.wants_rankings(project)
    update_plan(project=project, after_rankings=None)
    assert not rules.wants_rankings(project), "a manager starts the rounds"


def test_demonstrations_make_a_new_base_first(project: Project) -> None:
    factories.make_demonstration(factories.make_prompt(project), "Like this.")
    round_ = steps.start(project)
    sft = steps.claim()
    assert sft.kind == "sft"
    steps.finish(sft)
    reward = steps.claim()
    assert reward.kind == "reward"
    assert reward.base == Checkpoint.objects.get(run=sft)
    assert reward.base.kind == Checkpoint.Kind.BASE
    assert "demonstrations" in {each.kind for each in reward.datasets.all()}
    rounds.cancel_round(round_=round_)
    steps.finish(reward)
    steps.start(project)
    again = steps.claim()
    assert again.kind == "reward", "the same demonstrations are not trained on twice"
    rounds.cancel_round(round_=Round.objects.get(state=Round.State.OPEN))
    steps.finish(again)
    update_project(project=project, base_model="another-model")
    project.refresh_from_db()
    steps.start(project)
    assert steps.claim().kind == "sft", "but they are by another base model"


def test_ppo_alone_reads_the_texts_of_the_project(project: Project) -> None:
    update_plan(project=project, preset="paper")
    factories.make_text(project)
    steps.start(project)
    best_of = steps.finish_until("best_of")
    steps.finish(best_of)
    ppo = steps.claim()
    assert {each.kind for each in best_of.datasets.all()} == {"prompts"}
    assert {each.kind for each in ppo.datasets.all()} == {"prompts", "texts"}
    assert ppo.config["ptx_coefficient"] == 27.8


def test_a_stopped_round_goes_on_from_the_failed_step(project: Project) -> None:
    steps.start(project)
    judge = steps.finish_until("judge")
    runs.fail(judge, code="disk_full", values={"path": "x"})
    round_ = Round.objects.get()
    rounds.resume_round(round_=round_)
    again = steps.claim()
    assert again == judge
    steps.finish(again)
    assert steps.claim().kind == "best_of"


def test_two_rounds_of_a_project_are_refused(project: Project) -> None:
    steps.start(project)
    with pytest.raises(rounds.RoundUnderWay):
        rounds.start_round(project=project)


def test_the_database_refuses_a_second_open_round(project: Project) -> None:
    steps.start(project)
    with pytest.raises(IntegrityError):
        Round.objects.create(project=project, number=7, step="reward", trigger="hand")


def test_a_stopped_round_can_be_cancelled_and_then_a_new_one_started(project: Project) -> None:
    round_ = steps.start(project)
    runs.fail(steps.claim(), code="internal", values={})
    rounds.cancel_round(round_=round_)
    with pytest.raises(rounds.RoundOver):
        rounds.cancel_round(round_=round_)
    assert rounds.start_round(project=project).number == 2


def test_cancelling_a_round_cancels_its_run(project: Project) -> None:
    round_ = steps.start(project)
    rounds.cancel_round(round_=round_)
    assert Run.objects.get().state == Run.State.CANCELLED
    assert Round.objects.get().state == Round.State.CANCELLED


def test_a_run_of_a_cancelled_round_leads_nowhere(project: Project) -> None:
    round_ = steps.start(project)
    run = steps.claim()
    rounds.cancel_round(round_=round_)
    steps.finish(run)
    assert Run.objects.count() == 1
    assert Checkpoint.objects.filter(kind="reward").exists(), "what it made is kept"


@pytest.mark.parametrize(
    ("kind", "results"),
    [("reward", {}), ("reward", {"oof_low": 0.4}), ("evaluate", {})],
)
def test_a_round_that_is_cancelled_while_its_run_is_taken_in_stays_so(
    project: Project, kind: str, results: dict[str, float]
) -> None:
    round_ = steps.start(project)
    run = steps.finish_until(kind)
    assert run.round is not None, "as it was before the cancel"
    rounds.cancel_round(round_=round_)
    deployed, queued = deployments.current(project), Run.objects.count()
    if kind == "evaluate":
        evaluations.record(run, [], steps.GOOD[kind])
    rounds.advance(run, steps.GOOD[kind] | results)
    assert Round.objects.get().state == Round.State.CANCELLED
    assert (deployments.current(project), Run.objects.count()) == (deployed, queued)


def test_finishing_twice_queues_one_next_run(project: Project) -> None:
    steps.start(project)
    run = steps.claim()
    steps.finish(run)
    with pytest.raises(runs.ClaimLost):
        rounds_before = Run.objects.count()
        runs.succeed(run, {})
    assert Run.objects.count() == rounds_before == 2


def test_the_rule_of_new_rankings(project: Project) -> None:
    steps.add_evaluation_prompts(project)
    update_plan(project=project, after_rankings=3)
    for _ in range(2):
        factories.make_ranking(project)
    assert rules.start_due_rounds() == []
    factories.make_ranking(project)
    (round_,) = rules.start_due_rounds()
    assert round_.trigger == Round.Trigger.RANKINGS
    assert round_.rankings_at_start == 3
    assert rules.start_due_rounds() == [], "one at a time"
    rounds.cancel_round(round_=round_)
    assert rules.start_due_rounds() == [], "those rankings have had their round"


def test_the_rule_of_the_clock(project: Project) -> None:
    steps.add_evaluation_prompts(project)
    update_plan(project=project, after_rankings=None, every_hours=2)
    factories.make_ranking(project)
    assert rules.due(project) is None
    Project.objects.filter(pk=project.pk).update(
        created_at=timezone.now() - timedelta(hours=2, minutes=1)
    )
    project.refresh_from_db()
    assert rules.due(project) == Round.Trigger.HOURS


def test_a_clock_of_any_number_of_hours_is_asked_without_harm(project: Project) -> None:
    update_plan(project=project, after_rankings=None, every_hours=2**31 - 1)
    factories.make_ranking(project)
    assert rules.due(project) is None


def test_rankings_of_evaluation_slates_are_not_trained_on(project: Project) -> None:
    prompt = factories.make_prompt(project, split=Split.EVALUATION)
    factories.make_slate(project, prompt=prompt, purpose="evaluation")
    factories.make_ranking(project)
    assert rules.new_rankings(project) == 0


def test_an_archived_project_trains_nothing(project: Project) -> None:
    from labeling.projects import archive_project

    update_plan(project=project, after_rankings=1)
    factories.make_ranking(project)
    archive_project(project=project)
    assert rules.start_due_rounds() == []
    with pytest.raises(runs.ProjectIsArchived):
        rounds.start_round(project=project)


def test_the_first_deployment_is_the_base(project: Project) -> None:
    steps.start(project)
    first = Deployment.objects.get()
    assert first.kind == Deployment.Kind.FIRST
    assert first.checkpoint.kind == Checkpoint.Kind.BASE
    assert plan_of(project).deploys_by_itself


def test_after_an_sft_the_deployed_policy_is_compared_on_its_own_base(project: Project) -> None:
    steps.start(project)
    steps.finish(steps.finish_until("evaluate"))
    policy = Checkpoint.objects.get(kind="policy")
    factories.make_demonstration(factories.make_prompt(project))
    steps.start(project)
    ppo = steps.finish_until("ppo")
    assert ppo.start is None, "an adapter of the former base fits the new one no more"
    steps.finish(ppo)
    evaluate = steps.claim()
    assert evaluate.deployed == policy
    folders = path_relations(evaluate)
    assert folders["base"] != policy.base
    assert folders["deployed"] == policy
    assert folders["deployed_base"] == policy.base


def test_a_policy_of_another_base_model_is_not_compared_by_its_tokens(project: Project) -> None:
    steps.start(project)
    steps.finish(steps.finish_until("evaluate"))
    update_project(project=project, base_model="another-model")
    steps.start(project)
    steps.finish(steps.finish_until("ppo"))
    evaluate = steps.claim()
    assert evaluate.deployed == evaluate.base
    assert path_relations(evaluate)["deployed"] is None


def test_no_two_looks_at_policies_have_the_same_number(project: Project) -> None:
    steps.start(project)
    run = steps.finish_until("evaluate")
    again = runs.repeat_run(run=run, changes={}, by=None)
    alone = single_runs.start_run(project=project, kind="evaluate")
    assert [each.config["look"] for each in (run, again, alone)] == [1, 2, 3]


def test_a_policy_that_answers_already_is_compared_with_the_base(project: Project) -> None:
    policy = steps.make_policy(project)
    steps.finish(steps.claim())
    assert deployments.current_or_first(project).checkpoint == policy
    run = single_runs.start_run(project=project, kind="evaluate")
    assert (run.start, run.deployed) == (policy, policy.base)


def test_a_single_evaluation_compares_no_policy_of_another_base_model(project: Project) -> None:
    former = steps.make_policy(project)
    steps.finish(steps.claim())
    update_project(project=project, base_model="other/model")
    base = checkpoints.base_checkpoint(project)
    Checkpoint.objects.filter(kind="judge").update(base=base)
    newer = Checkpoint.objects.create(project=project, kind="policy", version=9, base=base)
    assert deployments.current_or_first(project).checkpoint == former
    run = single_runs.start_run(project=project, kind="evaluate")
    assert (run.start, run.deployed) == (newer, base)


def test_a_judge_never_has_the_reward_models_seed(project: Project) -> None:
    update_plan(project=project, overrides={"reward": {"seed": 5}})
    steps.start(project)
    reward = steps.claim()
    steps.finish(reward)
    assert (reward.config["seed"], steps.claim().config["seed"]) == (5, 5 + JUDGE_SEED)
    alone = [single_runs.start_run(project=project, kind=kind) for kind in ("reward", "judge")]
    assert alone[0].config["seed"] != alone[1].config["seed"]


def test_two_evaluations_queued_at_the_same_moment_are_two_looks(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.start(project)
    run = steps.finish_until("evaluate")

    def lock(_project: int) -> None:
        """Somebody else was just before us."""
        monkeypatch.setattr(evaluations, "lock_project", lambda _project: None)
        runs.repeat_run(run=run, changes={}, by=None)

    monkeypatch.setattr(evaluations, "lock_project", lock)
    assert runs.repeat_run(run=run, changes={}, by=None).config["look"] == 3
