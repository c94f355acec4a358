"""A prompt is stored once, its split is for life, and withdrawing keeps what people said."""

from __future__ import annotations

from collections import Counter

import pytest

from labeling.judgements import Judgement
from labeling.leasing import lease_next
from labeling.models import Assignment, Import, Prompt, SampleRequest, Split
from labeling.prompts import (
    Added,
    NewPrompt,
    PromptRefused,
    add_prompts,
    messages_of,
    prioritise_prompt,
    restore_prompt,
    split_for,
    withdraw_prompt,
)
from labeling.rankings import submit_ranking
from labeling.slates import demote_unopened
from tests.factories import make_assignment, make_labeler, make_project, make_prompt, make_slate

pytestmark = pytest.mark.django_db


def new(text: str, **fields) -> NewPrompt:
    return NewPrompt(messages=messages_of(text), **fields)


def test_splits_have_their_shares():
    found = Counter(split_for(f"Question {number}") for number in range(20_000))
    shares = {split: round(100 * count / 20_000) for split, count in found.items()}
    assert shares == {
        Split.TRAIN: 60,
        Split.JUDGE: 18,
        Split.EVALUATION: 16,
        Split.RM_TEST: 6,
    }


def test_splits_never_change():
    """Pinned: a prompt's split is for life, so this hash may never be edited."""
    assert [str(split_for(text)) for text in ("a", "b", "c", "d", "Grüße", "e", "f")] == PINNED


PINNED = ["train", "train", "judge", "train", "evaluation", "train", "evaluation"]


def test_near_duplicates_share_a_split():
    assert len({split_for(t) for t in ("What is  LOVE?", "what is love?", "what is\nlove?")}) == 1


def test_a_group_shares_a_split_whatever_its_texts():
    project = make_project()
    rows = [new(f"Translate word {number}", group="translate") for number in range(20)]
    add_prompts(project=project, rows=rows)
    assert set(Prompt.objects.values_list("split", flat=True)) == {str(split_for("translate"))}


def test_later_turns_share_the_split_of_their_root():
    root = [{"role": "user", "content": "Hello there"}]
    later = [
        *root,
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Something else"},
    ]
    project = make_project()
    add_prompts(project=project, rows=[NewPrompt(messages=root), NewPrompt(messages=later)])
    assert set(Prompt.objects.values_list("split", flat=True)) == {str(split_for("Hello there"))}


def test_duplicates_are_ignored_and_counted():
    project = make_project()
    rows = [new("One?"), new("Two?"), new("One?", category="chat")]
    assert add_prompts(project=project, rows=rows) == Added(added=2, duplicates=1)
    assert add_prompts(project=project, rows=rows) == Added(added=0, duplicates=3)
    assert add_prompts(project=make_project(), rows=rows) == Added(added=2, duplicates=1)


def test_a_prompt_that_waits_in_an_import_is_visible_once_it_is_added_otherwise():
    project = make_project()
    hidden = Import.objects.create(project=project, format="jsonl", file_name="x")
    add_prompts(project=project, rows=[new("One?")], imported=hidden)
    assert not Prompt.objects.live().exists()
    assert add_prompts(project=project, rows=[new("One?")]) == Added(added=1, duplicates=0)
    assert Prompt.objects.live().get().imported is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " \n",
        [],
        {},
        [{"role": "user"}],
        [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
        "x" * 200_001,
        [{"role": "user", "content": "a"}] * 201,
    ],
)
def test_it_refuses_what_is_not_a_prompt(value):
    with pytest.raises(PromptRefused):
        messages_of(value)


def test_markup_control_characters_and_right_to_left_marks_are_kept_as_they_are():
    text = "<script>alert(1)</script>\u202eabc\u0007 & \U0001f600"
    assert make_prompt(make_project(), text).text == text


def test_a_withdrawn_prompt_is_not_given_out_and_comes_back():
    project = make_project()
    labeler = make_labeler(project)
    slate = make_slate(project)
    SampleRequest.objects.create(prompt=slate.prompt, k=4)
    withdraw_prompt(prompt=slate.prompt)
    assert lease_next(project=project, labeler=labeler) is None
    assert not Prompt.objects.live().exists()
    assert SampleRequest.objects.get().error_code == "withdrawn"
    restore_prompt(prompt=slate.prompt)
    assert lease_next(project=project, labeler=labeler).slate == slate


def test_a_prompt_of_a_higher_priority_comes_first():
    project = make_project()
    make_slate(project)
    slate = make_slate(project)
    prioritise_prompt(prompt=slate.prompt, priority="7")
    assert Prompt.objects.get(pk=slate.prompt_id).priority == 7
    assert lease_next(project=project, labeler=make_labeler(project)).slate == slate


def test_a_former_policys_slate_stays_behind_whatever_its_priority():
    project = make_project()
    former = make_slate(project)
    demote_unopened(project=project)
    fresh = make_slate(project)
    prioritise_prompt(prompt=former.prompt, priority=1000)
    assert lease_next(project=project, labeler=make_labeler(project)).slate == fresh


@pytest.mark.parametrize("priority", [1001, -1001, "high", True, 1.5])
def test_a_priority_that_is_none_is_refused(priority):
    prompt = make_prompt(make_project())
    with pytest.raises(PromptRefused, match="from -1000 to 1000"):
        prioritise_prompt(prompt=prompt, priority=priority)


def test_a_ranking_under_way_survives_the_withdrawal():
    project = make_project()
    labeler = make_labeler(project)
    assignment = make_assignment(project, labeler)
    withdraw_prompt(prompt=assignment.slate.prompt)
    ids = assignment.slate.items.values_list("completion_id", flat=True)
    submit_ranking(
        assignment=assignment,
        labeler=labeler,
        token=assignment.lease_token,
        judgement=Judgement(ranks=dict.fromkeys(ids, 1)),
        seconds=3,
    )
    restore_prompt(prompt=assignment.slate.prompt)
    assert Assignment.objects.get().state == Assignment.State.DONE
