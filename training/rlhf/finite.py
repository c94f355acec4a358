"""Numbers that became infinite or undefined: the first of them ends a run, and the error names it.

Knows nothing of losses: recipes check what they compute in the order in which one thing follows
from another, ahead of the gradient, which is only where all of it ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from training.rlhf.durable import RunError

NAMED = 3
"""Rows of a batch that an error names; of the others it says how many there are."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a run and what it learns from."""

    number: int
    """Counted from 1, as metrics.jsonl does."""
    file: str = ""
    ids: Sequence[str] = ()
    """Of the batch's rows in that file; none where they have no ids."""

    def check(self, **quantities: float | Tensor) -> None:
        """Raises RunError("not_finite") for the first of these that is infinite or undefined."""
        for name, value in quantities.items():
            if not _is_finite(value):
                raise RunError("not_finite", step=self.number, quantity=name, **self._batch())

    def _batch(self) -> dict[str, str | int]:
        ids = list(dict.fromkeys(filter(None, self.ids)))
        if not ids:
            return {}
        more = ["…"] if len(ids) > NAMED else []
        return {"file": self.file, "rows": ", ".join(ids[:NAMED] + more), "count": len(ids)}


def _is_finite(value: float | Tensor) -> bool:
    return bool(value.isfinite().all()) if isinstance(value, Tensor) else math.isfinite(value)
