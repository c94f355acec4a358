"""An order that nobody who sees ids can guess: rows are numbered as they are inserted.

A labeler's page holds the ids of the completions. Were a policy's always the smaller ones, the
comparison would not be blind.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

from django.utils.crypto import salted_hmac

T = TypeVar("T")


def secret_order(items: Iterable[T], *, key: str) -> list[T]:
    """`items` shuffled by a draw that only `key` and the installation's secret decide.

    The same key gives the same order, so that inserting twice inserts the same.
    """
    digest = salted_hmac("training.blinding", key, algorithm="sha256").digest()
    shuffled = list(items)
    random.Random(digest).shuffle(shuffled)  # noqa: S311  # its seed is the secret
    return shuffled
