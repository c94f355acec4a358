"""The run directory: what is written stays, what was half-written is gone, errors say where."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.configs import ConfigError, SampleConfig
from training.rlhf.durable import (
    RunError,
    disk_errors,
    file_sha256,
    verify_manifest,
    write_manifest,
)
from training.rlhf.rundir import RunDirectory, RunLocked

CONFIG = SampleConfig(base="nowhere")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_reads_the_config_and_the_rows(make_run):
    folder = make_run(CONFIG, prompts=[{"id": "a"}, {"id": "b", "text": "ü\u2028"}])
    directory = RunDirectory.open(folder)
    assert directory.config == CONFIG
    assert list(directory.rows("prompts")) == [{"id": "a"}, {"id": "b", "text": "ü\u2028"}]


def test_a_second_process_is_refused(make_run):
    folder = make_run(CONFIG)
    first = RunDirectory.open(folder)
    with pytest.raises(RunLocked):
        RunDirectory.open(folder)
    first.close()
    RunDirectory.open(folder).close()


def test_a_lock_dies_with_its_process(make_run):
    folder = make_run(CONFIG)
    code = (
        "import os, sys; from training.rlhf.rundir import RunDirectory\n"
        f"d = RunDirectory.open({str(folder)!r}); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    RunDirectory.open(folder).close()


def test_an_impossible_config_is_refused_and_does_not_stay_locked(make_run):
    folder = make_run(CONFIG)
    (folder / "config.json").write_text('{"recipe": "sample", "base": "", "batch": -1}')
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            RunDirectory.open(folder)
    assert len(caught.value.problems) == 2


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(RunError) as caught:
        RunDirectory.open(tmp_path)
    assert caught.value.code == "data_missing"


def test_missing_data_is_named(make_run):
    with pytest.raises(RunError) as caught:
        list(RunDirectory.open(make_run(CONFIG)).rows("prompts"))
    assert (caught.value.code, caught.value.values) == (
        "data_missing",
        {"file": "data/prompts.jsonl"},
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [(b"{broken", "not JSON"), (b'"text"', "not a JSON object"), (b'{"a": "\xff"}', "not UTF-8")],
)
def test_a_bad_line_is_named_by_file_and_number(make_run, line, problem):
    folder = make_run(CONFIG, prompts=[{"id": "a"}])
    with (folder / "data/prompts.jsonl").open("ab") as stream:
        stream.write(b"\n" + line + b"\n")
    rows = RunDirectory.open(folder).rows("prompts")
    assert next(rows) == {"id": "a"}
    with pytest.raises(RunError) as caught:
        next(rows)
    assert caught.value.code == "data_invalid"
    assert caught.value.values["file"] == "data/prompts.jsonl"
    assert caught.value.values["line"] == 3
    assert problem in str(caught.value.values["problem"])


def test_metrics_carry_time_and_seconds_left(make_run):
    folder = make_run(CONFIG)
    directory = RunDirectory.open(folder)
    directory.log_metrics(1, 4, reward=0.5, length=None)
    directory.log_metrics(4, 4, reward=0.75)
    first, last = lines(folder / "metrics.jsonl")
    assert (first["step"], first["total_steps"], first["reward"], first["length"]) == (
        1,
        4,
        0.5,
        None,
    )
    assert first["seconds_left"] >= 0
    assert last["seconds_left"] == 0


def test_a_nan_fails_the_run_instead_of_being_logged(make_run):
    directory = RunDirectory.open(make_run(CONFIG))
    with pytest.raises(RunError) as caught:
        directory.log_metrics(3, 4, reward=1.0, kl=float("nan"))
    assert (caught.value.code, caught.value.values) == ("not_finite", {"step": 3, "quantity": "kl"})


def test_a_state_comes_back_and_later_rows_are_cut(make_run):
    folder = make_run(CONFIG)
    directory = RunDirectory.open(folder)
    directory.log_metrics(1, 9, loss=1.0)
    directory.save_state(1, {"w": torch.arange(6).reshape(2, 3).T}, {"beta": 0.1, "list": [1, "x"]})
    directory.log_metrics(2, 9, loss=0.5)
    directory.append_rows("completions", [{"id": "lost"}])
    directory.close()

    again = RunDirectory.open(folder)
    state = again.load_state()
    assert state is not None
    assert (state.step, state.values) == (1, {"beta": 0.1, "list": [1, "x"]})
    assert torch.equal(state.tensors["w"], torch.arange(6).reshape(2, 3).T)
    assert [row["step"] for row in lines(folder / "metrics.jsonl")] == [1]
    assert lines(folder / "completions.jsonl") == []


def test_without_a_state_everything_logged_is_cut(make_run):
    folder = make_run(CONFIG)
    directory = RunDirectory.open(folder)
    directory.log_metrics(1, 9)
    assert directory.load_state() is None
    assert (folder / "metrics.jsonl").read_text() == ""


def test_the_last_two_states_are_kept(make_run):
    folder = make_run(CONFIG)
    directory = RunDirectory.open(folder)
    for step in range(1, 6):
        directory.save_state(step, {"w": torch.tensor([step])}, {})
    assert sorted(path.name for path in (folder / "state").iterdir()) == ["4", "5", "latest"]


def test_a_save_that_was_cut_off_leaves_the_one_before(make_run):
    folder = make_run(CONFIG)
    directory = RunDirectory.open(folder)
    directory.save_state(1, {"w": torch.tensor([1.0])}, {})
    # What kill -9 can leave: a temporary folder, or a state to which the pointer doesn't point yet.
    (folder / "state" / ".2.new").mkdir()
    (folder / "state" / "2").mkdir()
    state = directory.load_state()
    assert state is not None
    assert state.step == 1
    directory.save_state(2, {"w": torch.tensor([2.0])}, {})
    state = directory.load_state()
    assert state is not None
    assert state.tensors["w"].item() == 2.0
    assert sorted(path.name for path in (folder / "state").iterdir()) == ["1", "2", "latest"]


def test_a_broken_state_is_an_error_not_a_fresh_start(make_run):
    folder = make_run(CONFIG)
    directory = RunDirectory.open(folder)
    directory.save_state(1, {"w": torch.tensor([1.0])}, {})
    (folder / "state/1/tensors.safetensors").write_bytes(b"rubbish")
    with pytest.raises(RunError) as caught:
        directory.load_state()
    assert caught.value.code == "checkpoint_corrupt"


def test_a_checkpoint_is_replaced_whole_and_summed(make_run):
    folder = make_run(CONFIG)
    directory = RunDirectory.open(folder)
    for text in ("first", "second"):
        fresh = directory.checkpoint_folder()
        (fresh / "weights").write_text(text)
        sha256 = directory.publish_checkpoint(fresh)
    assert (folder / "checkpoint/weights").read_text() == "second"
    assert sha256 == file_sha256(folder / "checkpoint/manifest.json")
    assert directory.checkpoint_sha256 == sha256 == verify_manifest(folder / "checkpoint")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_the_same_files_have_the_same_sum(tmp_path):
    sums = []
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "b").write_text("b")
        (tmp_path / name / "sub/a").write_text("a")
        sums.append(write_manifest(tmp_path / name))
    assert sums[0] == sums[1]
    assert set(json.loads((tmp_path / "one/manifest.json").read_text())) == {"b", "sub/a"}


@pytest.mark.parametrize("damage", ["changed", "gone", "manifest"])
def test_a_damaged_checkpoint_is_found_out(tmp_path, damage):
    (tmp_path / "weights").write_text("true")
    write_manifest(tmp_path)
    if damage == "changed":
        (tmp_path / "weights").write_text("bent")
    elif damage == "gone":
        (tmp_path / "weights").unlink()
    else:
        (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RunError) as caught:
        verify_manifest(tmp_path)
    assert caught.value.code == "checkpoint_corrupt"


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/../../secret"])
def test_a_manifest_tells_nothing_of_files_elsewhere(tmp_path, name):
    (tmp_path / "secret").write_text("known to nobody")
    (folder := tmp_path / "model").mkdir()
    (folder / "manifest.json").write_text(json.dumps({name: "0" * 64}))
    with pytest.raises(RunError) as caught:
        verify_manifest(folder)
    assert caught.value.code == "checkpoint_corrupt"
    assert caught.value.values["found"] == name


@pytest.mark.parametrize("text", ["[]", "5", '[["a", 1]]', "null", "\xff"])
def test_a_manifest_that_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError) as caught:
        verify_manifest(tmp_path)
    assert caught.value.code == "checkpoint_corrupt"


def test_a_folder_without_a_manifest_has_no_sum(tmp_path):
    assert verify_manifest(tmp_path) is None


def test_a_full_disk_is_named(make_run):
    folder = make_run(CONFIG)
    (folder / "metrics.jsonl").symlink_to("/dev/full")
    directory = RunDirectory.open(folder)
    with pytest.raises(RunError) as caught:
        directory.log_metrics(1, 2, loss=1.0)
    assert caught.value.code == "disk_full"
    assert caught.value.values == {"path": str(folder / "metrics.jsonl")}


def test_an_exceeded_quota_is_a_full_disk(tmp_path):
    with pytest.raises(RunError) as caught, disk_errors(tmp_path):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    assert caught.value.code == "disk_full"


def test_the_result_is_written_last(make_run):
    folder = make_run(CONFIG)
    directory = RunDirectory.open(folder)
    assert directory.result() is None
    directory.finish("failed", {}, None, RunError("disk_full", path="/x"))
    assert directory.result() == {
        "status": "failed",
        "metrics": {},
        "sha256": None,
        "error": {"code": "disk_full", "values": {"path": "/x"}},
    }
    directory.finish("succeeded", {"win_rate": 0.5}, "ab")
    assert json.loads((folder / "result.json").read_text())["status"] == "succeeded"
