"""Items with a known answer: made once, changed, measured, pasted in."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.decisions import decided, decision_of
from labeling.known_answers import (
    ItemRefused,
    add_items,
    change_answer,
    how_labelers_did,
    make_item,
    new_item,
    withdraw_item,
)
from labeling.models import Completion, Project, Prompt, Purpose, Slate
from labeling.prompts import PromptRefused
from labeling.slates import SlateRefused
from tests import factories
from tests.factories import make_answer, make_completions, make_labeler, make_manager, make_prompt

pytestmark = pytest.mark.django_db

ROW: dict[str, Any] = {
    "prompt": "Why does it rain?",
    "completions": ["Water falls.", "Because.", "Clouds."],
    "ranks": [1, 5, 3],
    "purpose": "quiz",
    "explanation": "The first is *true*.",
}


def test_an_item_is_a_slate_of_its_own_without_slots(project: Project) -> None:
    prompt, by = make_prompt(project, split="evaluation"), make_manager(project)
    a, _b, c = make_completions(prompt, 3)
    item = make_item(
        prompt=prompt, ranks={c.pk: 1, a.pk: 2}, purpose="gold", by=by, explanation="C."
    )
    assert item.purpose == Purpose.GOLD
    assert not item.assignments.exists()
    assert set(item.completions.all()) == {a, c}
    decision = decision_of(item)
    assert decision is not None
    assert decided(decision) == {c.pk: 1, a.pk: 2}


def test_made_twice_it_is_one_and_a_withdrawn_one_comes_back(project: Project) -> None:
    prompt, by = make_prompt(project), make_manager(project)
    a, b = make_completions(prompt, 2)
    item = make_item(prompt=prompt, ranks={a.pk: 1, b.pk: 2}, purpose="gold", by=by)
    withdraw_item(item=item)
    again = make_item(prompt=prompt, ranks={a.pk: 2, b.pk: 1}, purpose="gold", by=by)
    assert again == item
    assert again.withdrawn_at is None
    decision = decision_of(item)
    assert decision is not None
    assert decided(decision) == {a.pk: 2, b.pk: 1}
    other = make_item(prompt=prompt, ranks={a.pk: 2, b.pk: 1}, purpose="quiz", by=by)
    assert other != item


def test_it_refuses_what_has_no_answer(project: Project) -> None:
    prompt, by = make_prompt(project), make_manager(project)
    a, b = make_completions(prompt, 2)
    (stranger,) = make_completions(make_prompt(project), 1)
    with pytest.raises(ItemRefused, match="better"):
        make_item(prompt=prompt, ranks={a.pk: 1, b.pk: 1}, purpose="gold", by=by)
    with pytest.raises(ItemRefused, match="practice"):
        make_item(prompt=prompt, ranks={a.pk: 1, b.pk: 2}, purpose="training", by=by)
    with pytest.raises(SlateRefused):
        make_item(prompt=prompt, ranks={a.pk: 1, stranger.pk: 2}, purpose="gold", by=by)
    with pytest.raises(ItemRefused):
        make_item(prompt=prompt, ranks={a.pk: 1}, purpose="gold", by=by)
    assert not Slate.objects.exists()


def test_a_new_answer_measures_what_was_said_before(project: Project) -> None:
    item = factories.make_item(project, "gold", (1, 2, 3))
    ann = make_labeler(project)
    ranking = make_answer(item, ann, (3, 2, 1))
    assert ranking.right_share == 0.0
    ids = list(item.items.values_list("completion_id", flat=True))
    change_answer(
        item=item,
        ranks=dict(zip(ids, (2, 1, 1), strict=True)),
        by=make_manager(project),
        explanation="",
    )
    ranking.refresh_from_db()
    assert ranking.right_share == 1.0


def test_an_item_that_everybody_fails_is_doubtful(project: Project) -> None:
    good, bad = factories.make_item(project), factories.make_item(project)
    for ranks in ((4, 3, 2, 1), (1, 1, 1, 1), (4, 3, 2, 1)):
        labeler = make_labeler(project)
        make_answer(good, labeler)
        make_answer(bad, labeler, ranks)
    did = how_labelers_did([good, bad])
    assert (did[good.pk].count, did[good.pk].share, did[good.pk].doubtful) == (3, 1.0, False)
    assert (did[bad.pk].count, did[bad.pk].doubtful) == (3, True)
    assert did[bad.pk].share == pytest.approx(0.5 / 3)


def test_rows_become_items_with_prompts_and_completions(project: Project) -> None:
    by = make_manager(project)
    (item,) = add_items(project=project, rows=[new_item(ROW)], by=by)
    assert item.purpose == Purpose.QUIZ
    assert item.prompt.text == "Why does it rain?"
    decision = decision_of(item)
    assert decision is not None
    assert decision.explanation == "The first is *true*."
    texts = dict(Completion.objects.values_list("pk", "text"))
    assert {texts[pk]: rank for pk, rank in decided(decision).items()} == {
        "Water falls.": 1,
        "Because.": 3,
        "Clouds.": 2,
    }
    assert add_items(project=project, rows=[new_item(ROW)], by=by) == [item]
    assert (Prompt.objects.count(), Completion.objects.count(), Slate.objects.count()) == (1, 3, 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"completions": ["One."]}, "completions"),
        ({"completions": ["One.", "One.", "Two."]}, "completions"),
        ({"completions": [1, 2, 3]}, "completions"),
        ({"ranks": [1, 2]}, "ranks"),
        ({"ranks": [0, 1, 2]}, "ranks"),
        ({"ranks": [True, 2, 3]}, "ranks"),
        ({"ranks": ["1", "2", "3"]}, "ranks"),
        ({"ranks": [2, 2, 2]}, "ranks"),
        ({"purpose": "training"}, "purpose"),
        ({"purpose": ["gold"]}, "purpose"),
        ({"explanation": 7}, "explanation"),
        ({"explanation": "x" * 20_001}, "explanation"),
    ],
)
def test_a_row_is_refused_with_the_field_to_blame(change: dict[str, Any], field: str) -> None:
    with pytest.raises((ItemRefused, PromptRefused)) as caught:
        new_item(ROW | change)
    assert getattr(caught.value, "field", "") == field
