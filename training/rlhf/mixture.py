"""How much of each task an epoch holds: in proportion, flattened by a temperature, or as told.

Numbers and names only; knows nothing of demonstrations or models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from training.configs import SftConfig
from training.rlhf.randomness import shuffled

OTHER = "other"
"""The task of what names none."""


def shares(sizes: Mapping[str, int], config: SftConfig) -> dict[str, float]:
    """The share of each task in an epoch, summing to 1.

    sizes: how many examples each task has, all above 0. temperature: in proportion to
    n^(1/T) (T5, arXiv 1910.10683, section 3.5.2): T = 1 is in proportion to the examples, a large
    T gives every task the same. shares: as the config names them; a task that it doesn't name has
    none, and what names a task without examples is left out.
    """
    if config.mixture == "shares":
        named = config.named_shares()
        raw = {task: named.get(task, 0.0) for task in sizes}
    else:
        power = 1 / config.mixture_temperature if config.mixture == "temperature" else 1.0
        most = max(sizes.values())
        raw = {task: math.pow(size / most, power) for task, size in sizes.items()}
    total = sum(raw.values())
    return {task: value / total if total else 0.0 for task, value in raw.items()}


def counts(wanted: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in the proportion of `wanted` that sum to `total` (largest remainders)."""
    exact = {task: share * total for task, share in wanted.items()}
    found = {task: math.floor(value) for task, value in exact.items()}
    rest = total - sum(found.values())
    by_remainder = sorted(exact, key=lambda task: (found[task] - exact[task], task))
    for task in by_remainder[:rest]:
        found[task] += 1
    return found


def epoch_order(tasks: Sequence[str], config: SftConfig, epoch: int) -> list[int]:
    """The numbers of the examples of one epoch, as many as there are, in a shuffled order.

    tasks: the task of each example. Within a task every example comes once before any comes again,
    also across epochs. In proportion, each comes once an epoch.
    """
    if config.mixture == "proportional":
        return shuffled(len(tasks), config.seed, "sft", epoch)
    members: dict[str, list[int]] = {}
    for number, task in enumerate(tasks):
        members.setdefault(task, []).append(number)
    sizes = {task: len(own) for task, own in members.items()}
    wanted = counts(shares(sizes, config), len(tasks))
    chosen = [
        member
        for task, own in sorted(members.items())
        for member in _in_turn(own, epoch * wanted[task], wanted[task], config.seed, task)
    ]
    order = shuffled(len(chosen), config.seed, "mixture", epoch)
    return [chosen[place] for place in order]


def _in_turn(members: Sequence[int], start: int, count: int, seed: int, task: str) -> list[int]:
    """`count` of a task's examples from place `start` of an endless repetition, laps shuffled."""
    found: list[int] = []
    lap, place = divmod(start, len(members))
    while len(found) < count:
        order = shuffled(len(members), seed, "mixture", task, lap)[place:]
        found += [members[index] for index in order[: count - len(found)]]
        lap, place = lap + 1, 0
    return found
