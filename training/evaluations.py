"""Evaluations: taken in from a run, asked of labelers blindly, their votes counted.

Knows nothing of what follows from the numbers; that is `training/gate.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.apart import apart
from labeling.completions import NewCompletion, add_completions
from labeling.leasing import blind_judges
from labeling.models import (
    Assignment,
    Project,
    Prompt,
    Purpose,
    RankedCompletion,
    Skip,
    Slate,
)
from labeling.refusals import Refusal
from labeling.slates import open_slate
from training.blinding import secret_order
from training.locks import lock_project
from training.models import Checkpoint, Evaluation, EvaluationText, Run
from training.plans import plan_of
from training.win_rates import WinRate, win_rate

NUMBERS = (
    "win_rate",
    "win_low",
    "win_high",
    "win_sure",
    "base_win_rate",
    "base_win_low",
    "base_win_high",
    "kl",
    "length",
    "base_length",
    "distinct2",
    "base_distinct2",
    "finished_share",
)
"""Result numbers that an Evaluation has a column for; the rest stays with the run's results."""


class BlindVoteBegun(Refusal):
    """How many labelers are asked is settled before the first of them answers."""

    code = "blind_vote_begun"
    sentence = _("Labelers have begun to compare: how many comparisons there are is settled.")


def next_look(project: Project) -> int:
    """The number that the next evaluation has among the project's: it sets its α.

    Runs count from when they are queued, whatever becomes of them: no two have the same number.
    Call inside the transaction that queues the run.
    """
    lock_project(project.pk)
    return Run.objects.filter(project=project, kind=Run.Kind.EVALUATE).count() + 1


def look_alpha(evaluation: Evaluation) -> float:
    """The error that its look is allowed, α/(k(k+1)): over all looks of a project it sums to α."""
    alpha = float(evaluation.run.config.get("alpha", 0.05))
    return alpha / (evaluation.look * (evaluation.look + 1))


def record(run: Run, rows: Iterable[Mapping[str, Any]], results: Mapping[str, Any]) -> Evaluation:
    """Take in what a finished evaluation run wrote; call inside the transaction that closes it.

    rows: EvaluationRow each, kept where their prompt is the project's. The same again changes
    nothing.
    """
    candidate = run.start if run.start is not None else run.base
    deployed = run.deployed if run.deployed is not None else run.base
    evaluation, created = Evaluation.objects.get_or_create(
        run=run,
        defaults={
            "round": run.round,
            "candidate": candidate,
            "deployed": deployed,
            "look": int(run.config.get("look", 1)),
            "prompts": int(results.get("prompts") or 0),
            **{name: results.get(name) for name in NUMBERS},
        },
    )
    if created:
        known = set(Prompt.objects.filter(project=run.project).values_list("pk", flat=True))
        EvaluationText.objects.bulk_create(
            [_text(evaluation, row) for row in rows if int(row["prompt"]) in known],
            batch_size=200,
            ignore_conflicts=True,
        )
    return evaluation


def _text(evaluation: Evaluation, row: Mapping[str, Any]) -> EvaluationText:
    return EvaluationText(
        evaluation=evaluation,
        prompt_id=int(row["prompt"]),
        candidate=row["candidate"],
        deployed=row.get("deployed"),
        base=row["base"],
        candidate_score=row.get("candidate_score"),
        deployed_score=row.get("deployed_score"),
        base_score=row.get("base_score"),
    )


def batch_name(evaluation: Evaluation) -> str:
    """The batch by which an evaluation's blind slates are found again."""
    return f"evaluation-{evaluation.pk}"


def blind_slates(evaluation: Evaluation) -> QuerySet[Slate]:
    """What labelers were asked to compare for it."""
    return Slate.objects.filter(batch=batch_name(evaluation), project=evaluation.run.project)


def open_blind_slates(evaluation: Evaluation, *, count: int | None = None) -> int:
    """Ask labelers: new against deployed, sources hidden. How many slates there are for it now.

    count: how many prompts, in the order of their shuffle (None: as the plan says). Texts that are
    the same say nothing and are left out. Asked again, nothing is doubled.

    Raises BlindVoteBegun where more are asked for after the first vote: adding comparisons until
    the vote comes out well would make its error rate what one likes.
    """
    wanted = plan_of(evaluation.run.project).blind_slates if count is None else count
    there = blind_slates(evaluation)
    if wanted > there.count() and there.filter(rankings__isnull=False).exists():
        raise BlindVoteBegun
    texts = evaluation.texts.select_related("prompt", "prompt__project").order_by("prompt__shuffle")
    slates: list[Slate] = []
    for text in texts:
        if len(slates) >= wanted:
            break
        other = text.base if text.deployed is None else text.deployed
        if text.candidate.strip() != other.strip():
            slates.append(_blind_slate(evaluation, text, other))
    return len(slates)


def blind_vote_is_complete(evaluation: Evaluation) -> bool:
    """Whether every blind comparison is answered, was withdrawn, or was skipped by all labelers."""
    left = set(
        Assignment.objects.filter(
            slate__in=blind_slates(evaluation),
            slate__prompt__withdrawn_at=None,
            state=Assignment.State.OPEN,
        ).values_list("slate", flat=True)
    )
    if not left:
        return True
    skips: dict[int, set[int]] = {}
    for slate, labeler in Skip.objects.filter(slate__in=left).values_list("slate", "labeler"):
        skips.setdefault(slate, set()).add(labeler)
    judges = set(blind_judges(evaluation.run.project).values_list("pk", flat=True))
    return bool(judges) and all(judges <= skips.get(slate, set()) for slate in left)


def open_missing_blind_slates() -> None:
    """Ask labelers wherever a plan wants it and that was missed: a worker died just then."""
    recent = Evaluation.objects.filter(
        run__project__archived_at=None,
        run__project__plan__blind_slates__gt=0,
        created_at__gte=timezone.now() - timedelta(days=1),
    )
    for evaluation in recent.select_related("run__project"):
        with apart("opening blind slates", evaluation):
            if not blind_slates(evaluation).exists():
                open_blind_slates(evaluation)


def _blind_slate(evaluation: Evaluation, text: EvaluationText, other: str) -> Slate:
    """One prompt's two texts, inserted in a secret order: their ids say nothing either."""
    pairs = secret_order(
        ((evaluation.candidate, text.candidate), (evaluation.deployed, other)),
        key=f"{batch_name(evaluation)}-{text.prompt_id}",
    )
    sampling = {"evaluation": evaluation.pk, "temperature": evaluation.run.config["temperature"]}
    with transaction.atomic():
        completions = add_completions(
            prompt=text.prompt,
            completions=[
                NewCompletion(
                    source=_source(checkpoint),
                    external_id=f"{batch_name(evaluation)}-{checkpoint.pk}",
                    text=written,
                    sampling=sampling,
                )
                for checkpoint, written in pairs
            ],
        )
        return open_slate(
            prompt=text.prompt,
            completions=completions,
            purpose=Purpose.EVALUATION,
            overlap=1,
            batch=batch_name(evaluation),
        )


def _source(checkpoint: Checkpoint) -> Any:
    assert checkpoint.source is not None, "bases and policies have a source"
    return checkpoint.source


def blind_win_rate(evaluation: Evaluation, *, alpha: float = 0.05) -> WinRate | None:
    """What labelers said so far, or None before the first vote.

    The interval is at level 1 − alpha, over groups of prompts.
    """
    votes = RankedCompletion.objects.filter(
        ranking__is_current=True,
        ranking__slate__batch=batch_name(evaluation),
        ranking__slate__purpose=Purpose.EVALUATION,
        ranking__slate__project=evaluation.run.project,
    ).values_list(
        "ranking__slate__prompt",
        "ranking__slate__prompt__group",
        "ranking",
        "completion__external_id",
        "rank",
    )
    ours = f"{batch_name(evaluation)}-{evaluation.candidate_id}"
    ranks: dict[tuple[int | str, int], dict[bool, int]] = {}
    for prompt, group, ranking, external_id, rank in votes:
        ranks.setdefault((group or prompt, ranking), {})[external_id == ours] = rank
    by_group: dict[int | str, list[float]] = {}
    for (together, _ranking), pair in ranks.items():
        if len(pair) == 2:
            by_group.setdefault(together, []).append(_won(pair[True], pair[False]))
    return win_rate(list(by_group.values()), alpha=alpha, seed=evaluation.pk)


def _won(ours: int, theirs: int) -> float:
    return 0.5 if ours == theirs else float(ours < theirs)
