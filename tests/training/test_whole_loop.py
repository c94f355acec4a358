"""The loop goes round with real processes on a tiny model: sample, rank, train, deploy, sample."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from labeling.completions import ready_slates
from labeling.leasing import lease_next
from labeling.models import Completion, Project, SampleRequest, Slate, Split
from tests import factories
from training import (
    artifacts,
    checkpoints,
    deployments,
    gate,
    rounds,
    rules,
    runs,
    sampling,
    single_runs,
    work,
)
from training.models import (
    Checkpoint,
    Evaluation,
    EvaluationText,
    Round,
    Run,
    RunMetric,
    RunSample,
)

pytestmark = [pytest.mark.model, pytest.mark.django_db]


@pytest.fixture
def filler() -> Iterator[sampling.Filler]:
    """Owns a sampling process; it is gone after the test."""
    filler = sampling.Filler(threading.Event())
    yield filler
    filler.close()


def rank_everything(project: Project) -> int:
    """A labeler who likes letters late in the alphabet ranks until nothing is ready."""
    labeler = factories.make_labeler(project)
    done = 0
    while (assignment := lease_next(project=project, labeler=labeler)) is not None:
        texts = {
            item.completion_id: item.completion.text
            for item in assignment.slate.items.select_related("completion")
        }
        better = sorted(set(texts.values()), reverse=True)
        ranks = {pk: better.index(text) + 1 for pk, text in texts.items()}
        factories.make_ranking(project, labeler, ranks, assignment=assignment)
        done += 1
    return done


def add_prompts(project: Project) -> None:
    counts = {Split.TRAIN: 10, Split.JUDGE: 6, Split.RM_TEST: 4, Split.EVALUATION: 8}
    for split, count in counts.items():
        for _ in range(count):
            factories.make_prompt(project, split=split)


def sample_and_rank(project: Project, filler: sampling.Filler, *, at_least: int) -> None:
    ranked = 0
    while ranked < at_least:
        sampling.ask_for_stock(project)
        filler.fill(linger=0)
        just_now = rank_everything(project)
        assert just_now, "nothing was sampled"
        ranked += just_now


def test_the_loop_goes_round(
    tiny_project: Project, filler: sampling.Filler, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tiny_project
    add_prompts(project)
    sample_and_rank(project, filler, at_least=20)
    assert not SampleRequest.objects.filter(state="failed").exists()
    filler.close()

    # What a tiny random model learns from a few rankings passes no gate: its numbers are ignored.
    monkeypatch.setattr(gate, "reward_model_holds", lambda _results: True)
    monkeypatch.setattr(gate, "best_of_holds", lambda _results: True)
    round_ = rounds.start_round(project=project)
    rules.freeze_begun_rounds()
    work.carry_out_runs(stopping=threading.Event())

    round_.refresh_from_db()
    ended = {run.kind: (run.state, runs.describe_error(run)) for run in round_.runs.all()}
    assert ended == dict.fromkeys(
        ("reward", "judge", "best_of", "ppo", "evaluate"), (Run.State.SUCCEEDED, "")
    )
    assert round_.state in (Round.State.WAITING, Round.State.DEPLOYED)

    # Everything that the page shows is there.
    ppo = Run.objects.get(kind="ppo")
    names = set(RunMetric.objects.filter(run=ppo).values_list("name", flat=True))
    assert {"reward", "kl", "entropy", "length", "clip_share", "gradient_norm"} <= names
    assert not names & {"time", "step", "seconds_left", "total_steps"}
    assert RunSample.objects.filter(run=ppo).exists()
    assert ppo.log_tail
    assert ppo.step == ppo.total_steps
    evaluation = Evaluation.objects.get()
    assert evaluation.prompts == 8
    assert evaluation.win_rate is not None
    assert evaluation.kl is not None
    assert EvaluationText.objects.filter(evaluation=evaluation).count() == 8

    # The way back from the policy to every ranking.
    policy = Checkpoint.objects.get(kind="policy")
    assert artifacts.fetch_folder(policy.artifact).joinpath("manifest.json").is_file()
    way = checkpoints.lineage(policy)
    assert way.rankings == round_.rankings_at_start >= 20
    kinds = {one.kind for one in checkpoints.ancestors(policy)}
    assert kinds == {"base", "reward", "judge"}

    # Deployed, it writes half of the next slates.
    if round_.state != Round.State.DEPLOYED:
        deployments.deploy(checkpoint=policy, by=factories.make_manager(project))
    before = set(Slate.objects.values_list("pk", flat=True))
    sampling.ask_for_stock(project)
    assert filler.fill(linger=0) > 0
    assert ready_slates(project) == project.slates_ahead
    assert policy.source is not None
    for slate in Slate.objects.exclude(pk__in=before):
        sources = [item.completion.source for item in slate.items.all()]
        assert sources.count(policy.source) == 2, "2 of 3: half, rounded up"
        assert {source.kind for source in sources} == {"policy", "base"}
    written = Completion.objects.filter(source=policy.source).first()
    assert written is not None
    assert written.sampling["temperature"] == project.temperature


def test_a_run_by_itself_makes_a_policy_straight_from_rankings(
    tiny_project: Project, filler: sampling.Filler
) -> None:
    project = tiny_project
    add_prompts(project)
    sample_and_rank(project, filler, at_least=12)
    filler.close()
    run = single_runs.start_run(project=project, kind=Run.Kind.DPO)
    work.carry_out_runs(stopping=threading.Event())
    run.refresh_from_db()
    assert (run.state, runs.describe_error(run)) == (Run.State.SUCCEEDED, "")
    policy = Checkpoint.objects.get(kind="policy")
    assert policy.run == run
    assert checkpoints.lineage(policy).rankings >= 12
    names = set(RunMetric.objects.filter(run=run).values_list("name", flat=True))
    assert {"loss", "accuracy", "development_kl"} <= names
    deployments.deploy(checkpoint=policy, by=factories.make_manager(project))
    assert deployments.current_or_first(project).checkpoint == policy
