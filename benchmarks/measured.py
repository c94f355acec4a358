"""A process run to its end, with what it said and the most memory that it held."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report import ROOT


@dataclass(frozen=True)
class Finished:
    """What is left of a process: its standard output, and its peak resident size in bytes."""

    output: str
    peak: int


def run_measured(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command from the repository's root. Raises RuntimeError with its last words."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.stdin is not None:
            process.stdin.close()
        for stream in (out, errors):
            stream.seek(0)
        if process.returncode:
            words = errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {words}")
        return Finished(out.read().decode(errors="replace"), usage.ru_maxrss * 1024)
