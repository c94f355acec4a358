"""The recipe `closed`: policies beside the base on tasks with known answers.

What a policy learns from rankings may cost it what it could do before (the alignment tax,
InstructGPT, section 4.2); here it shows, item by item the same questions for all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from training.configs import ClosedConfig
from training.records import AnswerRow
from training.rlhf.adapters import SETTINGS
from training.rlhf.closed.answers import Answering
from training.rlhf.closed.measures import figures
from training.rlhf.closed.table import draw_table, to_metrics
from training.rlhf.closed.tasks import Item, Task, read_task
from training.rlhf.durable import RunError, write_atomically
from training.rlhf.models import encode_chat, load_language_model
from training.rlhf.precision import Compute, choose_compute
from training.rlhf.process import Control
from training.rlhf.rundir import ResultMetrics, RunDirectory, numbered_rows
from training.rlhf.sample import Sampling

TABLE = "closed.md"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contender:
    """A policy by its name: a whole model, and perhaps an adapter on it."""

    name: str
    model: str
    adapter: str | None = None


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Ask every policy everything: answers.jsonl has a row for each answer, closed.md the table."""
    config = directory.config
    if not isinstance(config, ClosedConfig):
        raise TypeError(type(config).__name__)
    compute = choose_compute(directory)

    # 1. Who answers what: all files are read before the first model.
    contenders = contenders_of(config)
    names = [contender.name for contender in contenders]
    tasks = [read_task(directory, name, config.items) for name in config.tasks]
    parts = [
        (contender, task, task.items[start : start + config.batch])
        for contender in contenders
        for task in tasks
        for start in range(0, len(task.items), config.batch)
    ]

    # 2. Answers, some items at a time; those of a former attempt stand in answers.jsonl.
    state = directory.load_state()
    answering: Answering | None = None
    items = 0
    cut = {tuple(own) for own in state.values.get("cut", [])} if state is not None else set()
    for number, (contender, task, chosen) in enumerate(parts, start=1):
        items += len(chosen)
        if state is not None and number <= state.step:
            continue
        control.step_boundary()
        if answering is None or answering.policy != contender.name:
            answering = None  # two models at a time would be one too many
            answering = _answering(contender, config, compute, control)
        cut |= _cut(answering, task, chosen)
        directory.append_rows("answers", answering.rows(task, chosen))
        directory.log_metrics(number, len(parts), items=items)
        directory.save_state(number, {}, {"cut": sorted(cut)})

    # 3. Figures with intervals over items, and how each policy differs from the one before.
    found = figures(
        tasks, _answers(directory.path), names, draws=config.bootstrap, seed=config.seed
    )
    write_atomically(directory.path / TABLE, draw_table(found, names, config.alpha))
    return {
        "items": sum(len(task.items) for task in tasks),
        "prompts_cut": len(cut),
        **to_metrics(found, names, config.alpha),
    }


def contenders_of(config: ClosedConfig) -> list[Contender]:
    """The base and the policies; an adapter lies on the last whole model before it.

    Raises RunError("model_not_found") for a folder that isn't there, before anybody has answered.
    """
    found = [Contender("base", config.base)]
    model = config.base
    for policy in config.policies:
        name, _, folder = policy.partition("=")
        if Path(folder).is_absolute() and not Path(folder).is_dir():
            raise RunError("model_not_found", path=folder)
        if (Path(folder) / SETTINGS).is_file():
            found.append(Contender(name, model, folder))
        else:
            model = folder
            found.append(Contender(name, model))
    return found


def _answering(
    contender: Contender, config: ClosedConfig, compute: Compute, control: Control
) -> Answering:
    lm = load_language_model(
        contender.model,
        device=compute.device,
        precision=compute.precision,
        adapter=contender.adapter,
    )
    sampling = Sampling(
        samples=1,
        max_new_tokens=config.max_new_tokens,
        temperature=0,
        seed=config.seed,
        max_prompt_tokens=config.max_prompt_tokens,
    )
    return Answering(lm, contender.name, sampling, control)


def _cut(answering: Answering, task: Task, items: Sequence[Item]) -> set[tuple[str, str]]:
    """Task and id of the items whose prompt is too long and loses its beginning; the log has them
    too."""
    room = answering.sampling.room(answering.lm)
    found = set()
    for item in items:
        tokens = len(encode_chat(answering.lm, item.prompt)) if item.prompt else 0
        if tokens > room:
            logger.warning(
                "%s, %s: the prompt has %d tokens and loses all but its last %d",
                *(task.name, item.id, tokens, room),
            )
            found.add((task.name, item.id))
    return found


def _answers(folder: Path) -> list[AnswerRow]:
    path = folder / "answers.jsonl"
    if not path.is_file():
        raise RunError("data_missing", file="answers.jsonl")
    return [cast(AnswerRow, row) for _, row in numbered_rows(path, "answers.jsonl")]
