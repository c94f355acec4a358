"""The sample recipe: every prompt gets its completions once, whenever it is interrupted."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from transformers import AutoModelForCausalLM

from training.configs import SampleConfig
from training.rlhf import decoding
from training.rlhf import sample as recipe
from training.rlhf.durable import write_manifest
from training.rlhf.models import add_lora, encode_chat, encode_text, save_adapter
from training.rlhf.process import Stopped, run_in
from training.rlhf.randomness import generator
from training.rlhf.rundir import RunDirectory


def config(folder, **values):
    settings = {"samples_per_prompt": 3, "max_new_tokens": 12, "batch": 6, "precision": "float32"}
    return SampleConfig(base=str(folder), **{**settings, **values})


def prompt_rows(count, text="prompt"):
    return [
        {"id": f"p{n}", "split": "train", "prompt": [{"role": "user", "content": f"{text} {n}"}]}
        for n in range(count)
    ]


def completions(folder):
    return [json.loads(line) for line in (folder / "completions.jsonl").read_text().splitlines()]


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def run(folder):
    return run_in(folder, recipe.main, "sample")


@pytest.mark.model
def test_every_prompt_gets_its_samples(tiny, tiny_folder, make_run):
    folder = make_run(config(tiny_folder), prompts=prompt_rows(5))
    assert run(folder) == 0
    rows = completions(folder)
    assert sorted((row["prompt"], row["sample"]) for row in rows) == [
        (f"p{n}", s) for n in range(5) for s in range(3)
    ]
    assert len({row["id"] for row in rows}) == 15
    assert all(row["tokens"] == 12 or row["finished"] for row in rows)
    assert all(tiny.sha256[:16] in row["id"] for row in rows)
    result = json.loads((folder / "result.json").read_text())
    assert result["metrics"]["completions"] == 15
    assert result["metrics"]["tokens"] == sum(row["tokens"] for row in rows)
    assert result["metrics"]["finished_share"] == sum(row["finished"] for row in rows) / 15
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.model
def test_each_completion_comes_with_its_log_probability(tiny, tiny_folder, make_run):
    """Against transformers' own forward pass over prompt and completion, at temperature 0.7."""
    asked = config(tiny_folder, temperature=0.7)
    folder = make_run(asked, prompts=prompt_rows(2))
    assert run(folder) == 0
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    checked = 0
    for row in completions(folder):
        prompt = encode_chat(tiny, [{"role": "user", "content": f"prompt {row['prompt'][1:]}"}])
        ids = encode_text(tiny, row["text"]) + ([tiny.eos_ids[0]] if row["finished"] else [])
        if len(ids) != row["tokens"]:
            continue  # the text does not lead back to the tokens that were drawn
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        of_tokens = (logits / 0.7).log_softmax(-1)[range(len(ids)), ids]
        assert row["logprob"] == pytest.approx(float(of_tokens.sum()), abs=1e-3)
        checked += 1
    assert checked > 0


@pytest.mark.model
def test_the_same_config_gives_the_same_bytes_and_another_seed_others(tiny_folder, make_run):
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = make_run(config(tiny_folder, seed=seed), name=name, prompts=prompt_rows(3))
        assert run(folder) == 0
        texts.append((folder / "completions.jsonl").read_bytes())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.model
def test_a_small_cache_changes_no_completion(tiny_folder, make_run, monkeypatch):
    sampled = []
    for name, size in (("large", decoding.CACHE_BYTES), ("small", 1)):
        monkeypatch.setattr(decoding, "CACHE_BYTES", size)
        folder = make_run(config(tiny_folder, batch=12), name=name, prompts=prompt_rows(6))
        assert run(folder) == 0
        sampled.append(completions(folder))
    # A smaller batch may add its floats in another order: the last bits of a log-probability.
    for large, small in zip(*sampled, strict=True):
        assert small.pop("logprob") == pytest.approx(large.pop("logprob"), rel=1e-5)
        assert small == large


@pytest.mark.model
def test_an_adapters_completions_carry_its_sum(tiny, tiny_folder, make_run, tmp_path):
    lm = add_lora(tiny, 2, 2.0, 0.5, generator(0))
    save_adapter(lm, tmp_path / "adapter")
    sha256 = write_manifest(tmp_path / "adapter")
    folder = make_run(
        config(tiny_folder, adapter=str(tmp_path / "adapter")), prompts=prompt_rows(1)
    )
    assert run(folder) == 0
    assert all(sha256[:16] in row["id"] for row in completions(folder))


@pytest.mark.model
@pytest.mark.kill
def test_killed_at_any_moment_it_ends_with_the_same_bytes(tiny_folder, make_run):
    whole = make_run(config(tiny_folder), name="whole", prompts=prompt_rows(40))
    assert run(whole) == 0
    killed = make_run(config(tiny_folder), name="killed", prompts=prompt_rows(40))
    command = [sys.executable, "-m", "training.rlhf.sample", str(killed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for lines in (1, 20, 60):
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        path = killed / "completions.jsonl"
        while not path.exists() or path.read_bytes().count(b"\n") <= lines:
            assert process.poll() in (None, 0)
            if process.poll() == 0:
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run(killed) == 0
    assert (killed / "completions.jsonl").read_bytes() == (whole / "completions.jsonl").read_bytes()
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, killed)]
    assert results[0] == results[1]


@pytest.mark.model
def test_a_prompt_too_long_for_the_model_loses_its_beginning(tiny_folder, make_run):
    folder = make_run(
        config(tiny_folder, max_prompt_tokens=5000),
        prompts=prompt_rows(1, text="x" * 4000),
    )
    assert run(folder) == 0
    assert len(completions(folder)) == 3
    assert result_of(folder)["metrics"]["prompts_cut"] == 1


@pytest.mark.model
def test_prompts_that_do_not_fit_are_counted_also_after_a_stop(tiny_folder, make_run, monkeypatch):
    rows = [*prompt_rows(6), *({**row, "id": "x" + row["id"]} for row in prompt_rows(3, "x" * 99))]
    folder = make_run(config(tiny_folder, max_prompt_tokens=100, batch=3), prompts=rows)
    append, asked = RunDirectory.append_rows, []

    def eighth_stops(directory, name, own):
        asked.append(name)
        if asked.count("completions") == 8:
            raise Stopped
        append(directory, name, own)

    monkeypatch.setattr(RunDirectory, "append_rows", eighth_stops)
    assert run(folder) == 75
    monkeypatch.undo()
    assert run(folder) == 0
    metrics = result_of(folder)["metrics"]
    assert (metrics["prompts"], metrics["prompts_cut"]) == (9, 3)


def failure(folder):
    assert run(folder) == 1
    return json.loads((folder / "result.json").read_text())["error"]


def test_no_prompts_is_an_error(tiny_folder, make_run):
    assert failure(make_run(config(tiny_folder), prompts=[]))["code"] == "data_missing"


def test_a_missing_model_is_an_error(make_run):
    error = failure(make_run(config("/nowhere"), prompts=prompt_rows(1)))
    assert error == {"code": "model_not_found", "values": {"path": "/nowhere"}}


def test_more_tokens_than_the_model_has_room_for_are_refused(tiny_folder, make_run):
    folder = make_run(config(tiny_folder, max_new_tokens=4000), prompts=prompt_rows(1))
    assert "2048 positions" in failure(folder)["values"]["problems"]


def test_the_precision_is_measured_once_and_kept(tiny_folder, make_run):
    folder = make_run(config(tiny_folder, precision="auto"), prompts=prompt_rows(1))
    (folder / "compute.json").write_text(
        json.dumps({"device": "cpu", "precision": "bfloat16", "threads": 1})
    )
    assert run(folder) == 0
    (folder / "compute.json").unlink()
    directory = RunDirectory.open(folder)
    compute = recipe.choose_compute(directory)
    assert json.loads((folder / "compute.json").read_text()) == {
        "device": "cpu",
        "precision": compute.precision,
        "threads": compute.threads,
        "share": 1.0,
    }


def test_a_device_that_is_not_there_is_refused(tiny_folder, make_run):
    folder = make_run(config(tiny_folder, device="cuda:7"), prompts=prompt_rows(1))
    error = failure(folder)
    assert error["code"] == "config_invalid"
    assert "cuda:7 is not on this machine" in error["values"]["problems"]
