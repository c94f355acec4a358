"""From scores to figures: values by hand, intervals over items, differences of the same items."""

import math

import numpy as np
import pytest

from training.rlhf.closed.measures import Figure, figures, macro_f1
from training.rlhf.closed.table import draw_table, to_metrics
from training.rlhf.closed.tasks import Item, Task

NONE = float("nan")


def items(count):
    return tuple(Item(str(number), []) for number in range(count))


def rows(policy, task, scores):
    return [
        {
            "policy": policy,
            "task": task.name,
            "id": item.id,
            "answer": "",
            "finished": True,
            "scores": own,
        }
        for item, own in zip(task.items, scores, strict=True)
    ]


def by_name(found):
    return {(figure.task, figure.measure, figure.policy): figure for figure in found}


def rouge_rows(policy, task, values):
    return rows(policy, task, [{"rouge1": v, "rouge2": v, "rouge_l": v} for v in values])


def test_macro_f1_is_the_mean_over_the_classes_that_occur():
    # Class 0: 2·1 / (1 + 2); class 1: 2·1 / (2 + 2); class 2: 1; class 3 is nowhere.
    named = np.array([[0, 1, 1, NONE, 2]])
    right = np.array([[0.0, 0, 1, 1, 2]])
    assert macro_f1(named, right, 4) == pytest.approx([(2 / 3 + 1 / 2 + 1) / 3])


def test_a_class_that_is_only_named_counts_as_zero():
    assert macro_f1(np.array([[0.0, 1]]), np.array([[0.0, 0]]), 2) == pytest.approx([1 / 3])


def test_the_figures_of_a_choice():
    same = tuple(Item(str(n), [], choices=("yes", "no"), right=n % 2) for n in range(4))
    task = Task("mine", "choice", same)
    scores = [
        {"accuracy": 1.0, "named": 0.0, "right": 0.0, "likelihood": 1.0, "likelihood_per_byte": 0},
        {"accuracy": 0.0, "named": None, "right": 1.0, "likelihood": 1.0, "likelihood_per_byte": 0},
        {"accuracy": 0.0, "named": 1.0, "right": 0.0, "likelihood": 1.0, "likelihood_per_byte": 0},
        {"accuracy": 1.0, "named": 1.0, "right": 1.0, "likelihood": 0.0, "likelihood_per_byte": 1},
    ]
    found = figures([task], rows("base", task, scores), ["base"], draws=200, seed=0)
    values = {figure.measure: figure.value for figure in found}
    assert values == pytest.approx(
        {
            "accuracy": 1 / 2,
            "macro_f1": (2 / 3 + 2 / 4) / 2,
            "likelihood": 3 / 4,
            "likelihood_per_byte": 1 / 4,
            "named_share": 3 / 4,
        }
    )


def test_choices_of_their_own_have_no_macro_f1():
    own = (Item("1", [], choices=("a", "b")), Item("2", [], choices=("c", "d")))
    task = Task("mine", "choice", own)
    score = {"accuracy": 1, "named": 0, "right": 0, "likelihood": 1, "likelihood_per_byte": 1}
    found = figures([task], rows("base", task, [score] * 2), ["base"], draws=10, seed=0)
    assert "macro_f1" not in {figure.measure for figure in found}


def test_perplexity_weighs_texts_by_their_tokens():
    # 2·ln 2 + 2·ln 8 over 4 tokens: e^(2 ln 2) = 4.
    task = Task("texts", "text", items(3))
    scores = [
        {"nats": 2 * math.log(2), "tokens": 2},
        {"nats": 2 * math.log(8), "tokens": 2},
        {"nats": 0, "tokens": 0},
    ]
    (found,) = figures([task], rows("base", task, scores), ["base"], draws=500, seed=0)
    assert found.value == pytest.approx(4)
    low, high = found.interval(0.05)[1:]
    assert (low, high) == (pytest.approx(2), pytest.approx(8))


def test_texts_without_a_token_have_no_perplexity_and_the_table_says_so():
    task = Task("texts", "text", items(1))
    found = figures(
        [task], rows("base", task, [{"nats": 0, "tokens": 0}]), ["base"], draws=10, seed=0
    )
    assert to_metrics(found, ["base"], 0.05)["texts.perplexity.base"] is None
    assert "nan" in draw_table(found, ["base"], 0.05)


def test_the_interval_is_that_of_the_mean_over_resampled_items():
    # Of 100 items half are right: the binomial's standard error is 0.05.
    task = Task("mine", "rouge", items(100))
    answers = rouge_rows("base", task, [0, 1] * 50)
    figure = figures([task], answers, ["base"], draws=20_000, seed=0)[0]
    low, high = figure.interval(0.05)[1:]
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.012)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.012)


def test_a_difference_is_of_the_same_items():
    task = Task("mine", "rouge", items(50))
    values = np.linspace(0, 0.8, 50)
    answers = [*rouge_rows("base", task, values), *rouge_rows("ppo", task, values - 0.1)]
    found = by_name(figures([task], answers, ["base", "ppo"], draws=500, seed=0))
    base, ppo = found["mine", "rouge1", "base"], found["mine", "rouge1", "ppo"]
    assert base.interval(0.05).high - base.interval(0.05).low > 0.1
    assert ppo.over(base, 0.05) == pytest.approx((-0.1, -0.1, -0.1))


def test_the_mean_over_tasks_weighs_each_task_the_same():
    first, second = Task("a", "rouge", items(2)), Task("b", "exact", items(8))
    texts = Task("c", "text", items(1))
    answers = [
        *rouge_rows("base", first, [1, 0]),
        *rows("base", second, [{"f1": 1, "exact_match": 0}] * 8),
        *rows("base", texts, [{"nats": 9, "tokens": 1}]),
    ]
    found = by_name(figures([first, second, texts], answers, ["base"], draws=400, seed=0))
    mean = found["mean", "score", "base"]
    assert mean.value == pytest.approx(0.75)
    assert set(mean.draws.tolist()) == {0.5, 0.75, 1.0}


def test_one_task_has_no_mean_over_tasks():
    task = Task("a", "rouge", items(2))
    found = figures([task], rouge_rows("base", task, [1, 0]), ["base"], draws=10, seed=0)
    assert {figure.task for figure in found} == {"a"}


def test_the_same_seed_gives_the_same_draws():
    task = Task("a", "rouge", items(9))
    answers = rouge_rows("base", task, np.linspace(0, 1, 9))
    one, two, other = (
        figures([task], answers, ["base"], draws=50, seed=seed)[0].draws for seed in (1, 1, 2)
    )
    assert (one == two).all()
    assert (one != other).any()


def steady(task, measure, policy, value):
    return Figure(task, measure, policy, value, np.full(10, value))


def test_the_table_marks_what_became_better_and_what_worse():
    found = [
        steady("questions", "f1", "base", 0.5),
        steady("questions", "f1", "sft", 0.75),
        steady("questions", "f1", "ppo", 0.25),
        steady("texts", "perplexity", "base", 12.0),
        steady("texts", "perplexity", "sft", 12.0),
        steady("texts", "perplexity", "ppo", 15.0),
    ]
    lines = draw_table(found, ["base", "sft", "ppo"], 0.05).splitlines()
    assert lines[0] == "| task | measure | base | sft | ppo | sft − base | ppo − sft | ppo − base |"
    assert lines[1].count("---") == 8
    assert lines[2].endswith(
        "| +0.250 [+0.250, +0.250] ▲ | −0.500 [−0.500, −0.500] ▼ | −0.250 [−0.250, −0.250] ▼ |"
    )
    assert "| 12.0 [12.0, 12.0] | 12.0 [12.0, 12.0] | 15.0 [15.0, 15.0] |" in lines[3]
    assert lines[3].endswith(
        "| +0.000 [+0.000, +0.000] | +3.000 [+3.000, +3.000] ▼ | +3.000 [+3.000, +3.000] ▼ |"
    )


def test_the_metrics_name_task_measure_policy_and_what_it_is_compared_with():
    found = [steady("q", "f1", "base", 0.5), steady("q", "f1", "ppo", 0.25)]
    assert to_metrics(found, ["base", "ppo"], 0.05) == {
        "q.f1.base": 0.5,
        "q.f1.base.low": 0.5,
        "q.f1.base.high": 0.5,
        "q.f1.ppo": 0.25,
        "q.f1.ppo.low": 0.25,
        "q.f1.ppo.high": 0.25,
        "q.f1.ppo.over.base": -0.25,
        "q.f1.ppo.over.base.low": -0.25,
        "q.f1.ppo.over.base.high": -0.25,
    }
