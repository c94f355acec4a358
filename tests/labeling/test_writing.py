"""One prompt a labeler, drafts that no older tab overwrites, and nothing that was typed is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.demonstrations import propose_demonstration, refuse_demonstration
from labeling.drafts import DraftRefused
from labeling.models import (
    Demonstration,
    Import,
    Project,
    Prompt,
    Split,
    User,
    WorkDay,
    WritingTask,
)
from labeling.people import deactivate_user
from labeling.projects import ProjectArchived, archive_project
from labeling.prompts import PromptRefused, withdraw_prompt
from labeling.writing import (
    AlreadySent,
    PromptWithdrawn,
    RefusedBefore,
    demonstrations_of,
    is_written_by_another,
    next_task,
    pass_on,
    save_draft,
    send,
    unsent_tasks,
)
from tests.factories import make_labeler, make_manager, make_prompt

State = WritingTask.State


def given(project: Project, labeler: User) -> WritingTask:
    task = next_task(project=project, labeler=labeler)
    assert task is not None
    return task


def lapse(task: WritingTask) -> None:
    WritingTask.objects.filter(pk=task.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )


def test_the_same_prompt_comes_back_until_it_is_sent(project, ann):
    make_prompt(project)
    make_prompt(project)
    first = given(project, ann)
    assert given(project, ann) == first
    send(task=first, text="Done.", seconds=1)
    assert given(project, ann).prompt != first.prompt


def test_two_labelers_get_two_prompts(project, ann, ben):
    make_prompt(project)
    assert given(project, ann)
    assert next_task(project=project, labeler=ben) is None
    other = make_prompt(project)
    assert given(project, ben).prompt == other


def test_higher_priority_comes_first_then_the_order_in_which_prompts_are_taken_up(project, ann):
    for _ in range(3):
        make_prompt(project)
    urgent = make_prompt(project, priority=5)
    assert given(project, ann).prompt == urgent
    send(task=given(project, ann), text="Done.", seconds=1)
    least = Prompt.objects.exclude(pk=urgent.pk).order_by("shuffle").first()
    assert given(project, ann).prompt == least


@pytest.mark.parametrize("split", [Split.JUDGE, Split.RM_TEST, Split.EVALUATION])
def test_only_training_prompts_are_given_out(project, ann, split):
    make_prompt(project, split=split)
    assert next_task(project=project, labeler=ann) is None


def test_a_prompt_that_has_an_answer_needs_no_other_and_one_that_was_refused_does(
    project, ann, ben
):
    prompt = make_prompt(project)
    answer = propose_demonstration(prompt=prompt, text="Yes.", labeler=ben)
    assert next_task(project=project, labeler=ann) is None
    refuse_demonstration(demonstration=answer, by=make_manager(project))
    assert given(project, ann).prompt == prompt


def test_an_answer_that_waits_in_an_import_does_not_count_yet(project, ann):
    prompt = make_prompt(project)
    hidden = Import.objects.create(project=project, format="jsonl", file_name="x")
    Demonstration.objects.create(prompt=prompt, text="Yes.", text_hash="0", imported=hidden)
    assert given(project, ann).prompt == prompt


def test_languages_that_a_labeler_does_not_read_are_not_given_out(project, ann):
    make_prompt(project, language="de")
    ann.languages = "en zh"
    assert next_task(project=project, labeler=ann) is None
    chinese = make_prompt(project, language="zh-Hans")
    assert given(project, ann).prompt == chinese


def test_an_archived_project_gives_nothing_out(project, ann):
    make_prompt(project)
    archive_project(project=project)
    assert next_task(project=project, labeler=ann) is None


def test_after_two_hours_without_a_draft_somebody_else_gets_the_prompt(project, ann, ben):
    prompt = make_prompt(project)
    task = given(project, ann)
    left = task.lease_expires_at - timezone.now()
    assert timedelta(hours=1, minutes=59) < left <= timedelta(hours=2)
    lapse(task)
    assert save_draft(task=task, text="Rain", sequence=1)
    assert next_task(project=project, labeler=ben) is None
    lapse(task)
    assert given(project, ben).prompt == prompt


def test_whoever_is_deactivated_holds_no_prompt_any_more(project, ann, ben):
    prompt = make_prompt(project)
    save_draft(task=given(project, ann), text="Rain", sequence=1)
    deactivate_user(user=ann)
    assert given(project, ben).prompt == prompt
    assert WritingTask.objects.get(labeler=ann).text == "Rain"


def test_what_was_typed_stays_with_the_labeler_whoever_has_the_prompt_now(project, ann, ben):
    make_prompt(project)
    task = given(project, ann)
    save_draft(task=task, text="Rain", sequence=1)
    lapse(task)
    send(task=given(project, ben), text="Ben's.", seconds=1)
    again = given(project, ann)
    assert (again, again.text) == (task, "Rain")
    assert is_written_by_another(again)
    send(task=again, text="Rain falls.", seconds=1)
    assert set(Demonstration.objects.values_list("text", flat=True)) == {"Ben's.", "Rain falls."}


def test_an_open_task_without_a_word_gives_way(project, ann, ben):
    first, second = make_prompt(project, priority=1), make_prompt(project)
    lapse(given(project, ann))
    assert given(project, ben).prompt == first
    assert given(project, ann).prompt == second


def test_a_withdrawn_prompt_gives_way_where_nothing_was_written(project, ann):
    first, second = make_prompt(project, priority=1), make_prompt(project)
    assert given(project, ann).prompt == first
    withdraw_prompt(prompt=first)
    assert given(project, ann).prompt == second


def test_an_older_tab_never_overwrites_a_newer_draft(project, ann):
    make_prompt(project)
    task = given(project, ann)
    assert save_draft(task=task, text="one", sequence=100, based_on=0)
    assert save_draft(task=task, text="two", sequence=200, based_on=100)
    assert not save_draft(task=task, text="other tab", sequence=300, based_on=0)
    assert not save_draft(task=task, text="late", sequence=150, based_on=100)
    task.refresh_from_db()
    assert (task.text, task.sequence) == ("two", 200)


def test_a_draft_that_is_sent_twice_is_stored_once(project, ann):
    make_prompt(project)
    task = given(project, ann)
    for _ in range(2):
        assert save_draft(task=task, text="one", sequence=100, based_on=0, seconds=3)


def test_a_draft_after_the_answer_was_sent_changes_nothing(project, ann):
    make_prompt(project)
    task = given(project, ann)
    send(task=task, text="Done.", seconds=1)
    assert not save_draft(task=task, text="Do", sequence=2**50)


def test_more_than_anybody_types_is_refused(project, ann):
    make_prompt(project)
    with pytest.raises(DraftRefused):
        save_draft(task=given(project, ann), text="x" * 200_001, sequence=1)


def test_what_a_reviewer_refused_stays_refused_and_the_next_who_writes_it_is_told(project, ann):
    make_prompt(project)
    first = send(task=given(project, ann), text="Four.", seconds=1)
    refuse_demonstration(demonstration=first, by=make_manager(project))
    same = send(task=WritingTask.objects.get(labeler=ann), text="Four.", seconds=1)
    assert (same.pk, same.state) == (first.pk, Demonstration.State.REFUSED)
    ben = make_labeler(project)
    with pytest.raises(RefusedBefore):
        send(task=given(project, ben), text="Four.", seconds=1)
    task = given(project, ben)
    assert (task.text, task.state) == ("Four.", State.OPEN)
    assert Demonstration.objects.get().state == Demonstration.State.REFUSED
    assert not WorkDay.objects.filter(labeler=ben).exists()
    assert send(task=task, text="It is four.", seconds=1).state == Demonstration.State.WAITING


def test_an_answer_waits_for_a_reviewer_and_counts_as_work(project, ann):
    prompt = make_prompt(project, category="chat")
    made = send(task=given(project, ann), text="Rain\r\nfalls.", seconds=8.5)
    assert (made.prompt, made.text, made.labeler) == (prompt, "Rain\nfalls.", ann)
    assert made.state == Demonstration.State.WAITING
    day = WorkDay.objects.get()
    assert (day.labeler, day.category, day.demonstrations, day.seconds) == (ann, "chat", 1, 8.5)


def test_sent_twice_it_is_one_row_and_counts_once(project, ann):
    make_prompt(project)
    task = given(project, ann)
    first = send(task=task, text="Done.", seconds=1)
    task.refresh_from_db()
    assert send(task=task, text="Done.", seconds=9) == first
    assert Demonstration.objects.count() == 1
    assert (WorkDay.objects.get().demonstrations, WorkDay.objects.get().seconds) == (1, 1.0)


def test_another_text_of_a_sent_task_is_kept_too_and_counts_once(project, ann):
    make_prompt(project)
    task = given(project, ann)
    send(task=task, text="Done.", seconds=1)
    send(task=task, text="Done well.", seconds=1)
    assert Demonstration.objects.count() == 2
    assert WorkDay.objects.get().demonstrations == 1


def test_an_empty_answer_is_refused_and_the_draft_stays(project, ann):
    make_prompt(project)
    task = given(project, ann)
    save_draft(task=task, text="Rain", sequence=1)
    with pytest.raises(PromptRefused):
        send(task=task, text=" \n", seconds=1)
    task.refresh_from_db()
    assert (task.text, task.state) == ("Rain", State.OPEN)
    assert not WorkDay.objects.exists()


def test_passed_on_it_goes_to_others_and_what_was_written_is_kept(project, ann, ben):
    prompt = make_prompt(project)
    task = given(project, ann)
    pass_on(task=task, reason="I don't know", text="Well")
    pass_on(task=task, reason="I don't know", text="Well")
    task.refresh_from_db()
    assert (task.state, task.reason, task.text) == (State.PASSED, "I don't know", "Well")
    assert next_task(project=project, labeler=ann) is None
    assert given(project, ben).prompt == prompt
    assert list(unsent_tasks(project=project, labeler=ann)) == [task]


def test_what_was_sent_cannot_be_passed_on(project, ann):
    make_prompt(project)
    task = given(project, ann)
    send(task=task, text="Done.", seconds=1)
    with pytest.raises(AlreadySent):
        pass_on(task=task)


def test_what_was_passed_on_in_another_tab_can_still_be_sent(project, ann):
    make_prompt(project)
    task = given(project, ann)
    pass_on(task=task)
    task.refresh_from_db()
    assert send(task=task, text="After all.", seconds=1).text == "After all."


def test_a_prompt_withdrawn_meanwhile_takes_no_answer_and_the_text_is_kept(project, ann):
    prompt = make_prompt(project)
    task = given(project, ann)
    withdraw_prompt(prompt=prompt)
    task = WritingTask.objects.get(pk=task.pk)
    with pytest.raises(PromptWithdrawn, match="is kept"):
        send(task=task, text="Rain falls.", seconds=1)
    kept = unsent_tasks(project=project, labeler=ann).get()
    assert (kept.text, kept.state) == ("Rain falls.", State.PASSED)
    assert not Demonstration.objects.exists()


def test_an_archived_project_takes_no_answer_and_goes_on_where_it_was_once_restored(project, ann):
    make_prompt(project)
    task = given(project, ann)
    archive_project(project=project)
    task = WritingTask.objects.get(pk=task.pk)
    with pytest.raises(ProjectArchived):
        send(task=task, text="Rain falls.", seconds=1)
    task.refresh_from_db()
    assert (task.text, task.state) == ("Rain falls.", State.OPEN)


def test_ones_own_demonstrations_are_listed_newest_first(project, ann, ben):
    make_prompt(project)
    make_prompt(project)
    one = send(task=given(project, ann), text="One.", seconds=1)
    two = send(task=given(project, ann), text="Two.", seconds=1)
    propose_demonstration(prompt=make_prompt(project), text="Ben's.", labeler=ben)
    assert list(demonstrations_of(project=project, labeler=ann)) == [two, one]
