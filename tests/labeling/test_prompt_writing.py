"""Prompts that labelers write: checked, stored once, near duplicates pointed out, splits shared."""

from __future__ import annotations

import pytest

from labeling.models import Membership, Project, Prompt, Split, WorkDay
from labeling.pauses import Paused, pause
from labeling.projects import ProjectArchived, archive_project, update_project
from labeling.prompt_writing import (
    Example,
    KnownPrompt,
    NearDuplicatesFound,
    PromptsNotAsked,
    few_shot_text,
    use_cases,
    write_prompt,
)
from labeling.prompts import PromptRefused, split_for
from labeling.screening import ItemsFirst
from tests.factories import make_item, make_prompt

pytestmark = pytest.mark.django_db
Kind = Prompt.Kind
PAIRS = [Example(query="cat", response="animal"), Example(query=" oak ", response="plant\n")]


@pytest.fixture
def project(project: Project) -> Project:
    """It asks for prompts."""
    return update_project(project=project, asks_prompts=True)


def text_in(split: Split) -> str:
    """A text of that split, by its hash."""
    texts = (f"Explain to me how rain number {number} forms above the sea" for number in range(999))
    return next(text for text in texts if split_for(text) == split)


def test_it_is_live_at_once_with_its_writer_and_counts_as_work(project, ann):
    made = write_prompt(
        project=project,
        by=ann,
        kind=Kind.USER_BASED,
        text=" Explain rain to a child.\n",
        system="Be brief.",
        category="chat",
        language="EN",
        seconds=12.5,
    )
    assert made.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Explain rain to a child."},
    ]
    assert (made.kind, made.category, made.language) == ("user-based", "chat", "en")
    assert made.created_by == ann
    assert Prompt.objects.live().get() == made
    day = WorkDay.objects.get()
    assert (day.labeler, day.category, day.prompts, day.seconds) == (ann, "chat", 1, 12.5)


def test_sent_twice_it_is_one_row_and_counts_once(project, ann):
    made = [
        write_prompt(project=project, by=ann, kind=Kind.PLAIN, text="Explain rain.")
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert WorkDay.objects.get().prompts == 1


def test_what_somebody_else_wrote_is_told(project, ann, ben):
    there = write_prompt(project=project, by=ben, kind=Kind.PLAIN, text="Explain rain.")
    with pytest.raises(KnownPrompt) as told:
        write_prompt(project=project, by=ann, kind=Kind.PLAIN, text="Explain rain.")
    assert told.value.prompt == there


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": ""}, "kind"),
        ({"kind": "poem"}, "kind"),
        ({"text": " "}, "text"),
        ({"kind": "user-based"}, "category"),
        ({"category": "x" * 61}, "category"),
        ({"language": "english"}, "language"),
        ({"text": "NUL \x00"}, "text"),
    ],
)
def test_it_refuses_what_lacks_something(project, ann, fields, field):
    said = {"kind": "plain", "text": "Explain rain."} | fields
    with pytest.raises(PromptRefused) as refused:
        write_prompt(project=project, by=ann, **said)
    assert refused.value.field == field
    assert not Prompt.objects.exists()
    assert not WorkDay.objects.exists()


def test_an_archived_project_takes_none(project, ann):
    archive_project(project=project)
    with pytest.raises(ProjectArchived):
        write_prompt(project=project, by=ann, kind=Kind.PLAIN, text="Explain rain.")


def test_a_near_duplicate_is_pointed_out_and_stored_once_it_was_seen(project, ann):
    there = make_prompt(project, "Explain rain to a child.")
    said = {"project": project, "by": ann, "kind": Kind.PLAIN, "text": "Explain rain to the child."}
    with pytest.raises(NearDuplicatesFound) as found:
        write_prompt(**said)
    assert [one.prompt for one in found.value.near] == [there]
    assert Prompt.objects.count() == 1
    assert write_prompt(**said, seen=[there.pk]).text == "Explain rain to the child."


def test_one_that_was_not_seen_is_pointed_out(project, ann):
    seen = make_prompt(project, "Explain rain to a child.")
    with pytest.raises(NearDuplicatesFound):
        write_prompt(
            project=project, by=ann, kind=Kind.PLAIN, text="Explain rain to the child.", seen=[0]
        )
    make_prompt(project, "Explain rain to this child.")
    with pytest.raises(NearDuplicatesFound):
        write_prompt(
            project=project,
            by=ann,
            kind=Kind.PLAIN,
            text="Explain rain to the child.",
            seen=[seen.pk],
        )


@pytest.mark.parametrize("split", list(Split))
def test_a_near_duplicate_shares_the_split_for_life(project, ann, split):
    there = make_prompt(project, text_in(split))
    texts = (f"{there.text} {tail}" for tail in ("now", "here", "soon", "again", "please"))
    elsewhere = next(text for text in texts if split_for(text) != split)
    made = write_prompt(project=project, by=ann, kind=Kind.PLAIN, text=elsewhere, seen=[there.pk])
    assert made.split == there.split == split
    assert split_for(made.group) == split
    third = write_prompt(
        project=project,
        by=ann,
        kind=Kind.PLAIN,
        text=elsewhere + "!!",
        seen=[there.pk, made.pk],
    )
    assert third.split == split


def test_a_few_shot_prompt_is_one_text(project):
    text = few_shot_text(instruction="Animal or plant? ", examples=PAIRS, query="dog")
    assert text == ("Animal or plant?\n\nQ: cat\nA: animal\n\nQ: oak\nA: plant\n\nQ: dog\nA:")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"instruction": " "}, "instruction"),
        ({"query": ""}, "query"),
        ({"examples": PAIRS[:1]}, "examples"),
        ({"examples": PAIRS * 11}, "examples"),
        ({"examples": [*PAIRS, Example(query="elm", response=" ")]}, "examples"),
    ],
)
def test_a_few_shot_prompt_that_lacks_a_part_is_refused(change, field):
    said = {"instruction": "Animal or plant?", "examples": PAIRS, "query": "dog"}
    with pytest.raises(PromptRefused) as refused:
        few_shot_text(**(said | change))
    assert refused.value.field == field


def test_the_projects_own_categories_are_suggested_beside_the_papers(project):
    make_prompt(project, category="weather")
    found = use_cases(project)
    assert {"weather", "closed_qa", "brainstorming"} <= set(found)
    assert found == sorted(set(found))


def test_none_is_taken_where_none_are_asked_for(project, ann):
    update_project(project=project, asks_prompts=False)
    with pytest.raises(PromptsNotAsked):
        write_prompt(project=project, by=ann, kind=Kind.PLAIN, text="Explain rain.")
    assert not Prompt.objects.exists()


def test_who_is_paused_or_not_accepted_yet_writes_none(project, ann, ben):
    """A form that was open before is a way in as well."""
    pause(membership=Membership.objects.get(user=ann), by=None)
    update_project(project=project, practice_first=True)
    make_item(project, "quiz")
    for labeler, refusal in ((ann, Paused), (ben, ItemsFirst)):
        with pytest.raises(refusal):
            write_prompt(project=project, by=labeler, kind=Kind.PLAIN, text="Explain rain.")
    assert not WorkDay.objects.exists()


def test_a_day_has_no_more_seconds_than_a_day_has(project, ann):
    """Nobody knows when a prompt was begun, and people are paid by the hour."""
    for text in ("Explain rain.", "Name ten rivers of Asia."):
        write_prompt(project=project, by=ann, kind=Kind.PLAIN, text=text, seconds=70_000.0)
    assert (WorkDay.objects.get().prompts, WorkDay.objects.get().seconds) == (2, 86_400.0)
