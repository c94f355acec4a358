"""Where a base model's files are: a folder, a hub name, or the default model, made when needed.

Knows nothing of the model itself; the conversion is a process of the trainer.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

FOLDER = "smollm2-135m-instruct"


class ModelNotPrepared(Exception):  # noqa: N818  # named for what a caller says of it
    """The default model could not be made. `message` is the last line of what the process said."""

    def __init__(self, message: str) -> None:
        """Keep the message."""
        self.message = message
        super().__init__(message)


def default_folder() -> Path:
    """Where the default model lies, or will lie."""
    return Path(settings.DATA_DIR) / "models" / FOLDER


def prepare_default_model() -> Path:
    """Make the default model unless it is there; about half a minute. Raises ModelNotPrepared.

    Several processes may call it at once: one works, the others wait for it.
    """
    folder = default_folder()
    if (folder / "manifest.json").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "manifest.json").is_file():
            return folder
        made = subprocess.run(
            [sys.executable, "-m", "training.rlhf.prepare_default_model", str(folder)],
            cwd=settings.BASE_DIR,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if made.returncode:
        lines = made.stderr.strip().splitlines() or [f"exit code {made.returncode}"]
        raise ModelNotPrepared(lines[-1])
    return folder


def base_location(location: str) -> str:
    """The folder or hub name of a base that came from outside; empty means the default model.

    Raises ModelNotPrepared.
    """
    return location or str(prepare_default_model())
