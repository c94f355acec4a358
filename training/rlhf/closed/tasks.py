"""Data sets of closed tasks: what a line has to hold, and what it means. Knows nothing of models.

The form is described in docs/closed-tasks.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from training.records import Message
from training.rlhf.closed.scores import words
from training.rlhf.durable import RunError
from training.rlhf.ranked import is_conversation
from training.rlhf.rundir import RunDirectory, numbered_rows

SETS = Path(__file__).parent / "sets"
"""The data sets that come with the trainer."""

Rule = Literal["choice", "exact", "rouge", "text"]
ROLES = ("system", "user", "assistant")
FIELDS: dict[Rule, set[str]] = {
    "choice": {"prompt", "choices", "answer"},
    "exact": {"prompt", "answers"},
    "rouge": {"prompt", "answers"},
    "text": {"text"},
}
"""What a line of each rule has beside `id` and `rule`, no more and no less."""


@dataclass(frozen=True)
class Item:
    """One question with what is right, or (rule text) a text whose perplexity is wanted."""

    id: str
    prompt: list[Message]
    """Empty for a text."""
    choices: tuple[str, ...] = ()
    right: int = 0
    """Of a choice: its number."""
    answers: tuple[str, ...] = ()
    """Any of them is right."""
    text: str = ""


@dataclass(frozen=True)
class Task:
    """A data set: all its items are scored by one rule."""

    name: str
    rule: Rule
    items: tuple[Item, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The choices where all items have the same ones, else none."""
        found = {item.choices for item in self.items}
        return found.pop() if len(found) == 1 else ()


def read_task(directory: RunDirectory, name: str, most: int) -> Task:
    """The first `most` items of data/<name>.jsonl or, where there is none, of the shipped set.

    Raises RunError: data_missing, or data_invalid with file, line and problem.
    """
    file = f"data/{name}.jsonl"
    path = directory.path / "data" / f"{name}.jsonl"
    if not path.is_file():
        path = SETS / f"{name}.jsonl"
    if not path.is_file():
        raise RunError("data_missing", file=file)
    return read_task_file(path, name, file, most)


def read_task_file(path: Path, name: str, file: str, most: int | None = None) -> Task:
    """A data set from a file, which is called `file` in errors; every line is looked at.

    Raises RunError as `read_task` does.
    """
    rule: Rule | None = None
    lines: dict[str, int] = {}
    items: list[Item] = []
    for line, row in numbered_rows(path, file):
        problem = next(_problems(row, rule, lines), None)
        if problem is not None:
            raise RunError("data_invalid", file=file, line=line, problem=problem)
        rule = row["rule"]
        lines[row["id"]] = line
        items.append(_item(row))
    if rule is None:
        raise RunError("data_missing", file=file)
    return Task(name, rule, tuple(items[:most]))


def _problems(row: dict[str, Any], rule: Rule | None, lines: dict[str, int]) -> Iterator[str]:
    """What is wrong with a line, and what would be right. rule: of the lines before."""
    own: Any = row.get("rule")
    if own not in get_args(Rule):
        yield f"rule: must be one of {', '.join(get_args(Rule))}"
        return
    if rule is not None and own != rule:
        yield f"rule: must be {rule} as in the lines before: a file has one rule"
    if not _is_text(row.get("id")):
        yield "id: must be a text, and not empty"
    elif row["id"] in lines:
        yield f"id: line {lines[row['id']]} has the same one"
    wanted = FIELDS[own]
    for name in sorted(set(row) - wanted - {"id", "rule"}):
        yield f"{name}: a line of rule {own} has no such field, only {', '.join(sorted(wanted))}"
    if own == "text" and not _is_text(row.get("text")):
        yield "text: must be a text, and not empty"
    if "prompt" in wanted and not _is_prompt(row.get("prompt")):
        yield "prompt: must be a text, or messages with role and content that end with the user's"
    if "answers" in wanted:
        yield from _problems_with_answers(row.get("answers"))
    if own == "choice":
        yield from _problems_with_choices(row)


def _problems_with_answers(answers: object) -> Iterator[str]:
    if not (isinstance(answers, list) and answers and all(_is_text(item) for item in answers)):
        yield "answers: must be a list of texts, at least one; any of them is right"
    elif not all(words(item) for item in answers):
        yield "answers: each needs a letter or a digit, since punctuation does not count"


def _problems_with_choices(row: dict[str, Any]) -> Iterator[str]:
    choices, answer = row.get("choices"), row.get("answer")
    if not (isinstance(choices, list) and len(choices) > 1 and all(map(_is_text, choices))):
        yield "choices: must be a list of at least two texts"
        return
    spelled = [tuple(words(choice)) for choice in choices]
    if not all(spelled) or len(set(spelled)) < len(spelled):
        yield "choices: must differ in their words, not only in case or punctuation"
    if not isinstance(answer, str) or answer not in choices:
        yield "answer: must be one of the choices, spelled as there"


def _is_prompt(prompt: object) -> bool:
    if not isinstance(prompt, list):
        return _is_text(prompt)
    return (
        is_conversation(prompt)
        and all(item["role"] in ROLES and _is_encodable(item["content"]) for item in prompt)
        and prompt[-1]["role"] == "user"
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and _is_encodable(value)


def _is_encodable(text: str) -> bool:
    """JSON can spell half a surrogate pair, which no tokenizer and no file takes."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _item(row: dict[str, Any]) -> Item:
    prompt = row.get("prompt", [])
    choices = tuple(row.get("choices", ()))
    return Item(
        id=row["id"],
        prompt=[{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt,
        choices=choices,
        right=choices.index(row["answer"]) if choices else 0,
        answers=tuple(row.get("answers", ())),
        text=row.get("text", ""),
    )
