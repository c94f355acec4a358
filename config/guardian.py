"""Outlives its parent to stop what it left: started by path, reads process groups from stdin.

Lines in: `+ PID STAGE` (the leader of a process group; higher stages stop first), `- PID`, `end`.
The end of the file without `end` means that the parent died: each group's leader gets SIGTERM,
stage by stage, and what is still there after GRACE_SECONDS gets SIGKILL. Meanwhile the pipes named
as arguments (the groups' output) are read and dropped, so that nobody blocks or fails on a full or
broken pipe. Knows nothing of Django and imports only the standard library: it has to be small.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

GRACE_SECONDS = 30.0
POLL_SECONDS = 0.05


def is_alive(pid: int) -> bool:
    """Whether the process is there and not just waiting to be reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no /proc here (macOS), or gone in this moment
        return not Path("/proc/self").exists()
    return stat.rpartition(")")[2].split()[0] != "Z"


def stop_stage(pids: list[int], seconds: float) -> None:
    """End these groups: SIGTERM to the leaders, at last SIGKILL to whoever is left."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def follow(lines: list[str], groups: dict[int, int]) -> bool:
    """Apply lines to `groups` (PID → stage). True once `end` was said."""
    for line in lines:
        match line.split():
            case ["+", pid, stage]:
                groups[int(pid)] = int(stage)
            case ["-", pid]:
                groups.pop(int(pid), None)
            case ["end"]:
                return True
    return False


def drain(pipe: int) -> None:
    """Read until nobody can write any more."""
    with contextlib.suppress(OSError):
        while os.read(pipe, 65536):
            pass


def main(pipes: list[int]) -> None:
    """Follow stdin; act when it ends without a word."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int] = {}
    for line in sys.stdin:
        if follow([line], groups):
            return
    for pipe in pipes:
        threading.Thread(target=drain, args=(pipe,), daemon=True).start()
    for stage in sorted(set(groups.values()), reverse=True):
        stop_stage([pid for pid, at in groups.items() if at == stage], GRACE_SECONDS)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]])
