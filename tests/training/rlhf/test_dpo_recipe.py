"""The recipe `dpo` on a tiny model: it finds a planted taste, and a wrong sign does not."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training.rlhf.rehearsal import (
    log,
    prompt_rows,
    ranking_rows,
    run_here,
    two_rankings,
    write_run,
)
from tests.training.rlhf.test_ppo_recipe import taste_of
from training.configs import ConfigError, DpoConfig
from training.rlhf import dpo
from training.rlhf.durable import RunError
from training.rlhf.models import encode_chat, encode_text, save_model
from training.rlhf.policies import start_policy
from training.rlhf.process import Control
from training.rlhf.ranked import read_rankings
from training.rlhf.rundir import RunDirectory

pytestmark = pytest.mark.model

SMALL = {
    "epochs": 3,
    "learning_rate": 4e-3,
    "lora_rank": 8,
    "lora_top_share": 0.5,
    "max_new_tokens": 24,
    "development_samples": 16,
    "evaluate_every": 40,
    "kl_limit": 100.0,
    "distinct_share": 0.0,
    "precision": "float32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def planted(tiny_folder):
    """Rankings by the share of letters of the alphabet's first half."""
    rows = [*prompt_rows(60), *prompt_rows(12, "rm_test", 60)]
    return ranking_rows(tiny_folder, rows)


@pytest.fixture
def train(tiny_folder, trained, planted, tmp_path):
    """train(rankings=None, **config) → (metrics, folder of the run)."""

    def run(*, rankings=None, **values):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        fixed = {"base": str(tiny_folder), "judge": str(trained["judge"])}
        write_run(
            folder,
            DpoConfig.from_dict({**fixed, **SMALL, **values}),
            rankings=planted if rankings is None else rankings,
            prompts=[*prompt_rows(20), *prompt_rows(16, "rm_test", 60)],
        )
        return run_here(dpo.main, folder), folder

    return run


@pytest.mark.parametrize(
    "how", [{}, {"loss": "plackett_luce"}, {"loss": "ipo"}], ids=["dpo", "plackett_luce", "ipo"]
)
def test_it_finds_the_planted_taste(train, tiny, how):
    metrics, folder = train(**how)
    assert metrics["held_out_accuracy"] > 0.55
    assert metrics["judge_win_rate"] > 0.65
    assert taste_of(tiny, folder / "checkpoint") > taste_of(tiny, None) + 0.04


def test_rankings_turned_round_lead_the_other_way(train, tiny, planted):
    turned = [
        {**row, "ranks": [max(row["ranks"]) + 1 - r for r in row["ranks"]]} for row in planted
    ]
    metrics, folder = train(rankings=turned, judge=None)
    assert metrics["judge_win_rate"] is None
    assert taste_of(tiny, folder / "checkpoint") < taste_of(tiny, None)


def test_the_first_loss_is_that_of_a_policy_that_says_nothing(train):
    _, folder = train(epochs=1)
    first = log(folder)[0]
    assert first["loss"] == pytest.approx(0.6931, abs=1e-3)  # log 2
    assert first["accuracy"] == pytest.approx(0.5)


def test_rankings_that_are_one_tie_teach_nothing(train, planted):
    tied = [{**row, "ranks": [1] * len(row["ranks"])} for row in planted]
    _, folder = train(rankings=tied, epochs=1)
    assert all(row["loss"] == 0 and row["gradient_norm"] == 0 for row in log(folder))


def test_the_reference_is_the_base_whatever_the_policy_starts_from(
    train, tiny, tiny_folder, planted, tmp_path
):
    _, first = train(epochs=1)
    config = DpoConfig.from_dict(
        {"base": str(tiny_folder), "adapter": str(first / "checkpoint"), **SMALL}
    )
    folder = write_run(tmp_path / "second", config, rankings=planted)
    directory = RunDirectory.open(folder)
    policy = start_policy(config, tiny)
    data = read_rankings(directory, "train")
    directory.close()
    ratios = dpo.log_ratios(policy, data, range(8), config)
    assert ratios.abs().max() > 0.1
    assert dpo.accuracy(policy, data, config, Control()) > 0.55


def log_probabilities(model, lm, rows, temperature):
    """Nats of each whole completion, its end included, computed by transformers itself."""
    found = []
    for row in rows:
        prompt = encode_chat(lm, row.messages)
        ids = encode_text(lm, row.text, finished=row.finished)
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        logprobs = (logits.double() / temperature).log_softmax(-1)
        found.append(float(logprobs[range(len(ids)), ids].sum()))
    return np.array(found)


def over_pairs(h, ranks, cost):
    better = [(i, j) for i in range(len(h)) for j in range(len(h)) if ranks[i] < ranks[j]]
    return np.mean([cost(h[i] - h[j]) for i, j in better])


def of_order(rewards, ranks):
    losses = []
    for own, rank in zip(rewards, ranks, strict=True):
        below = [r for r, other in zip(rewards, ranks, strict=True) if other > rank]
        if below:
            losses.append(np.log(np.exp([own, *below]).sum()) - own)
    return np.mean(losses)


LOSSES = {
    "dpo": lambda h, ranks: over_pairs(
        0.3 * h, ranks, lambda d: 0.9 * np.log1p(np.exp(-d)) + 0.1 * np.log1p(np.exp(d))
    ),
    "ipo": lambda h, ranks: over_pairs(h, ranks, lambda d: (d - 1 / (2 * 0.3)) ** 2),
    "plackett_luce": lambda h, ranks: of_order(0.3 * h, ranks),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_off_the_reference_its_loss_is_the_papers(policy, tiny, tmp_path, loss):
    """h is log π/π_ref of a whole completion; β, or τ, is 0.3, a label is wrong one time in 10."""
    config = DpoConfig(
        base="b",
        loss=loss,
        beta=0.3,
        label_smoothing=0.1 if loss == "dpo" else 0.0,
        temperature=0.8,
    )
    data = two_rankings(1.0, 1.0)
    save_model(policy.lm, tmp_path / "policy")
    moved = AutoModelForCausalLM.from_pretrained(tmp_path / "policy", dtype=torch.float32)
    now, before = (log_probabilities(one, tiny, data.rows, 0.8) for one in (moved, tiny.model))
    h = now - before
    assert np.ptp(h) > 0.3
    expected = np.mean([LOSSES[loss](h[:3], [2, 1, 2]), LOSSES[loss](h[3:], [1, 2])])
    found, _ = dpo._loss(policy, data, [0, 1], config)
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_a_run_without_rankings_says_so(train):
    with pytest.raises(RunError) as refused:
        train(rankings=[])
    assert refused.value.code == "data_missing"


def test_a_config_says_all_that_is_wrong_with_it():
    with pytest.raises(ConfigError) as refused:
        DpoConfig(base="b", loss="sigmoid", beta=0, batch=0)
    assert {problem.split(":")[0] for problem in refused.value.problems} == {
        "loss",
        "beta",
        "batch",
    }
