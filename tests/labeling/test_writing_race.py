"""Four processes take prompts to write for at once: no prompt is given to two people."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.labeling.races import output_of, race

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]


def written_in(
    environment: Mapping[str, str], prompts: int, labelers: list[str]
) -> list[tuple[str, int, int]]:
    """Labeler, prompt, demonstration: what each wrote of so many prompts, all at once."""
    output_of("writing_racer", environment, "prepare", str(prompts), str(len(set(labelers))))
    return race("writing_racer", "write", environment, labelers)


def test_a_hundred_prompts_are_given_out_once_each(race_database):
    written = written_in(race_database, 100, [f"labeler{number}" for number in range(4)])
    assert len(written) == 100
    assert len({prompt for _name, prompt, _made in written}) == 100


def test_two_tabs_of_each_labeler_double_nothing(race_database):
    written = written_in(race_database, 30, [f"labeler{number // 2}" for number in range(4)])
    by_prompt: dict[int, set[tuple[str, int]]] = {}
    for name, prompt, made in written:
        by_prompt.setdefault(prompt, set()).add((name, made))
    assert len(by_prompt) == 30
    assert all(len(found) == 1 for found in by_prompt.values())
