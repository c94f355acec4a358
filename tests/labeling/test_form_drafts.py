"""The form of one's own prompt: kept, never by an older tab, empty once it was sent."""

from __future__ import annotations

import pytest

from labeling.drafts import DraftRefused
from labeling.form_drafts import (
    MAX_DRAFT,
    Form,
    form_draft_of,
    keep_form_draft,
    save_form_draft,
)
from labeling.models import FormDraft, Project, User
from labeling.projects import update_project
from labeling.prompt_writing import NearDuplicatesFound, write_prompt
from tests.factories import make_labeler, make_project, make_prompt

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(project: Project) -> Project:
    """It asks for prompts."""
    return update_project(project=project, asks_prompts=True)


def save(
    project: Project, ann: User, text: str, sequence: int, based_on: int | None = None
) -> bool:
    fields = [("kind", "plain"), ("text", text)]
    return save_form_draft(
        Form.PROMPT,
        project=project,
        labeler=ann,
        fields=fields,
        sequence=sequence,
        based_on=based_on,
    )


def text_of(project: Project, ann: User) -> str:
    draft = form_draft_of(Form.PROMPT, project=project, labeler=ann)
    assert draft is not None
    return str(dict(draft.content).get("text", ""))


def test_each_change_is_kept_for_its_labeler_and_project(project: Project, ann: User) -> None:
    assert form_draft_of(Form.PROMPT, project=project, labeler=ann) is None
    assert save(project, ann, "Expl", 5)
    assert save(project, ann, "Explain", 6, based_on=5)
    assert text_of(project, ann) == "Explain"
    assert form_draft_of(Form.PROMPT, project=project, labeler=make_labeler(project)) is None
    assert form_draft_of(Form.PROMPT, project=make_project(), labeler=ann) is None


def test_a_tab_that_has_not_seen_the_newest_never_overwrites_it(
    project: Project, ann: User
) -> None:
    assert save(project, ann, "newer", 9, based_on=0)
    assert not save(project, ann, "older", 7, based_on=0)
    assert not save(project, ann, "later, but unaware", 12, based_on=0)
    assert text_of(project, ann) == "newer"


def test_the_same_draft_sent_twice_is_stored(project: Project, ann: User) -> None:
    assert save(project, ann, "Explain", 9, based_on=0)
    assert save(project, ann, "Explain", 9, based_on=0)


def test_sent_it_is_empty_and_what_arrives_late_brings_nothing_back(
    project: Project, ann: User
) -> None:
    save(project, ann, "Explain rain.", 5)
    write_prompt(project=project, by=ann, kind="plain", text="Explain rain.")
    assert text_of(project, ann) == ""
    assert not save(project, ann, "Explain rain.", 6, based_on=5)
    assert text_of(project, ann) == ""
    shown = FormDraft.objects.get().sequence
    assert save(project, ann, "And snow?", shown + 1, based_on=shown)


def test_the_first_draft_of_all_may_be_the_late_one(project: Project, ann: User) -> None:
    write_prompt(project=project, by=ann, kind="plain", text="Explain rain.")
    assert not save(project, ann, "Explain rain.", 6, based_on=0)
    assert text_of(project, ann) == ""


def test_sent_again_the_next_ones_draft_stays(project: Project, ann: User) -> None:
    write_prompt(project=project, by=ann, kind="plain", text="Explain rain.")
    keep_form_draft(Form.PROMPT, project=project, labeler=ann, fields=[("text", "And snow?")])
    write_prompt(project=project, by=ann, kind="plain", text="Explain rain.")
    assert text_of(project, ann) == "And snow?"


def test_what_is_refused_leaves_the_draft(project: Project, ann: User) -> None:
    make_prompt(project, "Explain rain to a child.")
    save(project, ann, "Explain rain to my child.", 5)
    with pytest.raises(NearDuplicatesFound):
        write_prompt(project=project, by=ann, kind="plain", text="Explain rain to my child.")
    assert text_of(project, ann) == "Explain rain to my child."


def test_far_more_than_anybody_types_is_refused(project: Project, ann: User) -> None:
    with pytest.raises(DraftRefused):
        save(project, ann, "x" * MAX_DRAFT, 5)
    with pytest.raises(DraftRefused):
        save(project, ann, "x", -1)
