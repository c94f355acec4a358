"""A tiny model on disk and in memory, a policy and its episodes, and run directories to fill."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.rlhf import rehearsal
from training.configs import PpoConfig, RewardConfig, RunConfig
from training.rlhf import reward
from training.rlhf.models import LanguageModel, encode_chat, load_language_model
from training.rlhf.policies import Policy, start_policy
from training.rlhf.process import Control
from training.rlhf.randomness import uniforms
from training.rlhf.rollouts import Episodes, collect
from training.rlhf.tiny_model import write_tiny_model

torch.set_num_threads(1)

MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama's folder. Not to be written to."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> LanguageModel:
    """The tiny Llama in float32, frozen. with_adapter() makes changed copies."""
    return load_language_model(tiny_folder, device="cpu", precision="float32")


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """make_run(config, prompts=[…], name="run") → a run directory as the launcher writes it."""

    def make(config: RunConfig, *, name: str = "run", **data: list[Mapping[str, Any]]) -> Path:
        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
        for file, rows in data.items():
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / "data" / f"{file}.jsonl").write_text(text, encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def ranked(tiny_folder: Path) -> list[dict[str, Any]]:
    """Rankings of the tiny model's completions by a planted taste: train, judge and rm_test."""
    prompts = [
        *rehearsal.prompt_rows(60),
        *rehearsal.prompt_rows(40, "judge", 60),
        *rehearsal.prompt_rows(15, "rm_test", 100),
    ]
    return rehearsal.ranking_rows(tiny_folder, prompts, noise=0.05)


@pytest.fixture(scope="session")
def trained(
    tiny_folder: Path, ranked: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Checkpoints by role: 'reward' and 'judge', each a probe fitted on its own rankings."""
    folders = {}
    for role, seed in (("reward", 0), ("judge", 1)):
        folder = tmp_path_factory.mktemp(role) / "run"
        config = RewardConfig.from_dict(
            {
                "base": str(tiny_folder),
                "role": role,
                "seed": seed,
                "base_source": "base",
                "finetune": "never",
                "precision": "float32",
                "threads": 1,
            }
        )
        rehearsal.write_run(folder, config, rankings=ranked)
        rehearsal.run_here(reward.main, folder)
        folders[role] = folder / "checkpoint"
    return folders


@pytest.fixture(scope="module")
def policy(tiny: LanguageModel) -> Policy:
    """A policy whose adapter has moved away from its reference."""
    config = PpoConfig(base="b", reward="r", lora_rank=4, lora_top_share=0.5, precision="float32")
    moved = start_policy(config, tiny)
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in moved.lm.trainable().values():
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.05)
    return moved


@pytest.fixture(scope="module")
def episodes(policy: Policy, tiny: LanguageModel) -> Episodes:
    """Three prompts with four completions each, of different lengths."""
    prompts = [
        encode_chat(tiny, [{"role": "user", "content": "tell me about " + "it " * n}])
        for n in range(3)
    ]
    return collect(
        policy.lm,
        policy.reference,
        prompts,
        models=[],
        samples=4,
        max_new_tokens=12,
        temperature=1.0,
        uniforms=uniforms(1, 0, range(3), 4, 12),
        control=Control(),
    )
