"""Where the reward model can hardly tell what is better, another labeler is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labeling.models import Slate
from labeling.projects import update_project
from tests.factories import make_labeler, make_project, make_ranking, make_slate
from training import second_opinions
from training.models import Run
from training.second_opinions import ask_for_second_opinions

pytestmark = pytest.mark.django_db


def reward_run(tmp_path: Path, margins: list[float], **settings: int) -> tuple[Run, list[Slate]]:
    """A run whose directory holds these margins, of a ranking of a slate each."""
    project = make_project(k=2, **settings)
    labeler = make_labeler(project)
    slates, rows = [], []
    for margin in margins:
        slates.append(make_slate(project))
        ranking = make_ranking(project, labeler)
        rows.append(json.dumps({"id": str(ranking.pk), "margin": margin}) + "\n")
    (tmp_path / "margins.jsonl").write_text("".join(rows))
    return Run(project=project, kind=Run.Kind.REWARD), slates


def slots(slates: list[Slate]) -> list[int]:
    return [slate.assignments.count() for slate in slates]


def test_the_tenth_with_the_smallest_margins_gets_one_slot_more(tmp_path: Path) -> None:
    margins = [0.4, 0.3, 0.01, 0.2, 0.02, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    run, slates = reward_run(tmp_path, margins, most_overlap=2)
    assert ask_for_second_opinions(run, tmp_path) == 2
    assert slots(slates) == [1, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1]
    assert ask_for_second_opinions(run, tmp_path) == 0, "taken in twice it is taken in once"


def test_no_more_than_the_most_and_only_of_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_opinions, "MOST", 1)
    monkeypatch.setattr(second_opinions, "NEWEST", 11)
    run, slates = reward_run(tmp_path, [0.0] + [0.3] * 10 + [0.2], most_overlap=3)
    assert ask_for_second_opinions(run, tmp_path) == 1
    assert slots(slates) == [1] * 11 + [2]


def test_a_project_with_a_fixed_overlap_asks_nobody(tmp_path: Path) -> None:
    run, slates = reward_run(tmp_path, [0.0, 0.1])
    assert ask_for_second_opinions(run, tmp_path) == 0
    update_project(project=run.project, most_overlap=1)
    assert ask_for_second_opinions(run, tmp_path) == 0
    assert slots(slates) == [1, 1]


def test_a_run_without_margins_asks_nobody(tmp_path: Path) -> None:
    run, _slates = reward_run(tmp_path, [0.0], most_overlap=2)
    (tmp_path / "margins.jsonl").unlink()
    assert ask_for_second_opinions(run, tmp_path) == 0


def test_a_decisions_margin_asks_nobody(tmp_path: Path) -> None:
    _run, slates = reward_run(tmp_path, [0.1], most_overlap=2)
    with (tmp_path / "margins.jsonl").open("a") as stream:
        stream.write(json.dumps({"id": f"decision-{slates[0].pk}", "margin": 0.0}) + "\n")
    assert list(second_opinions.read_margins(tmp_path).values()) == [0.1]
