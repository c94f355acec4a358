"""A recipe as a process: arguments, signals, pause and stop, the exit code, result.json.

Knows nothing of what a recipe does. Exit codes: 0 succeeded, 1 failed (result.json says why),
2 wrong arguments, 75 stopped or locked: start it again later, and it goes on. 74: the disk is so
full that not even result.json could be written.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import torch
from torch.utils import deterministic

from training.configs import ConfigError
from training.rlhf.durable import RunError, write_atomically
from training.rlhf.precision import halve_what_goes_at_once
from training.rlhf.room import is_short
from training.rlhf.rundir import (
    ResultMetrics,
    RunDirectory,
    RunLocked,
    write_result,
)

EXIT_FAILED, EXIT_USAGE, EXIT_DISK_FULL, EXIT_STOPPED = 1, 2, 74, 75

logger = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818 - like StopIteration, not an error
    """Someone asked this run to end; its state is saved, and it resumes when started again."""


class Control:
    """What the outside wants of this process: to go on, to pause, or to stop."""

    def __init__(self, paused_file: Path | None = None) -> None:
        self._paused_file = paused_file
        self._condition = threading.Condition(threading.RLock())
        self._paused = False
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stopping

    def stop(self) -> None:
        """Ask for a stop."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()

    def pause(self) -> None:
        """Ask to hold at the next boundary."""
        with self._condition:
            self._paused = True

    def resume(self) -> None:
        """Let a paused run go on."""
        with self._condition:
            self._paused = False
            self._condition.notify_all()

    def step_boundary(self) -> None:
        """Call between minibatches: blocks while paused, raises Stopped when asked to stop."""
        self.wait_while_paused()
        if self._stopping:
            raise Stopped

    def wait_while_paused(self) -> None:
        """Block while paused; RUN_DIR/paused is there for as long. A stop ends the pause."""
        if not self._paused or self._stopping:
            return
        if self._paused_file is not None:
            write_atomically(self._paused_file, "")
        try:
            with self._condition:
                # A timeout, so that a signal handler gets its turn on the main thread.
                while self._paused and not self._stopping:
                    self._condition.wait(timeout=0.2)
        finally:
            if self._paused_file is not None:
                self._paused_file.unlink(missing_ok=True)

    def obey(self, line: str) -> None:
        """Do what a line from the worker says: pause, resume or stop. Others are ignored."""
        commands = {"pause": self.pause, "resume": self.resume, "stop": self.stop}
        command = commands.get(line.strip())
        if command is not None:
            command()


def run_recipe(main: Callable[[RunDirectory, Control], ResultMetrics], recipe: str) -> int:
    """Run `main` on the directory named by sys.argv and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if len(sys.argv) != 2:
        sys.stderr.write(f"usage: python -m training.rlhf.{recipe} RUN_DIR\n")
        return EXIT_USAGE
    return run_in(Path(sys.argv[1]), main, recipe)


def run_in(path: Path, main: Callable[[RunDirectory, Control], ResultMetrics], recipe: str) -> int:
    """Run `main` on the directory `path` and return the exit code; see the module's docstring."""
    try:
        directory = RunDirectory.open(path)
    except RunLocked as error:
        logger.error("%s", error)  # noqa: TRY400 - a sentence, not a traceback
        return EXIT_STOPPED
    except (ConfigError, RunError) as error:
        logger.error("%s", error)  # noqa: TRY400 - a sentence, not a traceback
        return _fail(path, as_run_error(error, step=0))
    with contextlib.closing(directory):
        return _run_locked(directory, main, recipe)


def _run_locked(
    directory: RunDirectory, main: Callable[[RunDirectory, Control], ResultMetrics], recipe: str
) -> int:
    result = directory.result()
    if result is not None and result["status"] == "succeeded":
        logger.info("%s: finished already", directory.path)
        return 0
    (directory.path / "result.json").unlink(missing_ok=True)
    control = Control(directory.path / "paused")
    with _signals(control):
        _follow_stdin(control)
        try:
            if directory.config.recipe != recipe:
                problem = f"recipe: is {directory.config.recipe}, this is {recipe}"
                raise RunError("config_invalid", problems=problem)  # noqa: TRY301 - one way to fail
            _be_reproducible()
            metrics = _with_room(main, directory, control)
            if is_short():
                metrics |= {"micro_batch_halved": 1}
            directory.finish("succeeded", metrics, directory.checkpoint_sha256)
        except Stopped:
            logger.info("stopped at step %d; start it again to go on", directory.step)
            return EXIT_STOPPED
        except Exception as error:
            logger.exception("the run failed")
            return _fail(directory.path, as_run_error(error, directory.step))
    return 0


def _with_room(
    main: Callable[[RunDirectory, Control], ResultMetrics],
    directory: RunDirectory,
    control: Control,
) -> ResultMetrics:
    """Run `main`; where the memory was not enough, once more from the last state with half of what
    goes through the model at once."""
    try:
        return main(directory, control)
    except Exception as error:
        if not _is_want_of_memory(error) or not halve_what_goes_at_once(directory):
            raise
    # Only here: the error's frames held all that had been allocated.
    logger.warning(
        "the memory was not enough at step %d: going on from the last state with micro-batches "
        "of half the size",
        directory.step,
    )
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return main(directory, control)


def _is_want_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def as_run_error(error: Exception, step: int) -> RunError:
    """What happened, as a code and values that the web can translate."""
    if isinstance(error, RunError):
        return error
    if isinstance(error, ConfigError):
        return RunError("config_invalid", problems="; ".join(error.problems))
    if isinstance(error, FloatingPointError):
        return RunError("not_finite", step=step, quantity=str(error))
    if _is_want_of_memory(error):
        return RunError("out_of_memory", step=step)
    return RunError("internal", message=f"{type(error).__name__}: {error}"[:2000])


def _fail(path: Path, error: RunError) -> int:
    """Record a failure in the directory, where there is one; the exit code."""
    if not path.is_dir():
        return EXIT_FAILED
    try:
        write_result(path, "failed", {}, None, error)
    except (OSError, RunError) as unwritten:
        logger.exception("result.json could not be written: %s", error)
        full = isinstance(unwritten, RunError) and unwritten.code == "disk_full"
        return EXIT_DISK_FULL if full else EXIT_FAILED
    return EXIT_FAILED


def _be_reproducible() -> None:
    """The same seeds, the same bits on a CPU; a warning where an operation cannot keep that."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling fresh memory guards against reading it; it costs time and hides nothing here.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # set by __setattr__


@contextlib.contextmanager
def _signals(control: Control) -> Iterator[None]:
    """SIGTERM and SIGINT ask for a stop; a second one changes nothing. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        control.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow_stdin(control: Control) -> None:
    """Obey lines from the worker's pipe; its end means stop. A terminal or a file says nothing."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def follow() -> None:
        with open(0, "rb", buffering=0, closefd=False) as pipe:
            for line in pipe:
                control.obey(line.decode("utf-8", "replace"))
        control.stop()

    threading.Thread(target=follow, name="stdin", daemon=True).start()
