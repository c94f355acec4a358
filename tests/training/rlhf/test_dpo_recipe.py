"""The recipe `dpo` on a tiny model: it finds a planted taste, and a wrong sign does not."""

import pytest

from tests.training.rlhf.rehearsal import log, prompt_rows, ranking_rows, run_here, write_run
from tests.training.rlhf.test_ppo_recipe import taste_of
from training.configs import ConfigError, DpoConfig
from training.rlhf import dpo
from training.rlhf.durable import RunError
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
