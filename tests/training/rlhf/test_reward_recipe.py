"""The recipe `reward` on a tiny model with a planted taste."""

import json
import math

import numpy as np
import pytest
import torch

from tests.training.rlhf.rehearsal import (
    completions,
    log,
    messages,
    prompt_rows,
    ranking_rows,
    run_here,
    vowels,
    write_run,
)
from training.configs import RewardConfig
from training.rlhf import reward_tuning
from training.rlhf.durable import RunError
from training.rlhf.features import FeatureRow, pooled_features
from training.rlhf.process import Control
from training.rlhf.ranked import read_rankings
from training.rlhf.rankings import Rankings
from training.rlhf.reward import main
from training.rlhf.reward_model import load_reward_model
from training.rlhf.reward_quality import HeldOut, margins
from training.rlhf.reward_tuning import RewardTuning
from training.rlhf.rundir import RunDirectory

pytestmark = pytest.mark.model


@pytest.fixture
def train(tiny_folder, tmp_path):
    """train(rankings, **config) → (metrics, folder of the run)."""

    def run(rankings, *, demonstrations=None, **values):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        chosen = {"finetune": "never", "precision": "float32", "threads": 1, **values}
        config = RewardConfig(base=str(tiny_folder), **chosen)
        tables = {"rankings": rankings}
        if demonstrations is not None:
            tables["demonstrations"] = demonstrations
        write_run(folder, config, **tables)
        return run_here(main, folder), folder

    return run


def fresh_rows(tiny_folder, count=40):
    """Completions that no reward model has seen, one a prompt."""
    prompts = prompt_rows(count, "evaluation", 500)
    texts = completions(tiny_folder, prompts, samples=1, seed=9)
    return [FeatureRow(row["prompt"], *text[0]) for row, text in zip(prompts, texts, strict=True)]


def correlation(scores, rows):
    taste = torch.tensor([vowels(row.text) for row in rows])
    return float(torch.corrcoef(torch.stack([scores, taste]))[0, 1])


class TestMargins:
    """By hand: σ(0) = ½, σ(log 3) = ¾, σ(−log 3) = ¼, σ(2 log 3) = 9/10."""

    def test_each_ranking_has_that_of_its_closest_untied_pair(self):
        log3 = math.log(3)
        rankings = Rankings(
            rows=[[0, 1, 2], [3, 4], [5, 6]],
            ranks=[[1, 2, 3], [1, 1], [2, 1]],
            prompts=["a", "b", "c"],
            weights=[1.0, 1.0, 1.0],
        )
        scores = torch.tensor([2 * log3, log3, 0.0, 5.0, 5.0, 0.0, -log3])
        found = margins(HeldOut(scores, rankings), ["11", "12", "13"])
        assert [row["id"] for row in found] == ["11", "13"]
        assert [row["margin"] for row in found] == pytest.approx([0.25, 0.25])

    def test_a_run_writes_one_for_each_ranking_it_learned_from(self, train, ranked):
        _, folder = train(ranked)
        found = log(folder, "margins")
        untied = [row for row in ranked if row["split"] == "train" and len(set(row["ranks"])) > 1]
        assert {row["id"] for row in found} == {row["id"] for row in untied}
        assert all(0 <= row["margin"] <= 0.5 for row in found)


class TestProbe:
    def test_it_learns_the_planted_taste(self, train, ranked, tiny, tiny_folder):
        metrics, folder = train(ranked)
        assert metrics["oof_low"] > 0.6
        assert metrics["oof_low"] < metrics["oof_accuracy"] < metrics["oof_high"]
        assert metrics["test_accuracy"] > 0.65
        assert metrics["oof_log_loss"] < 0.65
        rows = fresh_rows(tiny_folder)
        model = load_reward_model(folder / "checkpoint", tiny)
        assert correlation(model.score(rows), rows) > 0.6

    def test_labels_with_the_wrong_sign_are_learned_as_they_are(
        self, train, ranked, tiny, tiny_folder
    ):
        turned = [
            {**row, "ranks": [max(row["ranks"]) + 1 - rank for rank in row["ranks"]]}
            for row in ranked
        ]
        _, folder = train(turned)
        rows = fresh_rows(tiny_folder)
        model = load_reward_model(folder / "checkpoint", tiny)
        assert correlation(model.score(rows), rows) < -0.6

    def test_labels_at_random_stay_at_chance(self, train, tiny_folder):
        found = []
        for seed in range(4):
            rows = ranking_rows(
                tiny_folder, prompt_rows(60), taste=lambda _: 0.0, noise=1.0, seed=seed
            )
            metrics, _ = train(rows)
            found.append(metrics["oof_accuracy"])
        assert abs(sum(found) / 4 - 0.5) < 0.05

    def test_it_counts_what_it_was_given(self, train, ranked):
        metrics, _ = train(ranked)
        train_rows = [row for row in ranked if row["split"] == "train"]
        assert metrics["rankings"] == len(train_rows)
        assert metrics["pairs"] + metrics["tied_pairs"] == 6 * len(train_rows)

    def test_a_judge_learns_from_the_judge_prompts_only(self, train, ranked):
        metrics, _ = train(ranked, role="judge")
        assert metrics["rankings"] == 40

    def test_the_base_samples_get_mean_zero_and_variance_one(self, train, ranked, tiny):
        rows = json.loads(json.dumps(ranked))
        for row in rows:
            for completion in row["completions"][1:]:
                completion["source"] = "another"
        _, folder = train(rows, base_source="base")
        model = load_reward_model(folder / "checkpoint", tiny)
        base = [
            FeatureRow(
                row["prompt"], row["completions"][0]["text"], row["completions"][0]["finished"]
            )
            for row in rows
            if row["split"] != "judge"
        ]
        scores = model.score(base)
        assert float(scores.mean()) == pytest.approx(0, abs=1e-3)
        assert float(scores.std()) == pytest.approx(1, abs=1e-3)

    def test_demonstrations_get_mean_zero(self, train, ranked, tiny):
        demonstrations = [
            {
                "id": str(n),
                "split": "train",
                "prompt": messages(f"tell me about number {n}"),
                "completion": "abcd efgh ijkl",
                "labeler": "one",
                "weight": 1.0,
            }
            for n in range(6)
        ]
        _, folder = train(ranked, demonstrations=demonstrations)
        model = load_reward_model(folder / "checkpoint", tiny)
        rows = [
            FeatureRow(row["prompt"], row["completion"], finished=True) for row in demonstrations
        ]
        assert float(model.score(rows).mean()) == pytest.approx(0, abs=1e-3)

    def test_its_progress_is_logged(self, train, ranked):
        _, folder = train(ranked)
        shares = [row["features"] for row in log(folder) if "features" in row]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


class TestProgress:
    # 300 completions are 3 chunks; the probe; 48 and 60 prompts, 8 a step, twice: 12 and 16 steps.
    def test_all_steps_are_counted_from_the_start(self, train, ranked):
        _, folder = train(ranked, finetune="always", epochs=2)
        rows = log(folder)
        assert [row["step"] for row in rows] == list(range(1, 33))
        assert {row["total_steps"] for row in rows} == {32}

    def test_the_probe_alone_is_not_done_before_it_is_fitted(self, train, ranked):
        _, folder = train(ranked)
        rows = log(folder)
        assert [(row["step"], row["total_steps"]) for row in rows] == [(n, 4) for n in range(1, 5)]
        assert "features" not in rows[-1]

    def test_a_trial_that_is_dropped_ends_before_the_last_step(self, train, tiny_folder):
        rows = ranking_rows(tiny_folder, prompt_rows(40), taste=lambda _: 0.0, noise=1.0)
        metrics, folder = train(rows, finetune="if_better", learning_rate=0.01, epochs=4)
        assert metrics["finetuned"] == 0
        # 160 completions: 2 chunks. 32 prompts to try it on: 16 steps, and 20 that did not come.
        assert [row["step"] for row in log(folder)] == list(range(1, 20))
        assert {row["total_steps"] for row in log(folder)} == {39}


class TestRefusals:
    def test_too_few_rankings(self, train, ranked):
        with pytest.raises(RunError) as refused:
            train(ranked[:3])
        assert refused.value.code == "too_few_rankings"
        assert refused.value.values == {"found": 3, "needed": 5}

    def test_a_broken_ranking_is_named_by_its_line(self, train, ranked):
        broken = json.loads(json.dumps(ranked[:20]))
        broken[6]["ranks"] = [1, 2]
        with pytest.raises(RunError) as refused:
            train(broken)
        assert refused.value.code == "data_invalid"
        assert refused.value.values["line"] == 7
        assert "ranks" in str(refused.value.values["problem"])

    def test_no_rankings_at_all(self, train):
        with pytest.raises(RunError) as refused:
            train([])
        assert refused.value.code == "too_few_rankings"


class TestFineTuning:
    def test_without_a_probe_the_head_starts_small_and_at_random(self, tiny, ranked, make_run):
        config = RewardConfig.from_preset("paper", base="b", lora_rank=4)
        assert (config.epochs, config.batch, config.learning_rate) == (1, 64, 9e-6)
        directory = RunDirectory.open(make_run(config, rankings=ranked))
        data = read_rankings(directory, "train")
        directory.close()
        heads = [
            RewardTuning(tiny, config, data, None, chosen=range(len(data.rankings)), key=str(n))
            for n in range(40)
        ]
        values = torch.cat([one.head.detach() for one in heads])
        expected = 1 / math.sqrt(tiny.width + 1)
        assert float(values.std()) == pytest.approx(expected, rel=0.1)
        assert float(values.mean()) == pytest.approx(0, abs=expected * 0.1)
        assert heads[0].optimiser.adam.param_groups[0]["betas"] == (0.9, 0.95)

    def test_it_is_dropped_where_it_predicts_held_out_rankings_worse(self, train, tiny_folder):
        rows = ranking_rows(tiny_folder, prompt_rows(40), taste=lambda _: 0.0, noise=1.0)
        metrics, folder = train(rows, finetune="if_better", learning_rate=0.01, epochs=4)
        assert metrics["finetuned"] == 0
        assert metrics["tuned_log_loss"] > metrics["probe_log_loss"]
        assert not (folder / "checkpoint" / "adapter_config.json").exists()

    def test_kept_it_starts_from_the_probe_and_scores_alike_after_loading(
        self, train, ranked, tiny, tiny_folder
    ):
        metrics, folder = train(ranked, finetune="always", learning_rate=1e-3)
        assert metrics["finetuned"] == 1
        assert metrics["tuned_log_loss"] < 0.69
        alone, _ = train(ranked, finetune="never")
        for number in ("oof_accuracy", "oof_low", "oof_high"):
            assert metrics[f"probe_{number}"] == alone[number], "the probe's, of all folds"
        assert metrics["oof_low"] == metrics["tuned_low"], "of what is saved"
        judged = [row for row in log(folder, "breakdown") if row["by"] == "gap"]
        assert sum(row["pairs"] for row in judged) == metrics["tuned_pairs"]
        assert 0 < metrics["tuned_pairs"] < metrics["pairs"]
        model = load_reward_model(folder / "checkpoint", tiny)
        assert model.probe is not None
        assert model.lm.adapter is not None
        rows = fresh_rows(tiny_folder)
        assert correlation(model.score(rows), rows) > 0.5

    def test_grades_and_doubt_reach_its_loss(self, tiny, ranked, make_run):
        """Against the loss worked out from the scores that it starts from, pair by pair."""
        graded = [{**row, "likert": [7 - rank for rank in row["ranks"]]} for row in ranked]
        settings = {"batch": 1024, "lora_rank": 4, "grade_margin": 0.5, "label_smoothing": 0.1}
        config = RewardConfig.from_preset("paper", base="b", **settings)
        directory = RunDirectory.open(make_run(config, rankings=graded))
        data = read_rankings(directory, "train", grade_margin=0.5)
        directory.close()
        everything = range(len(data.rankings))
        tuning = RewardTuning(tiny, config, data, None, chosen=everything, key="k", unit=3.0)
        scores = tuning.scores(everything).double().numpy()
        found = tuning.step(0, Control()).loss
        losses = []
        for rows, ranks in zip(data.rankings.rows, data.rankings.ranks, strict=True):
            leads = [
                scores[i] - scores[j] - 3.0 * 0.5 * (other - rank)
                for i, rank in zip(rows, ranks, strict=True)
                for j, other in zip(rows, ranks, strict=True)
                if rank < other and i != j
            ]
            losses.append(
                np.mean([0.9 * np.log1p(np.exp(-d)) + 0.1 * np.log1p(np.exp(d)) for d in leads])
            )
        assert found == pytest.approx(float(np.mean(losses)), abs=1e-4)

    def test_a_loss_that_is_not_finite_is_named_by_the_runs_step_and_its_rankings(
        self, train, ranked, monkeypatch
    ):
        right = reward_tuning.ranking_loss

        def broken(*given, **named):
            loss, stats = right(*given, **named)
            return loss * math.nan, stats

        monkeypatch.setattr(reward_tuning, "ranking_loss", broken)
        with pytest.raises(RunError) as refused:
            train(ranked, finetune="always", batch=4)
        values = refused.value.values
        assert (values["quantity"], values["file"]) == ("loss", "data/rankings.jsonl")
        assert values["rows"].count("r-train-") == 3
        assert values["count"] == 4
        # 300 completions of train and rm_test are three chunks of features; the probe; this.
        assert values["step"] == 3 + 1 + 1

    @pytest.mark.parametrize("changes", [{"grade_margin": 1.0}, {"label_smoothing": 0.3}])
    def test_its_scores_are_log_odds_again(self, train, ranked, changes):
        """What margins and smoothing do to a score's scale is undone by what it says unseen."""
        graded = [{**row, "likert": [7 - rank for rank in row["ranks"]]} for row in ranked]
        metrics, _ = train(graded, finetune="always", learning_rate=3e-3, **changes)
        usual, _ = train(graded, finetune="always", learning_rate=3e-3)
        assert metrics["finetuned"] == 1
        assert metrics["tuned_log_loss"] == pytest.approx(usual["tuned_log_loss"], abs=0.15)

    def test_the_paper_preset_tunes_all_weights_and_its_loss_falls(
        self, train, ranked, tiny, tiny_folder
    ):
        values = RewardConfig.presets["paper"] | {"epochs": 4, "batch": 8, "learning_rate": 2e-3}
        metrics, folder = train(ranked, **values)
        assert metrics["finetuned"] == 1
        losses = [row["loss"] for row in log(folder)][-28:]
        assert sum(losses[-7:]) / 7 < sum(losses[:7]) / 7 - 0.1
        model = load_reward_model(folder / "checkpoint", tiny)
        assert model.owns_model

    def test_pooled_at_the_last_token_it_loads_as_sequence_classification(
        self, train, ranked, tiny, tiny_folder
    ):
        from transformers import AutoModelForSequenceClassification

        from training.rlhf.models import encode_chat, encode_text

        values = RewardConfig.presets["paper"] | {"batch": 8, "learning_rate": 2e-3}
        _, folder = train(ranked, **values)
        peer = AutoModelForSequenceClassification.from_pretrained(folder / "checkpoint")
        rows = fresh_rows(tiny_folder, 12)
        ids = [
            encode_chat(tiny, row.messages) + encode_text(tiny, row.text, finished=row.finished)
            for row in rows
        ]
        width = max(map(len, ids))
        padded = torch.tensor([one + [tiny.pad_id] * (width - len(one)) for one in ids])
        mask = padded != tiny.pad_id
        with torch.no_grad():
            logits = peer(padded, attention_mask=mask.long()).logits[:, 0]
        model = load_reward_model(folder / "checkpoint", tiny)
        ours = model.score(rows) * model.std + model.mean
        assert (ours - logits).abs().max() < 1e-4


class TestCheckpoints:
    def test_text_and_rollout_get_the_same_score(self, trained, tiny, tiny_folder):
        from training.rlhf.decoding import sample
        from training.rlhf.models import decode, encode_chat
        from training.rlhf.randomness import uniforms

        model = load_reward_model(trained["reward"], tiny)
        prompts = prompt_rows(4, "evaluation", 700)
        keep = model.shared_layers
        for kept in (keep, ()):
            rollout = sample(
                tiny,
                [encode_chat(tiny, row["prompt"]) for row in prompts],
                samples=2,
                max_new_tokens=20,
                temperature=1.0,
                uniforms=uniforms(0, 0, range(4), 2, 20),
                keep_layers=kept,
            )
            rows = [
                FeatureRow(
                    prompts[n // 2]["prompt"],
                    decode(tiny, rollout.completion(n)),
                    bool(rollout.finished[n]),
                )
                for n in range(8)
            ]
            again = [
                encode == rollout.completion(n)
                for n, encode in enumerate(tokens_of(tiny, row) for row in rows)
            ]
            gap = (model.score(rows) - model.score_rollout(rollout).scores).abs()
            assert any(again)
            assert gap[torch.tensor(again)].max() < 1e-3

    def test_it_is_surer_of_what_is_like_the_ranked_texts(self, train, ranked, tiny):
        _, folder = train(ranked, finetune="never")
        model = load_reward_model(folder / "checkpoint", tiny)
        prompt = [{"role": "user", "content": "tell me about number 7"}]
        ranked_texts = [one["text"] for row in ranked[:6] for one in row["completions"]]
        strange = ["z " * 200, "?" * 300, "WWWW " * 150]
        features = pooled_features(
            tiny,
            [FeatureRow(prompt, text, True) for text in (*ranked_texts, *strange)],
            model.layers,
        )
        spread = model.spread.of(features)
        assert spread[-3:].min() > 1.5 * spread[:-3].mean()

    def test_a_changed_byte_is_noticed(self, train, ranked, tiny):
        _, folder = train(ranked)
        path = folder / "checkpoint" / "head.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(RunError) as refused:
            load_reward_model(folder / "checkpoint", tiny)
        assert refused.value.code == "checkpoint_corrupt"

    def test_another_base_is_refused(self, trained, tmp_path):
        from training.rlhf.models import load_language_model
        from training.rlhf.tiny_model import write_tiny_model

        other = write_tiny_model(tmp_path / "other", seed=5)
        lm = load_language_model(other, device="cpu", precision="float32")
        with pytest.raises(RunError) as refused:
            load_reward_model(trained["reward"], lm)
        assert refused.value.code == "checkpoint_mismatch"

    def test_a_folder_that_is_none_is_refused(self, tiny, tmp_path):
        with pytest.raises(RunError) as refused:
            load_reward_model(tmp_path / "nowhere", tiny)
        assert refused.value.code == "model_not_found"

    def test_the_same_seed_gives_the_same_bytes(self, train, ranked):
        sums = set()
        for _ in range(2):
            _, folder = train(ranked, finetune="always", epochs=1)
            sums.add((folder / "checkpoint" / "manifest.json").read_text())
        assert len(sums) == 1


def tokens_of(lm, row):
    from training.rlhf.models import encode_text

    return encode_text(lm, row.text, finished=row.finished)
