"""The recipe `evaluate` on a tiny model."""

import pytest

from tests.training.rlhf.rehearsal import log, prompt_rows, run_here, write_run
from training.configs import EvaluateConfig, PpoConfig
from training.rlhf import evaluate, ppo
from training.rlhf.rundir import RunError

pytestmark = pytest.mark.model


@pytest.fixture
def measure(tiny_folder, trained, tmp_path):
    """measure(**config) → (metrics, folder of the run)."""

    def run(*, prompts=None, **values):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        fixed = {
            "base": str(tiny_folder),
            "judge": str(trained["judge"]),
            "max_new_tokens": 24,
            "bootstrap": 500,
            "precision": "float32",
            "threads": 1,
        }
        config = EvaluateConfig.from_dict({**fixed, **values})
        write_run(folder, config, prompts=prompts or prompt_rows(40, "evaluation", 300))
        return run_here(evaluate.main, folder), folder

    return run


@pytest.fixture(scope="module")
def policy(tiny_folder, trained, tmp_path_factory):
    """A policy that the reward model likes."""
    folder = tmp_path_factory.mktemp("policy") / "run"
    config = PpoConfig(
        base=str(tiny_folder),
        reward=str(trained["reward"]),
        episodes=128,
        prompts_per_batch=8,
        max_new_tokens=24,
        learning_rate=6e-3,
        lora_rank=8,
        lora_top_share=0.5,
        kl_limit=100.0,
        distinct_share=0.0,
        precision="float32",
        threads=1,
    )
    write_run(folder, config, prompts=[*prompt_rows(30), *prompt_rows(8, "rm_test", 60)])
    run_here(ppo.main, folder)
    return str(folder / "checkpoint")


def test_a_trained_policy_wins_and_its_interval_holds_the_rate(measure, policy):
    metrics, _ = measure(candidate=policy)
    assert metrics["base_win_rate"] > 0.6
    assert metrics["base_win_low"] < metrics["base_win_rate"] < metrics["base_win_high"]
    assert metrics["win_rate"] == metrics["base_win_rate"]
    assert metrics["kl"] > 0.5
    assert metrics["base_kl"] == 0


def test_a_policy_against_itself_is_even(measure, policy):
    metrics, _ = measure(candidate=policy, deployed=policy, prompts=prompt_rows(80, "evaluation"))
    assert metrics["win_low"] < 0.5 < metrics["win_high"]
    assert metrics["base_win_rate"] > metrics["win_rate"]
    assert metrics["deployed_length"] > 0


def test_what_is_deployed_may_belong_to_another_base(measure, policy, tiny_folder):
    prompts = prompt_rows(12, "evaluation")
    _, own = measure(deployed=policy, prompts=prompts)
    _, other = measure(deployed=policy, deployed_base=str(tiny_folder), prompts=prompts)
    assert log(own, "evaluation") == log(other, "evaluation")


def test_best_of_eight_beats_one_sample(measure, trained):
    metrics, folder = measure(best_of=8, reward=str(trained["reward"]))
    assert metrics["best_of_win_low"] > 0.5
    assert len(log(folder, "evaluation")) == 40


def test_each_prompt_has_a_row_with_its_texts_side_by_side(measure, policy):
    _, folder = measure(candidate=policy, batch=16)
    rows = log(folder, "evaluation")
    assert len({row["id"] for row in rows}) == 40
    for row in rows:
        assert isinstance(row["candidate"], str)
        assert isinstance(row["base_score"], float)
        assert row["deployed"] is None


def test_later_looks_have_wider_intervals(measure, policy):
    first, _ = measure(candidate=policy, look=1)
    third, _ = measure(candidate=policy, look=3)
    assert first["base_win_rate"] == third["base_win_rate"]
    assert third["base_win_low"] <= first["base_win_low"]
    assert third["base_win_high"] >= first["base_win_high"]


def test_without_a_judge_there_is_no_win_rate_but_the_rest(measure, policy):
    metrics, folder = measure(candidate=policy, judge=None)
    assert metrics["win_rate"] is None
    assert metrics["length"] > 0
    assert log(folder, "evaluation")[0]["candidate_score"] is None


def test_only_evaluation_prompts_are_used(measure):
    prompts = [*prompt_rows(5, "train"), *prompt_rows(7, "evaluation", 50)]
    metrics, _ = measure(prompts=prompts)
    assert metrics["prompts"] == 7


def test_no_more_prompts_than_asked_for(measure):
    metrics, _ = measure(prompts=prompt_rows(20, "evaluation"), batch=8)
    assert metrics["prompts"] == 20


def test_no_evaluation_prompts_is_said(measure):
    with pytest.raises(RunError) as refused:
        measure(prompts=prompt_rows(5, "train"))
    assert refused.value.code == "data_missing"
