"""Numbers that change along a run: learning rates by step, and the KL penalty's coefficient.

Plain numbers only; knows nothing of optimisers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


def warmed_up(
    step: int, *, warmup: int, start: float = 0.1, anneal_over: int | None = None
) -> float:
    """Share of the peak learning rate: from `start` to 1 over `warmup` steps, then 1.

    step counts from 0. InstructGPT, appendix C.4: a tenth of the peak, over the first 10.
    anneal_over: times a straight line from 1 at the first step to 0 after so many, as in
    openai/lm-human-preferences and arXiv 2403.17031.
    """
    left = 1.0 if anneal_over is None else 1 - step / anneal_over
    if step >= warmup:
        return left
    return (start + (1 - start) * step / warmup) * left


def cosine(step: int, *, total: int, warmup: int = 0, floor: float = 0.1) -> float:
    """Share of the peak: linear warm-up from 0, then a half cosine down to `floor` at `total`.

    InstructGPT, appendix C.1: cosine decay to a tenth of the peak.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def kl_target_from(start: float, *, target: float, step: float | None) -> float:
    """What a run aims at, nats: its target, or `step` beyond the KL that it starts at."""
    return target if step is None else min(target, max(0.0, start) + step)


LEAST_TARGET = 1.0
"""Nats a completion, below which no run is made to aim."""
MOST_EXCESS = 2.0
"""A look, with its few texts, never takes more than half of the target."""


@dataclass(frozen=True, kw_only=True)
class KlController:
    """Holds the policy's KL to its reference near a target by moving β, looking ahead.

    Rules that only multiply β up or down wait for an error to build up, while KL builds up under
    the reward's pull: two integrators in a row swing (docs/experiments.md: over the target by
    half, then a crash to a third of it). Here

        log β = log β₀ + integral + proportional·e,   integral += rate·e·(episodes/64),

    with e = clip(log(KL/target), ±bound) of the KL expected `lead` batches from now: a policy
    moves at a steady pace, and its KL grows with the square of the way, so √KL is carried on in a
    straight line. The proportional part sets in when the expected KL first reaches the target, and
    the integral rests while KL is on its way back by itself: wound up by then, it would overshoot.
    """

    target: float
    """Nats a completion."""
    start: float
    """β₀, on the normalised reward's scale, per nat."""
    proportional: float = 1.0
    rate: float = 0.1
    bound: float = 0.7
    lead: float = 2.0
    """Batches to look ahead."""
    smoothing: float = 0.5
    """Weight of the newest measurement in the running means of √KL and of its pace."""
    integral: float = 0.0
    root: float | None = None
    """Running mean of √KL; None before the first measurement."""
    pace: float = 0.0
    """Running mean of the change of √KL from batch to batch."""
    arrived: bool = False
    """True once the expected KL has reached the target."""

    @property
    def error(self) -> float:
        """log(expected KL/target), clipped: above 0 is too far from the reference."""
        if self.root is None:
            return -self.bound
        expected = max(self.root + self.lead * self.pace, 0.01)
        return max(-self.bound, min(self.bound, math.log(expected**2 / self.target)))

    @property
    def beta(self) -> float:
        """The coefficient for the batch whose KL was reported last, and until the next report."""
        push = self.proportional * self.error if self.arrived else 0.0
        return self.start * math.exp(self.integral + push)

    def aiming_lower(self, excess: float) -> KlController:
        """The controller after a look that went `excess` times as far as the run's limits allow.

        Beyond them nothing can become the run's result, and the way back takes several batches.
        """
        if excess <= 1:
            return self
        return replace(self, target=max(LEAST_TARGET, self.target / min(excess, MOST_EXCESS)))

    def measured(self, kl: float, *, episodes: int) -> KlController:
        """The controller after a batch of `episodes` with a mean KL of `kl` nats a completion."""
        root = math.sqrt(max(kl, 0.0))
        before = 0.0 if self.root is None else self.root
        now = before + (1.0 if self.root is None else self.smoothing) * (root - before)
        pace = self.pace + self.smoothing * (now - before - self.pace)
        seen = replace(self, root=now, pace=pace)
        if self.root is None or -seen.pace * seen.error > 0.02 * math.sqrt(seen.target):
            return seen
        integral = seen.integral + seen.rate * seen.error * episodes / 64
        return replace(seen, arrived=self.arrived or seen.error >= 0, integral=integral)
