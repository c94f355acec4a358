"""From a claimed run to a process at work: its directory is written, its recipe started.

Knows nothing of following it (`training/follower.py`) or of what its results mean.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings

from training import artifacts, devices
from training.configs import ConfigError
from training.default_model import ModelNotPrepared, base_location
from training.models import Checkpoint, Dataset, Run
from training.processes import ChildProcess, trainer_command
from training.run_configs import RECIPES, path_relations, with_folders

DATA_FILES: dict[str, str] = {
    Dataset.Kind.RANKINGS: "rankings.jsonl",
    Dataset.Kind.DEMONSTRATIONS: "demonstrations.jsonl",
    Dataset.Kind.PROMPTS: "prompts.jsonl",
    Dataset.Kind.TEXTS: "texts.jsonl",
}


class CannotLaunch(Exception):  # noqa: N818  # named for what a caller says of it
    """The run can't be started; `code` and `values` are those of its error record."""

    def __init__(self, code: str, **values: Any) -> None:
        """Keep code and values."""
        self.code = code
        self.values = values
        super().__init__(f"{code}: {values}")


def run_directory(run: Run) -> Path:
    """The run's directory on this machine."""
    return Path(settings.DATA_DIR) / "runs" / str(run.pk)


def prepare(run: Run) -> Path:
    """Write config.json and data/ of the run's directory; what is there already is kept.

    Raises CannotLaunch, and OSError for a full disk.
    """
    folder = run_directory(run)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for dataset in run.datasets.all():
        _link(_fetch(dataset), folder / "data" / DATA_FILES[dataset.kind])
    used = [one for one in path_relations(run).values() if one is not None]
    folders = {checkpoint.pk: checkpoint_location(checkpoint) for checkpoint in used}
    try:
        config = with_folders(run, folders)
    except ConfigError as error:
        raise CannotLaunch("config_invalid", problems="; ".join(error.problems)) from error
    _write(folder / "config.json", config.to_json())
    return folder


def checkpoint_location(checkpoint: Checkpoint) -> str:
    """The folder (or hub name) of a checkpoint on this machine. Raises CannotLaunch."""
    if checkpoint.run_id is None:
        try:
            return base_location(checkpoint.location)
        except ModelNotPrepared as error:
            raise CannotLaunch("internal", message=error.message) from error
    try:
        return str(artifacts.fetch_folder(checkpoint.artifact))
    except artifacts.ArtifactMissing as error:
        raise CannotLaunch("artifact_missing", name=error.name) from error


def start(run: Run, folder: Path, *, device: str) -> ChildProcess:
    """Start the run's recipe on its directory; what it prints goes to log.txt. Raises OSError."""
    with (folder / "log.txt").open("ab") as log:
        return ChildProcess(
            trainer_command(RECIPES[run.kind].recipe, str(folder)),
            environment=devices.environment(device),
            stdout=log,
            stderr=log,
        )


def forget_states(run: Run) -> None:
    """Remove a finished run's training states and its copy of the checkpoint."""
    folder = run_directory(run)
    shutil.rmtree(folder / "state", ignore_errors=True)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)


def _fetch(dataset: Dataset) -> Path:
    try:
        path = artifacts.fetch_file(dataset.artifact)
    except artifacts.ArtifactMissing as error:
        raise CannotLaunch("artifact_missing", name=error.name) from error
    found = artifacts.file_sha256(path)
    if found != dataset.sha256:
        raise CannotLaunch(
            "checkpoint_corrupt", path=dataset.artifact, expected=dataset.sha256, found=found
        )
    return path


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk is another one."""
    if target.exists():
        return
    try:
        target.hardlink_to(source)
    except OSError:
        temporary = target.with_name(f".{target.name}.new")
        shutil.copyfile(source, temporary)
        temporary.replace(target)


def _write(path: Path, text: str) -> None:
    """Write atomically, unless it is there in these words."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).replace(path)
