"""Frozen datasets: the same selection, the same bytes; who is in, who is out."""

from __future__ import annotations

import json
from typing import Any

from django.utils import timezone

from labeling.decisions import decide
from labeling.demonstrations import refuse_demonstration
from labeling.judgements import Judgement
from labeling.models import Demonstration, Project, Prompt, Purpose, Ranking, Split
from labeling.prompts import split_for
from labeling.rankings import correct_ranking, ranks_of
from labeling.slates import withdraw_slate
from labeling.texts import withdraw_text
from labeling.weights import set_weight
from tests import factories
from training import artifacts, datasets
from training.models import Dataset, DatasetDecision, DatasetRanking
from training.rules import new_rankings


def rows(dataset: Dataset) -> list[dict[str, Any]]:
    text = artifacts.fetch_file(dataset.artifact).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_ranking_is_frozen_as_the_trainer_reads_it(project: Project) -> None:
    prompt = factories.make_prompt(project, "Name a fruit.", split=None, category="brainstorm")
    factories.make_slate(project, ["Apple.", "A stone.", "Pear."], prompt=prompt)
    labeler = factories.make_labeler(project)
    ranking = factories.make_ranking(project, labeler, ranks=[1, 2, 1])
    (row,) = rows(datasets.freeze_rankings(project=project))
    assert row["id"] == str(ranking.pk)
    assert row["split"] == prompt.split
    assert row["category"] == "brainstorm"
    assert row["prompt"] == [{"role": "user", "content": "Name a fruit."}]
    assert [one["text"] for one in row["completions"]] == ["Apple.", "A stone.", "Pear."]
    assert row["ranks"] == [1, 2, 1]
    assert row["completions"][0]["source"] == "base"
    assert row["completions"][0]["finished"] is True
    assert row["labeler"] == labeler.pseudonym
    assert row["weight"] == 1.0


def test_the_group_of_a_prompt_goes_along_where_it_has_one(project: Project) -> None:
    group = next(name for name in ("name a …", "fruit", "food") if split_for(name) == Split.TRAIN)
    prompt = factories.make_prompt(project, "Name a fruit.", group=group)
    factories.make_slate(project, ["Apple.", "Pear."], prompt=prompt)
    factories.make_ranking(project, factories.make_labeler(project), ranks=[1, 2])
    (ranking,) = rows(datasets.freeze_rankings(project=project))
    assert ranking["group"] == group
    prompts = rows(datasets.freeze_prompts(project=project, evaluation_prompts=10))
    assert [row.get("group") for row in prompts if row["id"] == str(prompt.pk)] == [group]
    other = factories.make_prompt(project, "Name a tree.", split=Split.TRAIN)
    prompts = rows(datasets.freeze_prompts(project=project, evaluation_prompts=10))
    assert ["group" in row for row in prompts if row["id"] == str(other.pk)] == [False]


def test_the_same_selection_is_the_same_dataset(project: Project) -> None:
    factories.make_ranking(project)
    first = datasets.freeze_rankings(project=project)
    assert datasets.freeze_rankings(project=project) == first
    factories.make_ranking(project)
    second = datasets.freeze_rankings(project=project)
    assert second != first
    assert second.sha256 != first.sha256
    assert second.rows == 2


def test_the_selection_is_kept_row_by_row(project: Project) -> None:
    ranking = factories.make_ranking(project)
    dataset = datasets.freeze_rankings(project=project)
    assert list(dataset.rankings.all()) == [ranking]


def test_only_what_stands_is_trained_on(project: Project) -> None:
    labeler = factories.make_labeler(project)
    ranking = factories.make_ranking(project, labeler, ranks=[1, 2, 3, 4])
    ids = list(ranking.slate.items.values_list("completion_id", flat=True))
    correction = correct_ranking(
        ranking=ranking,
        labeler=labeler,
        judgement=Judgement(ranks=dict(zip(ids, [4, 3, 2, 1], strict=True))),
        seconds=3.0,
    )
    (row,) = rows(datasets.freeze_rankings(project=project))
    assert row["id"] == str(correction.pk)
    assert row["ranks"] == [4, 3, 2, 1]


def test_other_purposes_and_withdrawn_prompts_stay_out(project: Project) -> None:
    labeler = factories.make_labeler(project)
    for purpose in (Purpose.GOLD, Purpose.QUIZ, Purpose.PRACTICE):
        factories.make_answer(factories.make_item(project, purpose), labeler)
    factories.make_answer(factories.make_slate(project, purpose=Purpose.REPEAT, overlap=0), labeler)
    ranking = factories.make_ranking(project)
    Prompt.objects.filter(pk=ranking.slate.prompt_id).update(withdrawn_at=timezone.now())
    assert datasets.freeze_rankings(project=project).rows == 0


def test_nothing_ranked_is_an_empty_dataset(project: Project) -> None:
    dataset = datasets.freeze_rankings(project=project)
    assert dataset.rows == 0
    assert rows(dataset) == []


def test_demonstrations_of_training_prompts_only(project: Project) -> None:
    shown = factories.make_demonstration(factories.make_prompt(project), "Do it so.")
    factories.make_demonstration(factories.make_prompt(project, split=Split.EVALUATION))
    (row,) = rows(datasets.freeze_demonstrations(project=project))
    assert row["id"] == str(shown.pk)
    assert row["completion"] == "Do it so."


def test_prompts_to_roll_out_and_to_evaluate_on(project: Project) -> None:
    train = factories.make_prompt(project)
    test = factories.make_prompt(project, split=Split.RM_TEST)
    judge = factories.make_prompt(project, split=Split.JUDGE)
    evaluation = [factories.make_prompt(project, split=Split.EVALUATION) for _ in range(5)]
    found = rows(datasets.freeze_prompts(project=project, evaluation_prompts=3))
    by_split: dict[str, set[str]] = {}
    for row in found:
        by_split.setdefault(row["split"], set()).add(row["id"])
    assert by_split["train"] == {str(train.pk)}
    assert by_split["rm_test"] == {str(test.pk)}
    assert len(by_split["evaluation"]) == 3
    assert by_split["evaluation"] <= {str(prompt.pk) for prompt in evaluation}
    assert str(judge.pk) not in {row["id"] for row in found}, "the judge's prompts are the judge's"


def test_texts_that_stand(project: Project) -> None:
    first, second = (factories.make_text(project, text) for text in ("One.", "Two."))
    withdraw_text(text=second)
    dataset = datasets.freeze_texts(project=project)
    assert rows(dataset) == [{"id": str(first.pk), "split": "train", "text": "One."}]
    assert list(dataset.texts.all()) == [first]


def test_many_rankings_take_a_bounded_number_of_queries(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        factories.make_ranking(project)
    with django_assert_max_num_queries(12):
        assert datasets.freeze_rankings(project=project).rows == 12


def test_rankings_of_a_withdrawn_slate_are_left_out(project: Project) -> None:
    kept, gone = factories.make_ranking(project), factories.make_ranking(project)
    withdraw_slate(slate=gone.slate)
    assert [row["id"] for row in rows(datasets.freeze_rankings(project=project))] == [str(kept.pk)]


def test_a_better_version_that_was_refused_is_not_trained_on(project: Project) -> None:
    labeler = factories.make_labeler(project)
    ranking = factories.make_ranking(project, labeler, ranks=[1, 2, 3, 4])
    ranks = ranks_of(ranking)
    grades = {completion: 7 - rank for completion, rank in ranks.items()}
    said = Judgement(ranks=ranks, likert=grades, edits={min(ranks): "Better."})
    correct_ranking(ranking=ranking, labeler=labeler, judgement=said, seconds=1.0)
    (row,) = rows(datasets.freeze_rankings(project=project))
    assert sorted(row["ranks"]) == [1, 2, 3, 4, 5]
    of_rank = dict(zip(row["ranks"], row["likert"], strict=True))
    assert of_rank == {1: None, 2: 6, 3: 5, 4: 4, 5: 3}, "what they wrote themselves has no grade"
    refuse_demonstration(demonstration=Demonstration.objects.get(), by=labeler)
    (row,) = rows(datasets.freeze_rankings(project=project))
    assert sorted(row["ranks"]) == [1, 2, 3, 4]
    assert "Better." not in [one["text"] for one in row["completions"]]


def test_rankings_carry_their_labelers_weight(project: Project) -> None:
    boss, ann = factories.make_manager(project), factories.make_labeler(project)
    first = factories.make_ranking(project, ann)
    second = factories.make_ranking(project)
    before = datasets.freeze_rankings(project=project)
    set_weight(project=project, labeler=ann, weight=0.25, by=boss, reason="often in a hurry")
    dataset = datasets.freeze_rankings(project=project)
    assert [row["weight"] for row in rows(dataset)] == [0.25, 1.0]
    recorded = DatasetRanking.objects.filter(dataset=dataset).values_list("ranking", "weight")
    assert dict(recorded) == {first.pk: 0.25, second.pk: 1.0}
    assert dataset.sha256 != before.sha256
    assert [row["weight"] for row in rows(before)] == [1.0, 1.0], "what is frozen stays as it is"
    assert datasets.freeze_rankings(project=project) == dataset, "the same weights, the same bytes"


def test_weight_zero_leaves_out_and_says_whom(project: Project) -> None:
    boss, ann = factories.make_manager(project), factories.make_labeler(project)
    out = factories.make_ranking(project, ann)
    kept = factories.make_ranking(project)
    set_weight(project=project, labeler=ann, weight=0, by=boss, reason="ranks at random")
    dataset = datasets.freeze_rankings(project=project)
    assert [row["id"] for row in rows(dataset)] == [str(kept.pk)]
    assert dataset.rows == 1
    assert datasets.left_out_of(dataset) == [str(out.pk)]
    assert new_rankings(project) == 1, "what is not trained on begins no round"


def test_the_same_bytes_with_more_left_out_are_another_dataset(project: Project) -> None:
    boss, ann = factories.make_manager(project), factories.make_labeler(project)
    factories.make_ranking(project)
    nobody = datasets.freeze_rankings(project=project)
    out = factories.make_ranking(project, ann)
    set_weight(project=project, labeler=ann, weight=0, by=boss, reason="ranks at random")
    dataset = datasets.freeze_rankings(project=project)
    assert dataset.sha256 == nobody.sha256
    assert dataset != nobody
    assert datasets.left_out_of(dataset) == [str(out.pk)]


def test_taking_a_weight_back_brings_the_work_back(project: Project) -> None:
    boss, ann = factories.make_manager(project), factories.make_labeler(project)
    factories.make_ranking(project, ann)
    before = datasets.freeze_rankings(project=project)
    set_weight(project=project, labeler=ann, weight=0, by=boss, reason="ranks at random")
    assert datasets.freeze_rankings(project=project).rows == 0
    set_weight(project=project, labeler=ann, weight=1, by=boss)
    assert datasets.freeze_rankings(project=project) == before


def test_demonstrations_carry_weights_too(project: Project) -> None:
    boss, ann = factories.make_manager(project), factories.make_labeler(project)
    factories.make_demonstration(factories.make_prompt(project), "Do it so.", ann)
    set_weight(project=project, labeler=ann, weight=0.5, by=boss, reason="new here")
    assert [row["weight"] for row in rows(datasets.freeze_demonstrations(project=project))] == [0.5]


def disputed(project: Project) -> tuple[Ranking, dict[int, int]]:
    """A ranking (1, 2, 3, 4) of a slate, and the opposite order of the same completions."""
    ranking = factories.make_ranking(project, ranks=[1, 2, 3, 4])
    return ranking, {pk: 5 - rank for pk, rank in ranks_of(ranking).items()}


def test_a_decision_is_one_judgement_more_and_replaces_none(project: Project) -> None:
    judge = factories.make_manager(project)
    ranking, opposite = disputed(project)
    alone = datasets.freeze_rankings(project=project)
    decision = decide(slate=ranking.slate, by=judge, ranks=opposite)
    dataset = datasets.freeze_rankings(project=project)
    said, decided = rows(dataset)
    assert said == rows(alone)[0], "the ranking stays as it was"
    assert decided["id"] == f"decision-{decision.pk}"
    assert decided["ranks"] == [4, 3, 2, 1]
    assert decided["labeler"] == judge.pseudonym
    assert decided["weight"] == 1.0
    for field in ("prompt", "completions", "split"):
        assert decided[field] == said[field]
    assert list(dataset.decisions.all()) == [decision]
    assert list(dataset.rankings.all()) == [ranking]
    assert datasets.freeze_rankings(project=project) == dataset, "the same selection"
    assert new_rankings(project) == 1, "a round still begins by rankings"


def test_only_the_decision_that_stands_is_trained_on(project: Project) -> None:
    judge = factories.make_manager(project)
    ranking, opposite = disputed(project)
    decide(slate=ranking.slate, by=judge, ranks=opposite)
    second = decide(slate=ranking.slate, by=judge, ranks=dict.fromkeys(opposite, 1))
    _said, decided = rows(datasets.freeze_rankings(project=project))
    assert (decided["id"], decided["ranks"]) == (f"decision-{second.pk}", [1, 1, 1, 1])
    withdraw_slate(slate=ranking.slate)
    assert datasets.freeze_rankings(project=project).rows == 0


def test_known_answers_are_no_judgements_to_train_on(project: Project) -> None:
    for purpose in (Purpose.GOLD, Purpose.QUIZ, Purpose.PRACTICE):
        factories.make_item(project, purpose)
    assert datasets.freeze_rankings(project=project).rows == 0


def test_an_adjudicators_weight_counts_too_and_nobody_is_left_out_silently(
    project: Project,
) -> None:
    boss, judge = factories.make_manager(project), factories.make_manager(project)
    ranking, opposite = disputed(project)
    decision = decide(slate=ranking.slate, by=judge, ranks=opposite)
    set_weight(project=project, labeler=judge, weight=0.5, by=boss, reason="in a hurry")
    assert rows(datasets.freeze_rankings(project=project))[1]["weight"] == 0.5
    set_weight(project=project, labeler=judge, weight=0, by=boss, reason="knows the authors")
    dataset = datasets.freeze_rankings(project=project)
    assert [row["id"] for row in rows(dataset)] == [str(ranking.pk)]
    assert datasets.left_out_of(dataset) == [f"decision-{decision.pk}"]
    assert DatasetDecision.objects.get(dataset=dataset).weight == 0
    assert Dataset.objects.with_left_out().get(pk=dataset.pk).left_out == 1
