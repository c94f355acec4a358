"""A round that a rule asks for and that cannot begin leaves its reason where people look."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from labeling.models import Project
from tests import factories
from tests.training import steps
from training import artifacts, rounds
from training.models import Plan, Round
from training.plans import plan_of, update_plan
from training.rounds import start_due_rounds, why_none_began


@pytest.fixture
def due(project: Project) -> Project:
    """A project whose rule asks for a round."""
    steps.add_evaluation_prompts(project)
    update_plan(project=project, after_rankings=1)
    factories.make_ranking(project)
    return project


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def put_file(*_args: Any) -> str:
        raise error

    monkeypatch.setattr(artifacts, "put_file", put_file)


def test_a_full_disk_is_named_until_a_round_begins(
    due: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        failing(patch, OSError(errno.ENOSPC, "No space left on device"))
        assert start_due_rounds() == []
    assert "The disk is full" in why_none_began(plan_of(due))
    assert len(start_due_rounds()) == 1
    assert why_none_began(plan_of(due)) == ""


def test_another_error_is_told_as_it_is(due: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, RuntimeError("the store has no bucket"))
    assert start_due_rounds() == []
    assert "the store has no bucket" in why_none_began(plan_of(due))
    assert not Round.objects.exists()


def test_a_round_that_began_meanwhile_is_no_trouble(
    due: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def under_way(**_kwargs: Any) -> Round:
        raise rounds.RoundUnderWay

    monkeypatch.setattr(rounds, "start_round", under_way)
    assert start_due_rounds() == []
    assert Plan.objects.get(project=due).start_problem == ""
