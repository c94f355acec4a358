"""Simulated labelers at work: threads that rank over REST whatever the product hands out.

Knows the API, nothing of rounds or of what is measured afterwards.
"""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.labelers import SimulatedLabeler
from benchmarks.product import Client

Gold = Callable[[str, str], float]
PROJECT = "loop"
"""The slug of the project that the loop goes round in."""


def last_turn(messages: Sequence[dict[str, str]]) -> str:
    """The text that the gold score sees as the prompt."""
    return messages[-1]["content"]


class Team:
    """Simulated labelers, each a thread with a token, ranking whatever the product hands out.

    They rank as fast as the product gives them work, which no person does; so while a round trains
    they rest, and what they rank next is by the policy that came of it.
    """

    def __init__(self, clients: list[Client], gold: Gold, noise: float, seed: int) -> None:
        self.gold = gold
        self.members = [
            (client, SimulatedLabeler(name=f"simulated-{i}", seed=seed * 1000 + i, noise=noise))
            for i, client in enumerate(clients)
        ]
        self.stopping = threading.Event()
        self.resting = threading.Event()
        self.ranked = 0
        self.refused: list[str] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=member, daemon=True) for member in self.members
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(timeout=90)

    def rest(self, *, resting: bool) -> None:
        """Put the work down, or take it up again."""
        if resting:
            self.resting.set()
        else:
            self.resting.clear()

    def _work(self, client: Client, labeler: SimulatedLabeler) -> None:
        while not self.stopping.is_set():
            if self.resting.is_set():
                self.stopping.wait(1.0)
                continue
            try:
                assignment = client.post(f"projects/{PROJECT}/assignments/next/")
                if assignment is None:
                    self.stopping.wait(2.0)
                    continue
                self._rank(client, labeler, assignment)
            except urllib.error.HTTPError as error:
                with self._lock:
                    self.refused.append(f"{error.code}: {error.read(300)!r}")
                self.stopping.wait(1.0)
            except OSError:
                self.stopping.wait(1.0)

    def _rank(self, client: Client, labeler: SimulatedLabeler, assignment: Any) -> None:
        texts = [completion["text"] for completion in assignment["completions"]]
        ranks = labeler.rank(self.gold, last_turn(assignment["prompt"]), texts)
        client.post(
            f"projects/{PROJECT}/rankings/",
            {
                "assignment": assignment["id"],
                "lease": assignment["lease"],
                "ranks": {
                    str(completion["id"]): rank
                    for completion, rank in zip(assignment["completions"], ranks, strict=True)
                },
                "seconds": 1.0,
            },
        )
        with self._lock:
            self.ranked += 1
