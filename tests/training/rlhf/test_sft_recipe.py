"""The recipe `sft` on a tiny model."""

import json
import math

import pytest
import torch

from tests.training.rlhf.rehearsal import completions, log, messages, run_here, write_run
from training.configs import ConfigError, SftConfig
from training.rlhf import packing, room, sft
from training.rlhf.durable import RunError
from training.rlhf.models import encode_chat, load_language_model
from training.rlhf.process import run_in
from training.rlhf.randomness import shuffled

pytestmark = pytest.mark.model


def demonstrations(count, *, split="train", text="abba baba"):
    return [
        {
            "id": f"{split}-{n}",
            "split": split,
            "prompt": messages(f"say it {n}"),
            "completion": text,
            "labeler": "one",
            "weight": 1.0,
        }
        for n in range(count)
    ]


@pytest.fixture
def fill(tiny_folder, tmp_path):
    """fill(rows, **config) → the folder of a run that has not begun."""

    def write(rows, **values):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        config = SftConfig(
            base=str(tiny_folder),
            threads=1,
            **{"learning_rate": 5e-3, "precision": "float32", **values},
        )
        return write_run(folder, config, demonstrations=rows)

    return write


@pytest.fixture
def train(fill):
    """train(rows, **config) → (metrics, folder of the run)."""

    def run(rows, **values):
        folder = fill(rows, **values)
        return run_here(sft.main, folder), folder

    return run


def greedy(lm, text, count=12):
    """What a model says, computed by transformers itself."""
    ids = encode_chat(lm, messages(text))
    with torch.no_grad():
        found = lm.model.generate(
            torch.tensor([ids]), max_new_tokens=count, do_sample=False, pad_token_id=lm.pad_id
        )
    return lm.tokenizer.decode(found[0, len(ids) :])


def answer_loss(lm, text, answer="abba baba"):
    """Nats a token of an answer and its end, computed by transformers itself."""
    prompt = encode_chat(lm, messages(text))
    ids = [*lm.tokenizer(answer).input_ids, lm.eos_ids[0]]
    with torch.no_grad():
        logits = lm.model(torch.tensor([prompt + ids])).logits[0]
    logprobs = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return -float(logprobs[range(len(ids)), ids].mean())


@pytest.mark.parametrize("rank", [8, 0])
def test_it_learns_to_say_it_and_to_end(train, tiny, rank):
    metrics, folder = train(demonstrations(60), lora_rank=rank, epochs=8)
    rows = log(folder)
    assert rows[-1]["loss"] < 0.25 * rows[0]["loss"]
    assert metrics["validation_loss"] < 1.5
    lm = load_language_model(folder / "checkpoint", device="cpu", precision="float32")
    assert answer_loss(tiny, "say it 77") > 3
    assert answer_loss(lm, "say it 77") < 0.6
    assert greedy(lm, "say it 77").endswith("ba<|im_end|>")


def test_a_learning_rate_of_almost_nothing_changes_almost_nothing(train, tiny):
    before = greedy(tiny, "x")
    _, folder = train(demonstrations(40), epochs=1, learning_rate=1e-9)
    lm = load_language_model(folder / "checkpoint", device="cpu", precision="float32")
    assert greedy(lm, "x") == before


def test_the_loss_counts_the_completion_and_its_end_only(train, tiny):
    metrics, _ = train(demonstrations(10), epochs=1, learning_rate=1e-12, batch=10)
    expected = sum(answer_loss(tiny, f"say it {n}") for n in range(10)) / 10
    found = (metrics["loss"] * 9 + metrics["validation_loss"]) / 10
    assert found == pytest.approx(expected, rel=1e-4)


def test_what_is_kept_back_is_measured_and_not_learned(train):
    metrics, folder = train(demonstrations(20), epochs=2, validation_share=0.25)
    assert metrics["demonstrations"] == 20
    rows = log(folder)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert ["validation_loss" in row for row in rows] == [False, True, False, True]


@pytest.mark.parametrize("rank", [8, 0])
def test_a_few_kept_back_prompts_are_answered_before_and_after(train, tiny_folder, rank):
    _, folder = train(demonstrations(60), lora_rank=rank, epochs=4)
    shown = log(folder, "samples")
    assert [row["step"] for row in shown] == [log(folder)[-1]["step"]] * 3
    kept_back = {f"say it {n}" for n in shuffled(60, 0, "validation")[:6]}
    assert len({row["prompt"] for row in shown} & kept_back) == 3
    asked = [{"id": n, "prompt": messages(row["prompt"])} for n, row in enumerate(shown)]
    for key, model in (("before", tiny_folder), ("after", folder / "checkpoint")):
        texts = completions(model, asked, samples=1, max_new_tokens=sft.ANSWER_TOKENS)
        assert [row[key] for row in shown] == [text for ((text, _),) in texts]
    assert all(row["before"] != row["after"] for row in shown)


def test_where_none_is_kept_back_prompts_that_it_learned_from_are_answered(train):
    _, folder = train(demonstrations(5), epochs=1)
    assert [row["prompt"] for row in log(folder, "samples")] == ["say it 0", "say it 1", "say it 2"]


def test_demonstrations_on_evaluation_prompts_are_left_out(train):
    rows = [*demonstrations(10), *demonstrations(30, split="evaluation")]
    metrics, _ = train(rows, epochs=1)
    assert metrics["demonstrations"] == 10


def test_the_papers_baseline_has_sixteen_epochs():
    config = SftConfig.from_preset("paper", base="b")
    assert (config.epochs, config.learning_rate, config.batch) == (16, 9.65e-6, 32)


def test_nothing_to_learn_from_is_said(train):
    with pytest.raises(RunError) as refused:
        train(demonstrations(3, split="evaluation"))
    assert refused.value.code == "data_missing"


def test_a_broken_demonstration_is_named_by_its_line(train):
    rows = demonstrations(4)
    del rows[2]["completion"]
    with pytest.raises(RunError) as refused:
        train(rows)
    assert refused.value.code == "data_invalid"
    assert refused.value.values["line"] == 3


def test_prompts_and_completions_that_do_not_fit_and_empty_ones_are_counted(train):
    rows = demonstrations(8)
    rows[0]["prompt"] = [*messages("x" * 50), {"role": "assistant", "content": "y"}, *messages("z")]
    rows[1]["completion"] = "ab" * 40
    rows[2]["completion"] = " \n"
    rows[3]["completion"] = ""
    metrics, _ = train(rows, epochs=1, max_tokens=64, validation_share=0.0)
    assert metrics["prompts_cut"] == 1
    assert metrics["completions_cut"] == 1
    assert metrics["empty_completions"] == 2
    assert metrics["demonstrations"] == 6
    assert metrics["plain_template"] == 0


def test_where_every_completion_is_empty_nothing_is_learned_and_that_is_said(train):
    with pytest.raises(RunError) as refused:
        train(demonstrations(4, text="  "))
    assert refused.value.code == "data_missing"


def test_a_loss_that_is_not_finite_is_named_with_its_demonstrations(train, monkeypatch):
    right, steps = sft.token_loss, []

    def broken(*given, **named):
        steps.append(1)
        return right(*given, **named) * (math.nan if len(steps) == 2 else 1)

    monkeypatch.setattr(sft, "token_loss", broken)
    with pytest.raises(RunError) as refused:
        train(demonstrations(8), epochs=1, batch=4, validation_share=0.0)
    values = refused.value.values
    assert (values["step"], values["quantity"], values["count"]) == (2, "loss", 4)
    assert values["file"] == "data/demonstrations.jsonl"
    order = shuffled(8, 0, "sft", 0)
    assert values["rows"] == ", ".join([f"train-{n}" for n in order[4:7]] + ["…"])


def test_without_memory_for_a_micro_batch_it_ends_as_with_it_and_says_so(fill, monkeypatch):
    monkeypatch.setattr(packing, "ROW_TOKENS", 32)
    monkeypatch.setattr(packing, "MICRO_BATCH_TOKENS", 128)
    rows, values = demonstrations(8), {"epochs": 2, "batch": 8, "validation_share": 0.0}
    whole, short = fill(rows, **values), fill(rows, **values)
    assert run_in(whole, sft.main, "sft") == 0
    right, sizes = sft.packed_logprobs, []

    def second_fails(lm, part):
        sizes.append(len(part.ids))
        if len(sizes) == 2:
            raise torch.OutOfMemoryError("no more")
        return right(lm, part)

    monkeypatch.setattr(sft, "packed_logprobs", second_fails)
    try:
        assert run_in(short, sft.main, "sft") == 0
    finally:
        room.take_only(1.0)
    assert max(sizes[2:]) == sizes[0] // 2
    without, halved = (
        json.loads((folder / "result.json").read_text())["metrics"] for folder in (whole, short)
    )
    assert "micro_batch_halved" not in without
    assert halved.pop("micro_batch_halved") == 1
    assert halved.pop("loss") == pytest.approx(without.pop("loss"), rel=1e-4)
    assert halved == without
    assert [row["step"] for row in log(short)] == [1, 2]


def test_every_answer_of_a_conversation_can_be_learned(train, tiny):
    talk = [*messages("hi"), {"role": "assistant", "content": "aa"}, *messages("and")]
    rows = [{**demonstrations(1)[0], "prompt": talk, "completion": "bbb"}]
    values = {"epochs": 1, "validation_share": 0.0, "learning_rate": 1e-12}
    last, _ = train(rows, **values)
    every, _ = train(rows, turns="all", **values)
    assert (last["demonstrations"], every["demonstrations"]) == (1, 2)
    first_answer = answer_loss(tiny, "hi", "aa")
    # Three tokens of the first answer, four of the last, each with its end.
    assert every["loss"] == pytest.approx((3 * first_answer + 4 * last["loss"]) / 7, rel=1e-5)


def test_set_shares_decide_what_is_learned(train, tiny):
    rows = [
        *({**row, "category": "a"} for row in demonstrations(30, text="aaaa")),
        *({**row, "category": "b"} for row in demonstrations(30, text="bbbb")),
    ]
    for number, row in enumerate(rows):
        row["prompt"] = messages(f"say {number}")
    shares = {"mixture": "shares", "mixture_shares": ["b=1"]}
    _, folder = train(rows, epochs=6, validation_share=0.0, **shares)
    lm = load_language_model(folder / "checkpoint", device="cpu", precision="float32")
    assert answer_loss(lm, "say 99", "bbbb") < answer_loss(lm, "say 99", "aaaa") - 0.5


def test_the_epoch_with_the_lowest_held_out_loss_is_the_result(train, tiny_folder):
    rows = demonstrations(20)
    for number, row in enumerate(rows):
        row["completion"] = "abcdefghijklmnopqrst"[number:] + "x"  # nothing to generalise
    metrics, folder = train(rows, epochs=8, lora_rank=0, batch=4, validation_share=0.3)
    held_out = [row["validation_loss"] for row in log(folder) if "validation_loss" in row]
    assert len(held_out) == 8
    assert metrics["validation_loss"] == min(held_out)
    assert metrics["picked_epoch"] == 1 + held_out.index(min(held_out))
    last, _ = train(rows, epochs=8, lora_rank=0, batch=4, validation_share=0.3, pick="last")
    assert last["picked_epoch"] == 8
    assert last["validation_loss"] == held_out[-1]


def test_a_reward_model_picks_where_there_is_one(train, trained, tiny_folder):
    reward = str(trained["reward"])
    metrics, folder = train(demonstrations(30), epochs=3, reward=reward)
    scores = [row["reward_score"] for row in log(folder) if "reward_score" in row]
    assert len(scores) == 3
    assert metrics["reward_score"] == max(scores)
    assert metrics["picked_epoch"] == 1 + scores.index(max(scores))


def test_what_cannot_pick_is_refused():
    with pytest.raises(ConfigError) as refused:
        SftConfig(base="b", pick="reward")
    assert "needs a reward model" in str(refused.value)
    with pytest.raises(ConfigError, match="validation_share above 0"):
        SftConfig(base="b", pick="validation_loss", validation_share=0)


def test_trained_whole_its_weights_are_float32_and_its_products_as_told(train, tiny_folder):
    values = {"lora_rank": 0, "epochs": 1, "batch": 60, "validation_share": 0.0}
    exact, _ = train(demonstrations(60), **values)
    # A step of 1e-5 of weights around 0.1 is less than half a bfloat16's last bit.
    rounded, folder = train(
        demonstrations(60), **{**values, "precision": "bfloat16", "learning_rate": 1e-5}
    )
    assert rounded["loss"] == pytest.approx(exact["loss"], rel=0.03)
    assert rounded["loss"] != exact["loss"]
    before = load_language_model(tiny_folder, device="cpu", precision="float32").blocks[0]
    after = load_language_model(folder / "checkpoint", device="cpu", precision="float32").blocks[0]
    moved = (after.weights["down"] - before.weights["down"]).abs().mean()
    assert float(moved) == pytest.approx(1e-5, rel=0.2)
