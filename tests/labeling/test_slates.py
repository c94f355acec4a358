"""A slate freezes 2 to 9 completions of one prompt, and a deployment puts unopened ones last."""

from __future__ import annotations

import pytest

from labeling.leasing import lease_next
from labeling.models import Ranking, Slate, SlateCompletion, Split
from labeling.slates import (
    EvaluationPromptRefused,
    SlateRefused,
    demote_unopened,
    open_slate,
    withdraw_slate,
)
from tests.factories import (
    make_assignment,
    make_completions,
    make_labeler,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
)

pytestmark = pytest.mark.django_db


def test_completions_keep_their_order_and_slots_are_made_at_once():
    project = make_project(overlap=3)
    prompt = make_prompt(project, priority=4)
    completions = make_completions(prompt, 5)
    slate = open_slate(prompt=prompt, completions=completions)
    assert [item.completion for item in slate.items.all()] == completions
    slots = slate.assignments.order_by("slot").values_list("slot", "priority", "state")
    assert list(slots) == [(0, 4, "open"), (1, 4, "open"), (2, 4, "open")]


def test_it_refuses_too_few_too_many_the_same_twice_or_another_prompts():
    project = make_project()
    prompt = make_prompt(project)
    own = make_completions(prompt, 10)
    foreign = make_completions(make_prompt(project), 1)
    for completions in ([], own[:1], own, [own[0], own[0]], [own[0], foreign[0]]):
        with pytest.raises(SlateRefused):
            open_slate(prompt=prompt, completions=completions)
    assert not Slate.objects.exists()


def test_evaluation_prompts_are_never_ranked_for_training():
    prompt = make_prompt(make_project(), split=Split.EVALUATION)
    completions = make_completions(prompt, 2)
    with pytest.raises(EvaluationPromptRefused):
        open_slate(prompt=prompt, completions=completions)
    assert open_slate(prompt=prompt, completions=completions, purpose="evaluation")


def test_a_batch_has_one_slate_a_prompt():
    prompt = make_prompt(make_project())
    completions = make_completions(prompt, 2)
    one = open_slate(prompt=prompt, completions=completions, purpose="evaluation", batch="e1")
    two = open_slate(prompt=prompt, completions=completions, purpose="evaluation", batch="e1")
    three = open_slate(prompt=prompt, completions=completions, purpose="evaluation", batch="e2")
    assert one == two != three
    assert SlateCompletion.objects.filter(slate=one).count() == 2


def test_a_deployment_puts_unopened_training_slates_last():
    project = make_project()
    ann, ben = make_labeler(project), make_labeler(project)
    opened = make_assignment(project, ann)
    old = make_slate(project)
    blind = make_slate(project, purpose="evaluation", priority=-1)
    assert demote_unopened(project=project) == 1
    new = make_slate(project, priority=-50)
    opened.refresh_from_db()
    assert opened.priority == 0
    order = []
    for _ in range(3):
        order.append(lease_next(project=project, labeler=ben).slate)
        make_ranking(project, ben)
    assert order == [blind, new, old]


def test_a_withdrawn_slate_is_not_given_out_and_its_rankings_are_kept():
    project = make_project(overlap=2)
    make_ranking(project)
    slate = Slate.objects.get()
    withdraw_slate(slate=slate)
    assert slate.withdrawn_at is not None
    assert lease_next(project=project, labeler=make_labeler(project)) is None
    assert Ranking.objects.current().count() == 1
