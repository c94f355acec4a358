"""The table of closed tasks for given models: `python -m training.rlhf.closed.measure RUN_DIR …`.

    … runs/tax --base FOLDER sft=FOLDER ppo=FOLDER [--tasks sentiment mine.jsonl …]

Writes the run directory that the recipe reads, runs it, and prints the table. Stopped, the same
command goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from training.configs import CLOSED_TASKS, ClosedConfig, ConfigError
from training.rlhf.closed.recipe import TABLE, main
from training.rlhf.closed.tasks import read_task_file
from training.rlhf.durable import RunError, disk_errors, write_atomically
from training.rlhf.process import EXIT_FAILED, EXIT_USAGE, run_in


def measure(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code, as every recipe's."""
    options = _parser().parse_intermixed_args(arguments)
    folder: Path = options.folder
    files = [Path(task) for task in options.tasks if task.endswith(".jsonl")]
    values = {
        "base": _absolute(options.base),
        "policies": [
            f"{name}{sign}{_absolute(folder)}"
            for name, sign, folder in (policy.partition("=") for policy in options.policies)
        ],
        "tasks": [Path(task).stem if task.endswith(".jsonl") else task for task in options.tasks],
        "items": options.items,
        "threads": options.threads,
        "seed": options.seed,
    }
    try:
        prepare(folder, ClosedConfig.from_dict(values), files)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EXIT_USAGE
    except (RunError, FileExistsError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    code = run_in(folder, main, "closed")
    if code == 0:
        sys.stdout.write((folder / TABLE).read_text(encoding="utf-8"))
    elif (folder / "result.json").is_file():
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        sys.stderr.write(f"{json.dumps(result.get('error'), ensure_ascii=False)}\n")
    return code


def prepare(folder: Path, config: ClosedConfig, files: Sequence[Path]) -> None:
    """Write config.json and copy data sets that don't come with the trainer into data/.

    Raises FileExistsError where another run is there already, and RunError for a file that cannot
    be used, before anything is written.
    """
    for file in files:
        if not file.is_file():
            raise RunError("data_missing", file=str(file))
        read_task_file(file, file.stem, str(file))
    written = folder / "config.json"
    if written.is_file():
        if written.read_text(encoding="utf-8") != config.to_json():
            raise FileExistsError(f"{folder}: holds another run; name another folder")
        return
    with disk_errors(folder):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(file, folder / "data" / file.name)
    write_atomically(written, config.to_json())


def _absolute(model: str) -> str:
    """A folder's path from wherever the run is started next; a hub name stays what it is."""
    return str(Path(model).resolve()) if model and Path(model).exists() else model


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.rlhf.closed.measure",
        description="Closed tasks: base, SFT, PPO … in one table.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN_DIR")
    parser.add_argument(
        "policies",
        nargs="*",
        metavar="name=FOLDER",
        help="in the order of training; an adapter lies on the last whole model before it",
    )
    parser.add_argument("--base", required=True, help="folder or hub name of the base")
    parser.add_argument(
        "--tasks",
        nargs="+",
        default=list(CLOSED_TASKS),
        help=f"of {', '.join(CLOSED_TASKS)}, or JSONL files (docs/closed-tasks.md)",
    )
    parser.add_argument("--items", type=int, default=200, help="at most so many of each task")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(measure(sys.argv[1:]))
