"""Rankings of a run directory as rows to score and pairs to learn. Knows nothing of models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from training.records import Message, Split
from training.rlhf.durable import RunError
from training.rlhf.features import FeatureRow
from training.rlhf.finite import Step
from training.rlhf.groups import groups_of
from training.rlhf.rankings import Rankings
from training.rlhf.rundir import RunDirectory

RANKINGS = "data/rankings.jsonl"
DEMONSTRATIONS = "data/demonstrations.jsonl"
ROLES: tuple[str, ...] = get_args(get_type_hints(Message)["role"])


@dataclass(frozen=True)
class RankedRows:
    """Completions, each once however often it was ranked, and who ranked which above which."""

    rows: list[FeatureRow]
    sources: list[str]
    rankings: Rankings
    ids: list[str]
    """Of each ranking, as the dataset names it."""
    of_one: int = 0
    """Rankings of a single completion, passed over: they compare nothing."""
    ungraded: int = 0
    """Rankings without a grade, where grades are to count."""

    def oddities(self) -> dict[str, int]:
        """What there is of rankings that teach nothing or oppose each other, by a name, if any.

        rankings_of_one: passed over. rankings_all_tied: no pair of theirs says anything.
        equal_texts_apart: pairs of one text with itself that were ranked apart, left out.
        pairs_contradicted: pairs of completions that were ordered one way and the other.
        rankings_without_grades: their order counts alone, where grades are to count.
        empty_texts_ranked: completions of nothing but white space, ranked like the others.
        """
        found = {
            "rankings_of_one": self.of_one,
            "rankings_all_tied": sum(len(set(ranks)) == 1 for ranks in self.rankings.ranks),
            "equal_texts_apart": self.rankings.equal_rows_apart,
            "pairs_contradicted": self.rankings.contradicted_pairs,
            "rankings_without_grades": self.ungraded,
            "empty_texts_ranked": sum(not row.text.strip() for row in self.rows),
        }
        return {name: count for name, count in found.items() if count}

    def prompt_of_row(self) -> list[str]:
        """The prompt (as in `rankings.prompts`) of every row."""
        prompts = [""] * len(self.rows)
        for rows, prompt in zip(self.rankings.rows, self.rankings.prompts, strict=True):
            for row in rows:
                prompts[row] = prompt
        return prompts


def read_rankings(
    directory: RunDirectory, split: Split, *, grade_margin: float = 0.0
) -> RankedRows:
    """The rankings of one split. Rows of one prompt stand together, in the order of the file.

    grade_margin: what a step of a grade (1 to 7) is worth, in units of score. Rankings of weight 0
    and those of one completion are passed over.
    Raises RunError("data_missing"), or RunError("data_invalid") with the line and the problem.
    """
    read = [
        (number, row)
        for number, row in enumerate(directory.rows("rankings"), start=1)
        if row.get("split") == split
    ]
    for number, row in read:
        _check(number, row)
    of_one = 0
    order: dict[str, list[dict[str, Any]]] = {}
    for _, row in read:
        if row.get("weight", 1.0) == 0:
            continue  # as an export has those whose work counts nothing
        if len(row["completions"]) == 1:
            of_one += 1
            continue
        order.setdefault(_key(row["prompt"]), []).append(row)

    rows: list[FeatureRow] = []
    sources: list[str] = []
    indices, ranks, prompts, weights, ids, used = [], [], [], [], [], []
    for prompt, judged in order.items():
        places: dict[tuple[str, bool], int] = {}
        for row in judged:
            own = []
            for completion in row["completions"]:
                key = (completion["text"], completion["finished"])
                if key not in places:
                    places[key] = len(rows)
                    rows.append(FeatureRow(row["prompt"], *key))
                    sources.append(str(completion["source"]))
                own.append(places[key])
            indices.append(own)
            ranks.append([int(rank) for rank in row["ranks"]])
            prompts.append(prompt)
            weights.append(float(row.get("weight", 1.0)))
            ids.append(str(row.get("id", "")))
            used.append(row)
    rankings = Rankings(
        rows=indices,
        ranks=ranks,
        prompts=prompts,
        weights=weights,
        groups=groups_of(used),
        labelers=[str(row.get("labeler") or "") for row in used],
        categories=[str(row.get("category") or "") for row in used],
        worth=[_worth(row.get("likert") or (), grade_margin) for row in used],
    )
    ungraded = sum(not own for own in rankings.worth) if grade_margin else 0
    return RankedRows(rows, sources, rankings, ids, of_one, ungraded)


def step_of(number: int, data: RankedRows, groups: Sequence[Sequence[int]]) -> Step:
    """Step `number`, counted from 1, on groups of rankings, given by their numbers."""
    return Step(number=number, file=RANKINGS, ids=[data.ids[n] for own in groups for n in own])


def _worth(grades: Sequence[int | None], grade_margin: float) -> list[float]:
    """Of each completion. One without a grade (a better version, which ranks first) is worth the
    least of the others, so that it need not lie further above them."""
    given = [grade for grade in grades if grade is not None]
    if not given or not grade_margin:
        return []
    return [grade_margin * (min(given) if grade is None else grade) for grade in grades]


@dataclass(frozen=True)
class Demonstration:
    """What a person would have answered, a finished completion, and its label weight."""

    row: FeatureRow
    weight: float
    task: str = ""
    """The category of its prompt; empty where it has none."""
    id: str = ""
    """As the dataset names it."""


def read_demonstrations(directory: RunDirectory) -> list[Demonstration]:
    """The run's demonstrations on training prompts; none where it has no such file.

    Raises RunError("data_invalid").
    """
    if not directory.has("demonstrations"):
        return []
    found = []
    for number, row in enumerate(directory.rows("demonstrations"), start=1):
        weight = row.get("weight", 1.0)
        if (
            not isinstance(row.get("completion"), str)
            or not is_conversation(row.get("prompt"))
            or not (isinstance(weight, int | float) and weight > 0)
        ):
            raise RunError(
                "data_invalid",
                file=DEMONSTRATIONS,
                line=number,
                problem="needs a prompt of messages, a completion and a weight above 0",
            )
        if row.get("split") == "train":
            answer = FeatureRow(row["prompt"], row["completion"], finished=True)
            task = row.get("category")
            found.append(
                Demonstration(
                    answer,
                    float(weight),
                    task if isinstance(task, str) else "",
                    str(row.get("id", "")),
                )
            )
    return found


def is_conversation(prompt: object) -> bool:
    """Whether this is a list of at least one message with role and content.

    A role is written into the template as it is, so that it can only be one of a few.
    """
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(
            isinstance(message, dict)
            and message.get("role") in ROLES
            and isinstance(message.get("content"), str)
            for message in prompt
        )
    )


def _key(prompt: list[dict[str, str]]) -> str:
    return json.dumps([[turn["role"], turn["content"]] for turn in prompt], ensure_ascii=False)


def _is_grade(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 7


def _check(number: int, row: dict[str, Any]) -> None:
    """Raises RunError("data_invalid") for a ranking that is none."""

    def unless(holds: bool, problem: str) -> None:
        if not holds:
            raise RunError("data_invalid", file=RANKINGS, line=number, problem=problem)

    completions, ranks = row.get("completions"), row.get("ranks")
    unless(is_conversation(row.get("prompt")), "prompt: must be messages with role and content")
    unless(isinstance(completions, list) and bool(completions), "completions: at least one")
    unless(
        all(
            isinstance(item, dict)
            and isinstance(item.get("text"), str)
            and isinstance(item.get("finished"), bool)
            and "source" in item
            for item in completions or []
        ),
        "completions: each needs text, source and finished",
    )
    unless(
        isinstance(ranks, list)
        and len(ranks) == len(completions or [])
        and all(isinstance(rank, int) and rank >= 1 for rank in ranks),
        "ranks: one whole number from 1 for each completion",
    )
    grades = row.get("likert")
    unless(
        grades is None
        or (
            isinstance(grades, list)
            and len(grades) == len(completions or [])
            and all(grade is None or _is_grade(grade) for grade in grades)
        ),
        "likert: a whole number from 1 to 7 or null for each completion, or nothing",
    )
    weight = row.get("weight", 1.0)
    unless(isinstance(weight, int | float) and weight >= 0, "weight: 0 (left out) or more")
