"""Recipes as processes that are killed, stopped and started again: the same bits in the end."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from typing import Any

import pytest

from tests.training.rlhf.forked import Forked
from tests.training.rlhf.rehearsal import log, messages, prompt_rows, timeless, write_run
from training.configs import (
    ClosedConfig,
    DpoConfig,
    EvaluateConfig,
    GrpoConfig,
    PpoConfig,
    PretrainConfig,
    RejectionConfig,
    RewardConfig,
    SftConfig,
)

pytestmark = [pytest.mark.model, pytest.mark.kill, pytest.mark.timeout(600)]


def together(recipe):
    """Tests of one recipe run in one process, which makes its original once."""
    return pytest.mark.xdist_group(f"resume-{recipe}")


def each_of(*recipes):
    return pytest.mark.parametrize(
        "recipe", [pytest.param(recipe, marks=together(recipe)) for recipe in recipes]
    )


FIXED: dict[str, Any] = {"precision": "float32", "threads": 1}
POLICY: dict[str, Any] = {
    "episodes": 320,
    "prompts_per_batch": 8,
    "max_new_tokens": 24,
    "learning_rate": 3e-3,
    "lora_rank": 8,
    "lora_top_share": 0.5,
    "development_samples": 16,
    "evaluate_every": 64,
    "save_every": 2,
    "ema": 0.9,
}


def module(recipe):
    """`ppo-paper` is the recipe `ppo`, in another form."""
    return f"training.rlhf.{recipe.partition('-')[0]}"


def start(folder, recipe, *, piped=False):
    """The recipe as the launcher starts it: a process of its own session."""
    arguments = ["-m", module(recipe), str(folder)]
    return Forked(arguments, folder / "log.txt", piped=piped)


def finish(folder, recipe):
    process = start(folder, recipe)
    assert process.wait(300) == 0, (folder / "log.txt").read_text()[-3000:]


def finish_by_hand(folder, recipe):
    """The same from the command line, with nothing imported before."""
    command = [sys.executable, "-m", module(recipe), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def outcome(folder):
    """All that a run leaves behind, without what depends on the clock."""
    result = json.loads((folder / "result.json").read_text())
    return {
        "status": result["status"],
        "sha256": result["sha256"],
        "metrics": timeless(result["metrics"]),
        "logs": [log(folder, name) for name in ("metrics", "samples", "evaluation", "answers")],
    }


def latest(folder):
    """The step of the last state, −1 before the first."""
    try:
        return int((folder / "state" / "latest").read_text())
    except (FileNotFoundError, ValueError):
        return -1


def until(process, reached):
    """Wait for a moment of the run; False if it ended before."""
    deadline = time.monotonic() + 300
    while process.poll() is None:
        if reached():
            return True
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return False


@pytest.fixture(scope="session")
def originals(tiny_folder, trained, ranked, tmp_path_factory):
    """originals(recipe) → a folder ready to run, and the outcome when nothing interrupts it."""
    home = tmp_path_factory.mktemp("originals")
    prompts = [*prompt_rows(20), *prompt_rows(8, "rm_test", 60), *prompt_rows(24, "evaluation", 90)]
    demonstrations = [
        {
            "id": str(n),
            "split": "train",
            "prompt": messages(f"say {n}"),
            "completion": "abba baba",
            "labeler": "one",
            "weight": 1.0,
        }
        for n in range(40)
    ]
    texts = [
        {"id": str(n), "split": "train", "text": f"the number {n} comes after {n - 1}. " * (n % 7)}
        for n in range(200)
    ]
    base = str(tiny_folder)
    reward, judge = str(trained["reward"]), str(trained["judge"])
    policy = {"base": base, "judge": judge}
    runs = {
        "reward": (
            RewardConfig(base=base, finetune="always", epochs=2, save_every=2, **FIXED),
            {"rankings": ranked},
        ),
        "ppo": (
            PpoConfig(reward=reward, **POLICY, **policy, **FIXED),
            {"prompts": prompts},
        ),
        "ppo-paper": (
            # All weights, a network as the critic, PPO-ptx: each has a state of its own.
            PpoConfig(
                reward=reward,
                critic="network",
                ptx_coefficient=1.0,
                ptx_texts_per_episode=0.5,
                minibatches=2,
                missing_eos="replace",
                **POLICY | {"lora_rank": 0, "lora_top_share": 1.0, "learning_rate": 3e-4},
                **policy,
                **FIXED,
            ),
            {"prompts": prompts, "texts": texts},
        ),
        "grpo": (
            GrpoConfig(reward=reward, kl_in="loss", **POLICY, **policy, **FIXED),
            {"prompts": prompts},
        ),
        "rejection": (
            RejectionConfig(
                reward=reward, samples_per_prompt=8, batch=4, **POLICY, **policy, **FIXED
            ),
            {"prompts": prompts},
        ),
        "sft": (
            SftConfig(base=base, epochs=8, save_every=5, learning_rate=3e-3, **FIXED),
            {"demonstrations": demonstrations},
        ),
        "dpo": (
            DpoConfig(
                base=base,
                judge=judge,
                epochs=3,
                learning_rate=4e-3,
                lora_rank=8,
                lora_top_share=0.5,
                max_new_tokens=24,
                development_samples=16,
                evaluate_every=24,
                save_every=2,
                **FIXED,
            ),
            {"rankings": ranked, "prompts": prompts},
        ),
        "pretrain": (
            PretrainConfig(
                start="scratch",
                layers=2,
                hidden=64,
                heads=4,
                kv_heads=2,
                vocabulary=300,
                context=256,
                window=128,
                batch=4,
                epochs=4,
                evaluate_every=5,
                save_every=4,
                **FIXED,
            ),
            {"texts": texts},
        ),
        "evaluate": (
            EvaluateConfig(base=base, judge=judge, reward=reward, best_of=4, batch=8, **FIXED),
            {"prompts": prompts},
        ),
        "closed": (
            ClosedConfig(
                base=base,
                policies=[f"sft={base}"],
                tasks=["sentiment", "questions", "texts"],
                items=16,
                batch=4,
                max_new_tokens=24,
                **FIXED,
            ),
            {},
        ),
    }

    @cache
    def original(recipe):
        config, tables = runs[recipe]
        folder = write_run(home / recipe, config, **tables)
        untouched = shutil.copytree(folder, home / f"{recipe}-untouched")
        finish_by_hand(folder, recipe)
        return untouched, outcome(folder)

    return original


@pytest.fixture
def fresh(originals, tmp_path):
    """fresh(recipe) → (a folder to run in, what must come out)."""

    def copy(recipe):
        untouched, expected = originals(recipe)
        return shutil.copytree(untouched, tmp_path / recipe), expected

    return copy


@each_of(
    *("reward", "ppo", "ppo-paper", "grpo", "rejection", "dpo", "sft", "pretrain"),
    *("evaluate", "closed"),
)
def test_killed_at_random_moments_it_ends_with_the_same_bits(fresh, recipe):
    folder, expected = fresh(recipe)
    rng = random.Random(recipe)
    for _ in range(3):
        process = start(folder, recipe)
        lines = len(log(folder))
        # Somewhere after it has gone on by a step or two: no boundary is safer than another.
        until(process, lambda lines=lines: len(log(folder)) > lines)
        time.sleep(rng.random() * 0.3)
        process.kill_all()
        process.wait()
    finish(folder, recipe)
    assert outcome(folder) == expected


@each_of("reward", "ppo", "rejection")
def test_killed_right_after_a_state_it_ends_with_the_same_bits(fresh, recipe):
    folder, expected = fresh(recipe)
    for _ in range(2):
        process, before = start(folder, recipe), latest(folder)
        until(process, lambda before=before: latest(folder) > before)
        process.kill_all()
        process.wait()
    finish(folder, recipe)
    assert outcome(folder) == expected


@each_of("reward", "ppo", "grpo", "rejection", "dpo", "sft", "pretrain")
def test_asked_to_stop_it_saves_ends_and_goes_on_later(fresh, recipe):
    folder, expected = fresh(recipe)
    process = start(folder, recipe)
    assert until(process, lambda: len(log(folder)) >= 3)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    assert time.monotonic() - asked < 20
    assert not (folder / "result.json").exists()
    assert latest(folder) >= 2
    finish(folder, recipe)
    assert outcome(folder) == expected


@together("ppo")
def test_a_worker_that_dies_leaves_no_orphan_and_nothing_is_lost(fresh):
    folder, expected = fresh("ppo")
    process = start(folder, "ppo", piped=True)
    assert until(process, lambda: len(log(folder)) >= 2)
    process.stdin.close()
    assert process.wait(60) == 75
    finish(folder, "ppo")
    assert outcome(folder) == expected


@together("ppo")
def test_paused_it_waits_and_then_goes_on_to_the_same_bits(fresh):
    folder, expected = fresh("ppo")
    process = start(folder, "ppo", piped=True)
    assert until(process, lambda: len(log(folder)) >= 1)
    process.stdin.write(b"pause\n")
    assert until(process, (folder / "paused").exists)
    lines = len(log(folder))
    time.sleep(1)
    assert len(log(folder)) == lines
    process.stdin.write(b"resume\n")
    assert process.wait(300) == 0
    assert outcome(folder) == expected


@together("evaluate")
def test_a_finished_run_started_again_changes_nothing(fresh):
    folder, expected = fresh("evaluate")
    finish(folder, "evaluate")
    before = (folder / "result.json").stat().st_mtime_ns
    finish(folder, "evaluate")
    assert (folder / "result.json").stat().st_mtime_ns == before
    assert outcome(folder) == expected


@together("reward")
def test_a_run_that_cannot_succeed_says_why_in_its_result(fresh):
    folder, _ = fresh("reward")
    (folder / "data" / "rankings.jsonl").write_text("")
    assert start(folder, "reward").wait(120) == 1
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "failed"
    assert result["error"]["code"] == "too_few_rankings"
