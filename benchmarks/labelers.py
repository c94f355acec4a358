"""Simulated labelers: a hidden score and noise go in, rankings come out.

Knows nothing of the product, of models or of which gold score it is given. The noise is measured
against how often real labelers agree with each other (InstructGPT: 72.6 ± 1.5 %).
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist, fmean
from typing import NamedTuple

Gold = Callable[[str, str], float]
Slate = tuple[str, Sequence[str]]
"""A prompt and the completions that are ranked against each other."""

PAPER_AGREEMENT = 0.73
BISECTIONS = 60

_STANDARD_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class SimulatedLabeler:
    """Someone who sees the gold score through noise of a constant standard deviation.

    The noise is keyed by (seed, prompt, completion): asked again, in whatever order or company, the
    same labeler sees the same; labelers of different seeds err independently.
    """

    name: str
    seed: int
    noise: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"noise is a standard deviation, 0 or more, not {self.noise}")

    def rank(self, gold: Gold, prompt: str, completions: Sequence[str]) -> list[int]:
        """Dense ranks in the order of the completions: 1 is best, equal texts share a rank."""
        scores = [self.perceived(gold, prompt, text) for text in completions]
        rank_of = {score: rank for rank, score in enumerate(sorted(set(scores), reverse=True), 1)}
        return [rank_of[score] for score in scores]

    def rank_slates(self, gold: Gold, slates: Sequence[Slate]) -> list[list[int]]:
        """The ranks of each slate, in the order of the slates."""
        return [self.rank(gold, prompt, completions) for prompt, completions in slates]

    def perceived(self, gold: Gold, prompt: str, completion: str) -> float:
        """The gold score as this labeler sees it."""
        return gold(prompt, completion) + self.noise * _standard_normal(
            self.seed, prompt, completion
        )


class NoiseCalibration(NamedTuple):
    """How much noise makes labelers as unsure as wanted."""

    relative: float
    """Standard deviation in units of the gold score's spread within a slate."""
    spread: float
    """That spread, in units of the gold score: the pooled standard deviation within slates."""

    @property
    def noise(self) -> float:
        """Standard deviation in units of the gold score, as SimulatedLabeler takes it."""
        return self.relative * self.spread


def calibrate_noise(
    gold: Gold, samples: Sequence[Slate], target_agreement: float = PAPER_AGREEMENT
) -> NoiseCalibration:
    """Find the noise at which two labelers agree on this share of the pairs that neither ties.

    Exact, not simulated: of a pair whose gold scores differ by d, a labeler with noise σ prefers
    the better one with probability p = Φ(|d| / (σ√2)), and two labelers agree with p² + (1 - p)².
    That falls as σ grows, so bisection finds σ. Equal texts, which every labeler ties, do not
    count; different texts of the same score do, and two labelers agree on half of those.

    Raises ValueError where no noise gives that agreement on these samples.
    """
    scores = [[gold(prompt, text) for text in dict.fromkeys(texts)] for prompt, texts in samples]
    spread = _spread_within(scores)
    if spread == 0:
        raise ValueError("the gold score tells no two completions of a sample apart")
    distances = [abs(a - b) / spread for slate in scores for a, b in combinations(slate, 2)]
    most = fmean(1.0 if distance else 0.5 for distance in distances)
    if not 0.5 < target_agreement < most:
        raise ValueError(
            f"two labelers can agree on 50 % to {100 * most:.1f} % of the pairs of these samples; "
            f"choose a target between, not {100 * target_agreement:.1f} %"
        )
    too_little, too_much = 0.0, 1.0
    while _agreement(distances, too_much) > target_agreement:
        too_little, too_much = too_much, 2 * too_much
    for _ in range(BISECTIONS):
        middle = (too_little + too_much) / 2
        if _agreement(distances, middle) > target_agreement:
            too_little = middle
        else:
            too_much = middle
    return NoiseCalibration(relative=(too_little + too_much) / 2, spread=spread)


def expected_agreement_with_gold(agreement: float) -> float:
    """How often a labeler is right, from how often two of them agree: (1 + √(2a - 1)) / 2.

    Solves a = p² + (1 - p)² for p, two labelers erring independently and equally often on each
    pair. Where some pairs are harder than others it is the most that a labeler can reach.
    """
    if not 0.5 <= agreement <= 1:
        raise ValueError(f"independent labelers agree on 50 % to 100 % of pairs, not {agreement}")
    return (1 + math.sqrt(2 * agreement - 1)) / 2


def _standard_normal(seed: int, prompt: str, completion: str) -> float:
    """A draw from N(0, 1) that depends on nothing but its arguments, on any machine."""
    key = json.dumps([seed, prompt, completion]).encode()
    bits = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 12
    return _STANDARD_NORMAL.inv_cdf((bits + 0.5) / 2**52)


def _spread_within(slates: Sequence[Sequence[float]]) -> float:
    """The pooled standard deviation of the scores around the mean of their slate."""
    squares = sum(sum((score - fmean(slate)) ** 2 for score in slate) for slate in slates if slate)
    freedom = sum(len(slate) - 1 for slate in slates if slate)
    return math.sqrt(squares / freedom) if freedom else 0.0


def _agreement(distances: Sequence[float], noise: float) -> float:
    """The share of pairs, given by the distance of their scores, on which two labelers agree."""
    right = [_STANDARD_NORMAL.cdf(distance / (noise * math.sqrt(2))) for distance in distances]
    return fmean(p * p + (1 - p) * (1 - p) for p in right)
