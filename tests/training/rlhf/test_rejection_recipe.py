"""The recipe `rejection` on a tiny model: it finds a planted reward, and a wrong sign does not."""

import dataclasses

import pytest
import torch

from tests.training.rlhf.rehearsal import (
    log,
    messages,
    prompt_rows,
    run_here,
    with_long_prompts,
    write_run,
)
from tests.training.rlhf.test_ppo_recipe import taste_of
from training.configs import ConfigError, RejectionConfig, SftConfig
from training.errors import explain
from training.rlhf import rejection, sft
from training.rlhf.durable import RunError
from training.rlhf.models import decode, encode_chat, encode_text
from training.rlhf.process import Control
from training.rlhf.reward_model import Scored, load_reward_model
from training.rlhf.rewarded import final_scores, load_parts, scored_samples
from training.rlhf.rundir import RunDirectory

pytestmark = pytest.mark.model

SMALL = {
    "episodes": 1024,
    "prompts_per_batch": 16,
    "samples_per_prompt": 8,
    "max_new_tokens": 24,
    "learning_rate": 4e-3,
    "lora_rank": 8,
    "lora_top_share": 0.5,
    "development_samples": 32,
    "evaluate_every": 128,
    "distinct_share": 0.5,
    "precision": "float32",
    "threads": 1,
}
PROMPTS = [*prompt_rows(40), *prompt_rows(16, "rm_test", 60)]


@pytest.fixture
def fill(tiny_folder, trained, tmp_path):
    """fill(**config) → the folder of a run that has not begun."""

    def write(*, prompts=PROMPTS, **values):
        fixed = {
            "base": str(tiny_folder),
            "reward": str(trained["reward"]),
            "judge": str(trained["judge"]),
        }
        config = RejectionConfig.from_dict({**fixed, **SMALL, **values})
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return write_run(folder, config, prompts=prompts)

    return write


@pytest.fixture
def train(fill):
    """train(**config) → (metrics, folder of the run)."""

    def run(**values):
        folder = fill(**values)
        return run_here(rejection.main, folder), folder

    return run


def test_it_finds_the_planted_reward(train, tiny):
    metrics, folder = train()
    assert metrics["winners"] == 128
    assert metrics["judge_win_rate"] > 0.6
    assert metrics["reward"] > 0.2
    assert taste_of(tiny, folder / "checkpoint") > taste_of(tiny, None) + 0.05


def test_the_worst_of_n_leads_the_other_way(train, tiny, monkeypatch):
    right = rejection.final_scores
    monkeypatch.setattr(rejection, "final_scores", lambda *given: -right(*given))
    metrics, folder = train(judge=None)
    assert metrics["reward"] < -0.2
    assert taste_of(tiny, folder / "checkpoint") < taste_of(tiny, None) - 0.03


def test_the_judge_refuses_what_the_worst_of_n_leads_to(train, monkeypatch):
    right = rejection.final_scores
    monkeypatch.setattr(rejection, "final_scores", lambda *given: -right(*given))
    metrics, _ = train()
    assert metrics["picked_winner"] == 0


def test_the_winners_are_each_prompts_best(fill, tiny):
    directory = RunDirectory.open(fill(prompts_per_batch=3, missing_eos_min_share=1.0))
    config = directory.config
    parts = load_parts(directory, config)
    winners = rejection.Winners()
    numbers = rejection.add_winners(winners, config, parts, 0, Control())
    rollout, (scores, _) = scored_samples(config, parts, 0, Control())
    directory.close()
    texts = [decode(tiny, rollout.completion(row)) for row in range(24)]
    for prompt, tokens in enumerate(winners.completions):
        own = scores[prompt * 8 : prompt * 8 + 8].tolist()
        assert decode(tiny, tokens) == texts[prompt * 8 + own.index(max(own))]
    best = [max(scores[n * 8 : n * 8 + 8].tolist()) for n in range(3)]
    assert numbers["best_score"] == pytest.approx(sum(best) / 3, rel=1e-5)
    assert numbers["score"] == pytest.approx(float(scores.mean()), rel=1e-5)


def test_a_completion_that_never_ended_wins_only_where_it_is_better_by_the_penalty(fill):
    directory = RunDirectory.open(fill(missing_eos_min_share=0.0, missing_eos_penalty=1000.0))
    parts = load_parts(directory, directory.config)
    winners = rejection.Winners()
    rejection.add_winners(winners, directory.config, parts, 0, Control())
    rollout, _ = scored_samples(directory.config, parts, 0, Control())
    directory.close()
    ended = rollout.finished.view(-1, 8).any(1).tolist()
    assert any(ended)
    ends = set(parts.base.eos_ids)
    assert [tokens[-1] in ends for tokens in winners.completions] == ended


def test_a_missing_end_costs_nothing_where_few_of_the_base_end(fill):
    directory = RunDirectory.open(fill(missing_eos_penalty=3.0))
    config = directory.config
    parts = load_parts(directory, config)
    directory.close()
    share = parts.development.base(Control()).finished_share
    scores, finished = torch.tensor([2.0, 2.0]), torch.tensor([True, False])
    for least, expected in ((share, [2.0, -1.0]), (share + 0.01, [2.0, 2.0])):
        asked = dataclasses.replace(config, missing_eos_min_share=least)
        scored = Scored(scores, torch.zeros(2))
        assert final_scores(asked, parts, scored, finished, Control()).tolist() == expected


def test_what_the_reward_model_is_unsure_of_has_to_be_better_by_that_much(fill):
    directory = RunDirectory.open(fill(missing_eos_min_share=1.0))
    config, parts = directory.config, load_parts(directory, directory.config)
    directory.close()
    scored, ended = Scored(torch.tensor([2.0, 1.0]), torch.tensor([0.75, 0.25])), torch.ones(2) > 0
    for caution, expected in ((0.0, [2.0, 1.0]), (2.0, [0.5, 0.5]), (4.0, [-1.0, 0.0])):
        asked = dataclasses.replace(config, caution=caution)
        assert final_scores(asked, parts, scored, ended, Control()).tolist() == expected


def test_caution_is_refused_where_the_reward_model_cannot_say_what_it_is_unsure_by(
    fill, trained, tiny, tmp_path
):
    probed = load_reward_model(trained["reward"], tiny)
    alone = dataclasses.replace(
        probed, layers=(), probe=None, spread=None, head=torch.ones(tiny.width)
    )
    reward = tmp_path / "no-probe"
    alone.save(reward)
    directory = RunDirectory.open(fill(reward=str(reward), caution=0.5))
    assert load_parts(directory, dataclasses.replace(directory.config, caution=0.0))
    with pytest.raises(RunError) as refused:
        load_parts(directory, directory.config)
    directory.close()
    assert (refused.value.code, refused.value.values) == ("spread_missing", {"path": str(reward)})
    assert "caution would take nothing off" in explain("spread_missing", refused.value.values)


def test_a_text_that_never_ends_does_not_escape_the_caution(fill):
    directory = RunDirectory.open(
        fill(missing_eos_min_share=0.0, missing_eos="replace", missing_eos_penalty=1.0, caution=2.0)
    )
    config, parts = directory.config, load_parts(directory, directory.config)
    directory.close()
    scored, finished = Scored(torch.tensor([3.0, 3.0]), torch.ones(2)), torch.tensor([True, False])
    assert final_scores(config, parts, scored, finished, Control()).tolist() == [1.0, -3.0]


def test_winners_come_back_from_a_state_as_they_were():
    winners = rejection.Winners([[5, 6, 2], [7], [8, 9]])
    assert rejection.Winners.of(winners.tensors()).completions == winners.completions


def test_its_loss_is_that_of_fine_tuning_on_the_same_texts(fill, tiny, tiny_folder, tmp_path):
    directory = RunDirectory.open(fill())
    parts = load_parts(directory, directory.config)
    directory.close()
    text = "abba baba"
    prompts = [encode_chat(tiny, messages(f"say {n}")) for n in range(8)]
    completion = encode_text(tiny, text, finished=True)
    winners = rejection.Winners([completion] * 8)
    batch = rejection.batch_of(parts.policy.lm, prompts, winners, range(8))
    loss = rejection.add_gradients(parts.policy.lm, batch, Control())
    demonstrations = [
        {
            "id": str(n),
            "split": "train",
            "prompt": messages(f"say {n}"),
            "completion": text,
            "labeler": "one",
            "weight": 1.0,
        }
        for n in range(8)
    ]
    config = SftConfig(
        base=str(tiny_folder), epochs=1, validation_share=0.0, precision="float32", threads=1
    )
    folder = write_run(tmp_path / "sft", config, demonstrations=demonstrations)
    run_here(sft.main, folder)
    assert loss == pytest.approx(log(folder)[0]["loss"], rel=1e-5)


def test_sampling_comes_first_and_then_the_loss_falls(train):
    _, folder = train(judge=None, episodes=256, epochs=20, learning_rate=2e-2)
    rows = log(folder)
    sampling, steps = rows[:2], rows[2:]
    assert all(row["best_score"] > row["score"] for row in sampling)
    assert [row["step"] for row in rows] == list(range(1, 2 + 20 * 4 + 1))
    first, last = steps[:4], steps[-4:]  # all 32 winners each
    assert sum(row["loss"] for row in last) < sum(row["loss"] for row in first) - 4 * 0.2


def test_prompts_that_do_not_fit_are_counted(fill):
    rows = with_long_prompts(PROMPTS, 2, 7, 50)
    folder = fill(prompts=rows, episodes=128, epochs=1, max_prompt_tokens=100)
    assert run_here(rejection.main, folder)["prompts_cut"] == 3


def test_the_same_seed_gives_the_same_bits_and_another_others(train):
    first, second, other = (train(episodes=256, seed=seed) for seed in (0, 0, 1))
    assert log(first[1]) == log(second[1])
    manifest = "checkpoint/manifest.json"
    assert (first[1] / manifest).read_text() == (second[1] / manifest).read_text()
    assert log(first[1]) != log(other[1])


def test_a_config_says_all_that_is_wrong_with_it():
    with pytest.raises(ConfigError) as refused:
        RejectionConfig(base="b", samples_per_prompt=1, epochs=0, batch=0, warmup_share=2)
    assert {problem.split(":")[0] for problem in refused.value.problems} == {
        "reward",
        "samples_per_prompt",
        "epochs",
        "batch",
        "warmup_share",
    }


def test_the_papers_numbers_are_a_valid_config():
    config = RejectionConfig.from_preset("paper", base="b", reward="r")
    assert config.batches() * config.prompts_per_batch == 2048
