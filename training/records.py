"""Rows of a run directory's JSONL files. Standard library only.

One half of the contract between Django and the trainer; the other half is `training/configs.py`.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Split = Literal["train", "judge", "rm_test", "evaluation"]


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class DemonstrationRow(TypedDict):
    """data/demonstrations.jsonl: what a person would have answered."""

    id: str
    split: Split
    category: NotRequired[str]
    prompt: list[Message]
    completion: str
    labeler: str
    weight: float


class RankedText(TypedDict):
    """One completion of a ranking. `finished` is False when it was cut at the token limit."""

    id: str
    text: str
    source: str
    finished: bool


class RankingRow(TypedDict):
    """data/rankings.jsonl: `ranks[i]` belongs to `completions[i]`; 1 is best, dense, ties equal.

    id: a ranking's number, or "decision-" and the number of an adjudicator's decision. group: of
    the prompt, variants of a template or near duplicates, which share a fold; none for most.
    likert: grades from 1 to 7, null for a better version that the labeler wrote.
    """

    id: str
    split: Split
    category: NotRequired[str]
    group: NotRequired[str]
    prompt: list[Message]
    completions: list[RankedText]
    ranks: list[int]
    labeler: str
    weight: float
    likert: NotRequired[list[int | None]]


class PromptRow(TypedDict):
    """data/prompts.jsonl: a prompt to roll out, to sample for, or to evaluate on."""

    id: str
    split: Split
    category: NotRequired[str]
    group: NotRequired[str]
    prompt: list[Message]


class TextRow(TypedDict):
    """data/texts.jsonl: plain text for PPO-ptx and pretraining."""

    id: str
    split: Split
    text: str


class CompletionRow(TypedDict):
    """completions.jsonl, written by `sample`; the id is (prompt, source, sample number).

    logprob: log π of the whole completion, nats, at the temperature that it was drawn with; an
    outside server's has none.
    """

    id: str
    prompt: str
    sample: int
    text: str
    finished: bool
    tokens: int
    logprob: NotRequired[float]
    seed: int


class EvaluationRow(TypedDict):
    """evaluation.jsonl, written by `evaluate`: one evaluation prompt with a text of each policy.

    Scores are the judge's; a missing policy's text and score are None.
    """

    id: str
    prompt: str
    candidate: str
    deployed: str | None
    base: str
    candidate_score: float | None
    deployed_score: float | None
    base_score: float | None
    candidate_finished: bool
    base_finished: bool


class AnswerRow(TypedDict):
    """answers.jsonl, written by `closed`: one policy's answer to one item of a closed task.

    answer: by greedy decoding, empty for a text. scores: by measure, and what measures need.
    """

    policy: str
    task: str
    id: str
    answer: str
    finished: bool
    scores: dict[str, float | None]


class SampleRow(TypedDict):
    """samples.jsonl: a completion for people to read while a run goes on."""

    step: int
    prompt: str
    before: str
    after: str
    score: NotRequired[float]


class MarginRow(TypedDict):
    """margins.jsonl, written by `reward`: how sure the fit is of a ranking that it did not see.

    margin: the smallest |p − ½| over its untied pairs, p the probability of the labeler's order.
    """

    id: str
    margin: float


Part = Literal["category", "labeler", "gap", "certainty"]


class BreakdownRow(TypedDict):
    """breakdown.jsonl, written by `reward`: how often it is right on a part of the held-out pairs.

    by: what the parts are. name: which one; of "gap" the difference of the two ranks, of
    "certainty" the smallest p, in percent, of the order that is held more likely. pairs: untied
    ones. accuracy: with its 95 % interval, bootstrap over groups of prompts. predicted: the mean p.
    """

    by: Part
    name: str
    pairs: int
    accuracy: float
    low: float
    high: float
    predicted: float


class ErrorRecord(TypedDict):
    """result.json's error: a code that the web translates, and the values it names."""

    code: str
    values: dict[str, str | int | float]


class ResultRecord(TypedDict):
    """result.json, written last and atomically."""

    status: Literal["succeeded", "failed", "stopped"]
    metrics: dict[str, float | int | str | None]
    sha256: str | None
    error: NotRequired[ErrorRecord]


ERROR_CODES: tuple[str, ...] = (
    "config_invalid",  # problems
    "model_not_found",  # path
    "model_unsupported",  # path, architecture
    "checkpoint_corrupt",  # path, expected, found
    "checkpoint_mismatch",  # path, expected, found
    "data_missing",  # file
    "data_invalid",  # file, line, problem
    "too_few_rankings",  # found, needed
    "spread_missing",  # path
    "disk_full",  # path
    "out_of_memory",  # step
    "not_finite",  # step, quantity; where the batch is known file, rows, count
    "kl_ran_away",  # step, kl, most
    "internal",  # message
)
