"""The recipe `evaluate` on a tiny model."""

import pytest

from tests.training.rlhf.rehearsal import (
    log,
    prompt_rows,
    run_here,
    with_long_prompts,
    write_run,
)
from training.configs import EvaluateConfig, PpoConfig
from training.rlhf import evaluate, ppo
from training.rlhf.durable import RunError

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
    prompts = prompt_rows(80, "evaluation")
    metrics, _ = measure(candidate=policy, deployed=policy, prompts=prompts, seed=1)
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
    assert metrics["best_of_win_low"] > metrics["best_of_win_sure"] > 0.5
    assert len(log(folder, "evaluation")) == 40


def test_each_prompt_has_a_row_with_its_texts_side_by_side(measure, policy):
    _, folder = measure(candidate=policy, batch=16)
    rows = log(folder, "evaluation")
    assert len({row["id"] for row in rows}) == 40
    for row in rows:
        assert isinstance(row["candidate"], str)
        assert isinstance(row["base_score"], float)
        assert row["deployed"] is None


def test_prompts_that_do_not_fit_are_counted(measure, trained):
    prompts = with_long_prompts(prompt_rows(6, "evaluation"), 0, 4)
    metrics, _ = measure(prompts=prompts, max_prompt_tokens=100)
    assert (metrics["prompts"], metrics["prompts_cut"]) == (6, 2)
    reward = str(trained["reward"])
    metrics, _ = measure(prompts=prompts, max_prompt_tokens=100, best_of=2, reward=reward)
    assert metrics["prompts_cut"] == 2


def test_three_prompts_are_there_to_read(measure, policy):
    _, folder = measure(candidate=policy, batch=2, prompts=prompt_rows(5, "evaluation"))
    shown, rows = log(folder, "samples"), log(folder, "evaluation")[:3]
    assert [row["step"] for row in shown] == [1, 1, 2]
    assert [row["before"] for row in shown] == [row["base"] for row in rows]
    assert [row["after"] for row in shown] == [row["candidate"] for row in rows]
    scores = [row["candidate_score"] for row in rows]
    assert [row["score"] for row in shown] == pytest.approx(scores, abs=5e-4)
    numbers = [row["prompt"].removeprefix("evaluation-") for row in rows]
    assert [row["prompt"] for row in shown] == [f"tell me about number {n}" for n in numbers]


def test_what_is_deployed_is_read_beside_the_candidate(measure, policy):
    prompts = prompt_rows(2, "evaluation")
    _, folder = measure(deployed=policy, judge=None, prompts=prompts)
    shown, rows = log(folder, "samples"), log(folder, "evaluation")
    assert [row["before"] for row in shown] == [row["deployed"] for row in rows]
    assert not any("score" in row for row in shown)


def test_the_best_of_eight_are_there_to_read(measure, trained):
    prompts = prompt_rows(4, "evaluation")
    _, folder = measure(best_of=8, reward=str(trained["reward"]), prompts=prompts)
    shown, rows = log(folder, "samples"), log(folder, "evaluation")[:3]
    assert [(row["before"], row["after"]) for row in shown] == [
        (row["base"], row["candidate"]) for row in rows
    ]


def compared(ours, theirs, score):
    """One prompt: tokens of the candidate's text and of the base's, whose score is 0."""
    return {"candidate": {"tokens": ours, "score": score}, "base": {"tokens": theirs, "score": 0.0}}


def matched(rows):
    config = EvaluateConfig(base="b", bootstrap=200)
    groups = [str(number) for number in range(len(rows))]
    return evaluate.matched_win_rate("m", "base", rows, groups, config)


def test_at_matched_length_only_texts_within_a_fifth_count():
    alike = [compared(10, 8, 1.0)] * 6 + [compared(8, 10, 1.0)] * 3 + [compared(30, 30, -1.0)] * 3
    longer = [compared(10, 7, 1.0)] * 20 + [compared(7, 10, -1.0)] * 5
    found = matched(alike + longer)
    assert found["m_prompts"] == 12
    assert found["m_rate"] == 0.75
    assert found["m_low"] < 0.75 < found["m_high"]


def test_fewer_than_ten_of_matched_length_say_nothing():
    rows = [compared(10, 10, 1.0)] * 9 + [compared(10, 1, 1.0)] * 20
    assert matched(rows) == {
        "m_prompts": 9,
        **dict.fromkeys(("m_rate", "m_low", "m_high", "m_sure")),
    }
    assert matched([*rows, compared(10, 10, 1.0)])["m_rate"] == 1.0


def test_the_win_rate_at_matched_length_stands_beside_the_other(measure, policy):
    metrics, _ = measure(candidate=policy)
    assert 0 <= metrics["base_win_matched_prompts"] <= 40
    assert (metrics["base_win_matched_rate"] is None) == (metrics["base_win_matched_prompts"] < 10)
    unjudged, _ = measure(candidate=policy, judge=None)
    assert unjudged["base_win_matched_rate"] is None
    assert unjudged["base_win_matched_prompts"] == metrics["base_win_matched_prompts"]


def test_later_looks_have_to_be_surer_and_show_the_same_interval(measure, policy):
    first, _ = measure(candidate=policy, look=1)
    third, _ = measure(candidate=policy, look=3)
    for part in ("rate", "low", "high"):
        assert first[f"base_win_{part}"] == third[f"base_win_{part}"]
    assert third["base_win_sure"] <= first["base_win_sure"] <= first["base_win_low"]
    assert third["base_win_sure"] < first["base_win_low"]


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


def test_prompts_leave_room_for_the_completion_in_the_models_window(
    measure, policy, tiny, monkeypatch
):
    """A prompt that fills the window alone is cut: no position beyond it is ever asked for."""
    really_draw, lengths = evaluate.draw_samples, []

    def draw(lm, reference, prompts, *given, **named):
        lengths.extend(map(len, prompts))
        return really_draw(lm, reference, prompts, *given, **named)

    monkeypatch.setattr(evaluate, "draw_samples", draw)
    (row,) = prompt_rows(1, "evaluation")
    words = " ".join(f"number {n}" for n in range(tiny.max_positions))
    row["prompt"] = [{"role": "user", "content": words}]
    measure(candidate=policy, judge=None, prompts=[row], max_prompt_tokens=tiny.max_positions)
    assert tiny.max_positions - 30 < max(lengths) <= tiny.max_positions - 24
