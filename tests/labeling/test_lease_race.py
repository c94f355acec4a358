"""Eight processes lease and submit at once: nothing is given out twice, nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.labeling.races import output_of, race

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]

Lease = tuple[str, int, int]
"""Labeler, slot, ranking."""


def leased(
    environment: Mapping[str, str],
    slates: int,
    labelers: list[str],
    *,
    overlap: int = 1,
    most_overlap: int = 0,
) -> list[Lease]:
    """What each labeler was given of so many slates, all at once."""
    numbers = (slates, len(set(labelers)), overlap, most_overlap)
    output_of("lease_racer", environment, "prepare", *map(str, numbers))
    return race("lease_racer", "rank", environment, labelers)


def test_two_thousand_leases_are_given_out_once_each(race_database):
    leases = leased(race_database, 2_000, [f"labeler{number}" for number in range(8)])
    assert len(leases) == 2_000
    assert len({slot for _name, slot, _ranking in leases}) == 2_000
    assert len({ranking for _name, _slot, ranking in leases}) == 2_000


def test_two_tabs_of_each_labeler_double_nothing(race_database):
    leases = leased(race_database, 300, [f"labeler{number // 2}" for number in range(8)])
    by_slot: dict[int, set[tuple[str, int]]] = {}
    for name, slot, ranking in leases:
        by_slot.setdefault(slot, set()).add((name, ranking))
    assert len(by_slot) == 300
    assert all(len(found) == 1 for found in by_slot.values())


def test_slates_that_are_disputed_grow_to_the_limit_and_no_further(race_database):
    """Eight labelers, four of each opinion, on the same few slates, all at once."""
    leases = leased(
        race_database,
        60,
        [f"labeler{number}" for number in range(8)],
        overlap=2,
        most_overlap=5,
    )
    slots = [line.split() for line in output_of("lease_racer", race_database, "look")]
    by_slate: dict[str, list[tuple[int, str, str]]] = {}
    for slate, slot, labeler, agrees in slots:
        by_slate.setdefault(slate, []).append((int(slot), labeler, agrees))
    assert len(by_slate) == 60
    for found in by_slate.values():
        assert sorted(slot for slot, _, _ in found) == list(range(len(found)))
        assert len({labeler for _, labeler, _ in found}) == len(found)
        opinions = [agrees for _, _, agrees in sorted(found)]
        assert len(found) == (2 if opinions[0] == opinions[1] else 5)
    assert len(leases) == len(slots)
    assert max(map(len, by_slate.values())) == 5
