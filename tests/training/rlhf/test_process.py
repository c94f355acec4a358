"""A recipe as a process: exit codes, signals, the worker's pipe, pause, failures in result.json."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.training.rlhf.forked import Forked
from tests.training.rlhf.rehearsal import write_run
from training.configs import ConfigError, DpoConfig, PpoConfig, SampleConfig
from training.rlhf import room
from training.rlhf.durable import RunError
from training.rlhf.precision import choose_compute
from training.rlhf.process import Control, Stopped, as_run_error, run_in
from training.rlhf.rundir import RunDirectory

RECIPE = """
import sys, time
from training.rlhf.process import Stopped, run_recipe

def main(directory, control):
    state = directory.load_state()
    for step in range(state.step + 1 if state else 1, 2001):
        try:
            control.step_boundary()
        except Stopped:
            directory.save_state(step - 1, {}, {})
            raise
        time.sleep(0.01)
        directory.log_metrics(step, 2000)
        if directory.config.max_new_tokens == step:
            return {"steps": step}

sys.exit(run_recipe(main, "sample"))
"""


def start(folder, script=RECIPE, *, piped=False):
    return Forked(["-c", script, str(folder)], folder / "log.txt", piped=piped)


def said(folder):
    """What the processes on this run wrote, to whatever stream."""
    return (folder / "log.txt").read_text()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def steps(folder: Path) -> list[int]:
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    return [
        json.loads(line)["step"] for line in path.read_text().splitlines() if line.endswith("}")
    ]


def result(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.fixture
def endless(make_run):
    """A run of 2,000 steps of 10 ms."""
    return make_run(SampleConfig(base="x", max_new_tokens=2001))


@pytest.fixture
def short(make_run):
    """A run of 3 steps."""
    return make_run(SampleConfig(base="x", max_new_tokens=3))


def test_success_is_exit_code_0_and_a_result(short):
    assert start(short).wait(60) == 0
    assert result(short) == {"status": "succeeded", "metrics": {"steps": 3}, "sha256": None}


def test_a_finished_run_is_not_run_again(short):
    (short / "result.json").write_text('{"status": "succeeded", "metrics": {}, "sha256": "a"}')
    assert start(short).wait(60) == 0
    assert steps(short) == []


def test_a_failed_run_is_run_again(short):
    (short / "result.json").write_text('{"status": "failed", "metrics": {}, "sha256": null}')
    assert start(short).wait(60) == 0
    assert result(short)["status"] == "succeeded"


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_next_start_goes_on(endless, number):
    process = start(endless)
    wait_for(lambda: len(steps(endless)) > 3)
    process.send_signal(number)
    assert process.wait(20) == 75
    assert not (endless / "result.json").exists()
    reached = steps(endless)[-1]

    process = start(endless)
    wait_for(lambda: len(steps(endless)) > reached + 3)
    process.terminate()
    process.wait(20)
    assert steps(endless) == list(range(1, steps(endless)[-1] + 1))


@pytest.mark.kill
def test_the_end_of_the_workers_pipe_means_stop(endless):
    process = start(endless, piped=True)
    wait_for(lambda: len(steps(endless)) > 3)
    process.stdin.close()
    assert process.wait(20) == 75


@pytest.mark.kill
def test_the_worker_can_pause_resume_and_stop_it(endless):
    process = start(endless, piped=True)
    wait_for(lambda: len(steps(endless)) > 3)
    process.stdin.write(b"pause\n")
    wait_for((endless / "paused").exists)
    reached = len(steps(endless))
    time.sleep(0.2)
    assert len(steps(endless)) == reached
    process.stdin.write(b"nonsense\nresume\n")
    wait_for(lambda: len(steps(endless)) > reached)
    assert not (endless / "paused").exists()
    process.stdin.write(b"pause\n")
    wait_for((endless / "paused").exists)
    process.stdin.write(b"stop\n")
    assert process.wait(20) == 75
    assert not (endless / "paused").exists()


@pytest.mark.kill
def test_a_second_process_leaves_the_first_ones_run_alone(endless):
    first = start(endless)
    wait_for(lambda: len(steps(endless)) > 0)
    second = start(endless)
    assert second.wait(60) == 75
    assert "another process" in said(endless)
    assert not (endless / "result.json").exists()
    first.terminate()
    first.wait(20)


def test_the_wrong_recipe_is_refused(make_run):
    folder = make_run(PpoConfig(base="x", reward="y"))
    assert start(folder).wait(60) == 1
    error = result(folder)["error"]
    assert error["code"] == "config_invalid"
    assert "is ppo, this is sample" in error["values"]["problems"]


def test_an_impossible_config_ends_in_the_result(short):
    (short / "config.json").write_text('{"recipe": "sample", "base": "x", "batch": 0}')
    assert start(short).wait(60) == 1
    assert result(short)["error"]["code"] == "config_invalid"
    assert "batch: must be 1 to 65,536" in result(short)["error"]["values"]["problems"]


def test_an_error_nobody_foresaw_ends_in_the_result(short):
    script = RECIPE.replace("state = directory.load_state()", "return 1 / 0")
    process = start(short, script)
    assert process.wait(60) == 1
    error = result(short)["error"]
    assert error["code"] == "internal"
    assert error["values"]["message"] == "ZeroDivisionError: division by zero"
    assert "Traceback" in said(short)


def test_a_disk_too_full_for_the_result_has_an_exit_code_of_its_own(short):
    (short / ".result.json.new").symlink_to("/dev/full")
    assert start(short).wait() == 74
    assert not (short / "result.json").exists()


def test_wrong_arguments_are_exit_code_2():
    assert subprocess.run([sys.executable, "-c", RECIPE], check=False).returncode == 2


def test_out_of_memory_names_the_step():
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA"), _real_allocation_failure()):
        named = as_run_error(error, 7)
        assert (named.code, named.values) == ("out_of_memory", {"step": 7})


def _real_allocation_failure():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    return caught.value


def test_known_errors_keep_their_codes():
    error = RunError("too_few_rankings", found=1, needed=2)
    assert as_run_error(error, 0) is error
    assert as_run_error(ConfigError(["a", "b"]), 0).values == {"problems": "a; b"}


def test_a_stop_ends_a_pause(tmp_path):
    control = Control(tmp_path / "paused")
    control.pause()
    control.stop()
    with pytest.raises(Stopped):
        control.step_boundary()


def test_a_lock_is_released_when_a_run_ends(short):
    assert start(short).wait(60) == 0
    RunDirectory.open(short).close()


@pytest.fixture
def whole_room():
    yield
    room.take_only(1.0)


@pytest.mark.usefixtures("whole_room")
class TestWantOfMemory:
    """The first time it goes on with half as much at once, and it stays so for the run's life."""

    def run(self, folder, *, fails):
        seen = []

        def main(directory, _control):
            share = choose_compute(directory).share
            state = directory.load_state()
            seen.append((share, room.at_once(4096), None if state is None else state.step))
            if len(seen) <= fails:
                directory.save_state(3, {"w": torch.zeros(1)}, {})
                directory.log_metrics(4, 5, loss=1.0)
                raise torch.OutOfMemoryError("no more")
            directory.log_metrics(4, 5, loss=2.0)
            return {"rows": 1}

        return run_in(folder, main, "dpo"), seen

    def test_it_goes_on_from_the_last_state(self, tmp_path):
        write_run(tmp_path / "run", DpoConfig(base="nowhere", precision="float32"))
        folder = tmp_path / "run"
        assert self.run(folder, fails=1) == (0, [(1.0, 4096, None), (0.5, 2048, 3)])
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
        assert [(row["step"], row["loss"]) for row in rows] == [(4, 2.0)]
        assert result(folder)["metrics"] == {"rows": 1, "micro_batch_halved": 1}

    def test_a_run_with_room_enough_says_nothing_of_it(self, tmp_path):
        write_run(tmp_path / "run", DpoConfig(base="nowhere", precision="float32"))
        assert self.run(tmp_path / "run", fails=0)[0] == 0
        assert result(tmp_path / "run")["metrics"] == {"rows": 1}

    def test_once(self, tmp_path):
        write_run(tmp_path / "run", DpoConfig(base="nowhere", precision="float32"))
        folder = tmp_path / "run"
        code, seen = self.run(folder, fails=9)
        assert (code, len(seen)) == (1, 2)
        error = json.loads((folder / "result.json").read_text())["error"]
        assert (error["code"], error["values"]) == ("out_of_memory", {"step": 4})
        code, seen = self.run(folder, fails=9)  # somebody starts it again
        assert (code, seen) == (1, [(0.5, 2048, 3)])

    def test_not_before_it_is_known_how_the_run_computes(self, tmp_path):
        write_run(tmp_path / "run", DpoConfig(base="nowhere"))

        def main(_directory, _control):
            raise MemoryError

        assert run_in(tmp_path / "run", main, "dpo") == 1
