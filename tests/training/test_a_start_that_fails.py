"""A round whose datasets can't be frozen says why where people look, and tries again."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from labeling.models import Project
from tests import factories
from tests.training import steps
from training import artifacts, datasets, rounds, rules
from training.models import Dataset, Round
from training.plans import update_plan
from training.rules import freeze_begun_rounds, start_due_rounds, why_not_frozen


@pytest.fixture
def begun(project: Project) -> Round:
    """A round that a rule has started."""
    steps.add_evaluation_prompts(project)
    update_plan(project=project, after_rankings=1)
    factories.make_ranking(project)
    (round_,) = start_due_rounds()
    return round_


def freeze(round_: Round) -> str:
    """What a tick does; then what is said of the round."""
    freeze_begun_rounds()
    round_.refresh_from_db()
    return why_not_frozen(round_)


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def put_file(*_args: Any) -> str:
        raise error

    monkeypatch.setattr(artifacts, "put_file", put_file)


def test_a_full_disk_is_named_until_there_is_room(
    begun: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        failing(patch, OSError(errno.ENOSPC, "No space left on device"))
        assert "The disk is full" in freeze(begun)
        assert begun.is_freezing
        assert not Dataset.objects.exists()
    assert freeze(begun) == ""
    assert begun.step == Round.Step.REWARD
    assert begun.runs.count() == 1


def test_another_error_is_told_as_it_is(begun: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, RuntimeError("the store has no bucket"))
    assert "the store has no bucket" in freeze(begun)
    assert not begun.runs.exists()


def test_a_config_that_cannot_be_run_is_told_in_its_words(begun: Round) -> None:
    plan = begun.project.plan
    plan.overrides = {"reward": {"folds": 1}}
    plan.save(update_fields=["overrides"])
    assert "folds" in freeze(begun)
    plan.overrides = {}
    plan.save(update_fields=["overrides"])
    assert freeze(begun) == ""


def test_two_workers_that_freeze_one_round_queue_one_run(
    begun: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_freeze = datasets.freeze_prompts

    def meanwhile(**values: Any) -> Dataset:
        monkeypatch.setattr(datasets, "freeze_prompts", really_freeze)
        rounds.freeze(begun)
        return really_freeze(**values)

    monkeypatch.setattr(datasets, "freeze_prompts", meanwhile)
    assert freeze(begun) == ""
    assert begun.runs.count() == 1
    assert begun.datasets.count() == 2


def test_a_round_that_is_cancelled_while_it_freezes_stays_so(
    begun: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_freeze = datasets.freeze_prompts

    def meanwhile(**values: Any) -> Dataset:
        rounds.cancel_round(round_=begun)
        return really_freeze(**values)

    monkeypatch.setattr(datasets, "freeze_prompts", meanwhile)
    freeze(begun)
    assert begun.state == Round.State.CANCELLED
    assert not begun.runs.exists()


def test_rankings_that_come_while_it_freezes_are_counted_once(begun: Round) -> None:
    factories.make_ranking(begun.project)
    assert freeze(begun) == ""
    assert begun.rankings_at_start == 2
    assert rules.new_rankings(begun.project) == 0


def test_a_round_that_began_meanwhile_is_no_trouble(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.add_evaluation_prompts(project)
    update_plan(project=project, after_rankings=1)
    factories.make_ranking(project)

    def under_way(**_kwargs: Any) -> Round:
        raise rounds.RoundUnderWay

    monkeypatch.setattr(rules, "start_round", under_way)
    assert start_due_rounds() == []
