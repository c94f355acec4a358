"""Preferences as JSON Lines: pairs (chosen, rejected) in TRL's format, or whole rankings.

Each row has the same fields, so that `datasets.load_dataset("json", …)` reads a file as it stands;
TRL's preference format is the pair's `prompt`, `chosen` and `rejected`, each a list of messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ENCODER = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedText:
    """A completion with its rank: 1 is best, ranks are dense, equal ranks are ties."""

    id: int
    text: str
    source: str
    finished: bool
    rank: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedSlate:
    """One ranking with all that an export tells of it. `labeler` is a pseudonym.

    weight: how much the labeler's work counts in training, from 0 (not at all) to 1.
    """

    id: int
    prompt_id: int
    prompt: Sequence[Mapping[str, str]]
    split: str
    category: str
    purpose: str
    labeler: str
    weight: float
    seconds: float
    created_at: str
    completions: Sequence[RankedText]


def untied(completions: Sequence[RankedText]) -> Iterator[tuple[RankedText, RankedText]]:
    """All pairs (chosen, rejected); ties make none. At most K(K−1)/2."""
    for number, one in enumerate(completions):
        for other in completions[number + 1 :]:
            if one.rank < other.rank:
                yield one, other
            elif other.rank < one.rank:
                yield other, one


def pair_lines(rankings: Iterable[RankedSlate]) -> Iterator[str]:
    """A line for each untied pair. A prompt and a completion are encoded once a ranking."""
    for ranking in rankings:
        head = f'{{"prompt": {_encoded(ranking.prompt)}, "chosen": '
        tail = _encoded(_about(ranking))[1:] + "\n"
        answers = {item.id: _answer(item.text) for item in ranking.completions}
        facts = {item.id: _facts(item) for item in ranking.completions}
        for chosen, rejected in untied(ranking.completions):
            yield (
                f'{head}{answers[chosen.id]}, "rejected": {answers[rejected.id]}, '
                f"{facts[chosen.id] % {'side': 'chosen'}}, "
                f"{facts[rejected.id] % {'side': 'rejected'}}, {tail}"
            )


def _facts(item: RankedText) -> str:
    """The fields of one side of a pair; `%(side)s` stands for its name."""
    source = _encoded(item.source).replace("%", "%%")
    finished = _encoded(item.finished)
    return (
        f'"%(side)s_id": {item.id}, "%(side)s_source": {source}, '
        f'"%(side)s_rank": {item.rank}, "%(side)s_finished": {finished}'
    )


def trl_lines(rankings: Iterable[RankedSlate]) -> Iterator[str]:
    """A line for each untied pair with nothing but TRL's `prompt`, `chosen` and `rejected`."""
    for ranking in rankings:
        head = f'{{"prompt": {_encoded(ranking.prompt)}, "chosen": '
        answers = {item.id: _answer(item.text) for item in ranking.completions}
        for chosen, rejected in untied(ranking.completions):
            yield f'{head}{answers[chosen.id]}, "rejected": {answers[rejected.id]}}}\n'


def ranking_lines(rankings: Iterable[RankedSlate]) -> Iterator[str]:
    """A line for each ranking: `ranks[i]` belongs to `completions[i]`.

    A run directory's data/rankings.jsonl takes these rows as they are.
    """
    for ranking in rankings:
        row = {
            "id": str(ranking.id),
            "prompt": ranking.prompt,
            "completions": [
                {
                    "id": str(item.id),
                    "text": item.text,
                    "source": item.source,
                    "finished": item.finished,
                }
                for item in ranking.completions
            ],
            "ranks": [item.rank for item in ranking.completions],
            **_about(ranking),
        }
        yield _encoded(row) + "\n"


def _about(ranking: RankedSlate) -> dict[str, Any]:
    """The fields that pairs and rankings share."""
    return {
        "ranking": ranking.id,
        "prompt_id": ranking.prompt_id,
        "split": ranking.split,
        "category": ranking.category,
        "purpose": ranking.purpose,
        "labeler": ranking.labeler,
        "weight": ranking.weight,
        "seconds": ranking.seconds,
        "created_at": ranking.created_at,
    }


def _answer(text: str) -> str:
    """A completion as the list of messages that TRL takes."""
    return f'[{{"role": "assistant", "content": {_encoded(text)}}}]'


def _encoded(value: object) -> str:
    """JSON, with letters of all scripts as they are.

    Three characters that some readers take for the end of a line are escaped.
    """
    text = ENCODER.encode(value)
    return text.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


Writer = Callable[[Iterable[RankedSlate]], Iterator[str]]
FORMS: dict[str, Writer] = {"pairs": pair_lines, "trl": trl_lines, "rankings": ranking_lines}
"""What an address may ask for."""
