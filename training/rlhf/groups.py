"""Which prompts belong together: variants of a template, near duplicates, the turns of one talk.

What is known of one says much of the others, so they share a fold, and are drawn together where an
interval is found by resampling. Rows in, names out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def groups_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The group of each row's prompt: the one that it names, else its conversation's.

    rows: with `prompt` (messages) and perhaps `group`, as in training/records.py. A conversation
    is known by its first user turn; if only some of its turns name a group, all are in it.
    """
    roots = [_root(row["prompt"]) for row in rows]
    named = [str(row.get("group") or "") for row in rows]
    group_of = {root: group for root, group in zip(roots, named, strict=True) if group}
    return [
        f"group {group}" if group else f"talk {root}"
        for root in roots
        for group in [group_of.get(root, "")]
    ]


def sums_by_group(groups: Sequence[str], *numbers: ArrayLike) -> list[NDArray[np.float64]]:
    """Each of `numbers`, (n,), added up over the rows of every group: (groups,) each."""
    place = {group: index for index, group in enumerate(sorted(set(groups)))}
    owner = np.array([place[group] for group in groups], dtype=np.int64)
    sums = np.zeros((len(numbers), len(place)))
    for total, own in zip(sums, numbers, strict=True):
        np.add.at(total, owner, np.asarray(own, dtype=np.float64))
    return list(sums)


def _root(prompt: Sequence[Mapping[str, str]]) -> str:
    return next((turn["content"] for turn in prompt if turn["role"] == "user"), "")
