"""What is said beside the ranks: grades, flags, better versions, a comment; refused where wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.demonstrations import live_demonstrations, was_taken_back
from labeling.drafts import draft_of, drafted, save_draft
from labeling.guidelines import mark_read, publish
from labeling.judgements import BadJudgement, Judgement, judgement_of
from labeling.models import (
    Assignment,
    Completion,
    Demonstration,
    Project,
    Purpose,
    RankedCompletion,
    Ranking,
    User,
)
from labeling.rankings import (
    CorrectionTooLate,
    correct_ranking,
    latest_of,
    ranks_of,
    submit_ranking,
)
from tests.factories import make_assignment, make_labeler, make_ranking, make_slate

pytestmark = pytest.mark.django_db


@pytest.fixture
def assignment(project: Project, ann: User) -> Assignment:
    return make_assignment(project, ann)


def ids(assignment: Assignment) -> list[int]:
    return list(assignment.slate.items.values_list("completion_id", flat=True))


def say(assignment: Assignment, labeler: User, *ranks: int, **said: object) -> Ranking:
    given = dict(zip(ids(assignment), ranks or (1, 2, 3, 4), strict=True))
    return submit_ranking(
        assignment=assignment,
        labeler=labeler,
        token=assignment.lease_token,
        judgement=Judgement(ranks=given, **said),
        seconds=5,
    )


def test_all_that_is_said_is_stored_and_read_back(assignment, ann):
    a, b, c, d = ids(assignment)
    said = {
        "likert": {a: 7, b: 1},
        "flags": {a: frozenset({"opinion"}), c: frozenset({"sexual", "violent"})},
        "prompt_flags": frozenset({"unclear"}),
        "none_good": True,
        "comment": "Hm.",
    }
    ranking = say(assignment, ann, 1, 2, 2, 3, **said)
    assert judgement_of(ranking) == Judgement(ranks={a: 1, b: 2, c: 2, d: 3}, **said)


def test_sent_again_it_is_the_same_and_said_otherwise_it_is_refused(assignment, ann):
    from labeling.rankings import AlreadyRanked

    first = say(assignment, ann, comment="One.")
    assert say(assignment, ann, comment=" One. ") == first
    with pytest.raises(AlreadyRanked):
        say(assignment, ann, comment="Two.")
    assert drafted(draft_of(slate=assignment.slate, labeler=ann)).comment == "Two."


def test_a_better_version_that_its_writer_took_back_is_known_as_such(assignment, ann):
    b = ids(assignment)[1]
    ranking = say(assignment, ann, edits={b: " Better.\n"})
    proposed = Demonstration.objects.get()
    assert not was_taken_back(proposed)
    ranks = dict(zip(ids(assignment), (1, 2, 3, 4), strict=True))
    correct_ranking(ranking=ranking, labeler=ann, judgement=Judgement(ranks=ranks), seconds=1)
    assert was_taken_back(proposed)


def test_a_correction_goes_by_the_guidelines_that_its_labeler_has_read(project, ann):
    publish(project=project, text="One.")
    assignment = make_assignment(project, ann)
    first = say(assignment, ann)
    publish(project=project, text="Two.")
    for comment, version in (("Before.", 1), ("After.", 2)):
        said = Judgement(ranks=ranks_of(first), comment=comment)
        first = correct_ranking(
            ranking=Ranking.objects.get(pk=first.pk), labeler=ann, judgement=said, seconds=1
        )
        assert first.guidelines.version == version
        mark_read(guidelines=Project.objects.get().guidelines, user=ann)


@pytest.mark.parametrize(
    ("said", "field", "sentence"),
    [
        ({"likert": 8}, "likert", "whole number from 1 to 7"),
        ({"likert": 0}, "likert", "whole number from 1 to 7"),
        ({"likert": True}, "likert", "whole number from 1 to 7"),
        ({"flags": frozenset({"rude"})}, "flags", "no flag “rude”"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(assignment, ann, said, field, sentence):
    first = ids(assignment)[0]
    with pytest.raises(BadJudgement, match=sentence) as refused:
        say(assignment, ann, **{name: {first: value} for name, value in said.items()})
    assert (refused.value.field, refused.value.status) == (field, 400)
    assert not Ranking.objects.exists()


def test_a_grade_of_somebody_elses_completion_is_refused(assignment, ann):
    for name, value in (("likert", 3), ("flags", frozenset({"opinion"})), ("edits", "Better.")):
        with pytest.raises(BadJudgement, match="not one of these"):
            say(assignment, ann, **{name: {10**9: value}})


def test_where_grades_are_asked_for_none_may_be_missing(project, assignment, ann):
    project.asks_likert = True
    project.save()
    assignment.project.refresh_from_db()
    with pytest.raises(BadJudgement, match="Give each completion a grade"):
        say(assignment, ann, likert={ids(assignment)[0]: 3})


def test_a_better_version_ranks_first_and_waits_to_become_a_demonstration(project, assignment, ann):
    a, b, c, d = ids(assignment)
    ranking = say(assignment, ann, 1, 2, 3, 3, edits={b: "Better."})
    edit = Completion.objects.get(edited_from=b)
    assert (edit.text, edit.labeler, edit.source.name) == ("Better.", ann, "people")
    assert ranks_of(ranking) == {edit.pk: 1, a: 2, b: 3, c: 4, d: 4}
    assert judgement_of(ranking).ranks == {a: 1, b: 2, c: 3, d: 3}
    written = Demonstration.objects.get()
    assert (written.text, written.labeler, written.edited_from_id) == ("Better.", ann, b)
    assert written.state == Demonstration.State.WAITING
    assert not live_demonstrations(project).exists()


def test_a_version_that_is_empty_or_no_other_says_nothing(assignment, ann):
    a, b, *_ = ids(assignment)
    text = Completion.objects.get(pk=a).text
    ranking = say(assignment, ann, edits={a: f" {text}\n", b: "  "})
    assert not Demonstration.objects.exists()
    assert RankedCompletion.objects.filter(ranking=ranking).count() == 4


def test_nul_and_half_characters_are_stored_as_signs(assignment, ann):
    a, *_ = ids(assignment)
    ranking = say(assignment, ann, comment="a\x00b\ud800", edits={a: "x\x00y"})
    ranking.refresh_from_db()
    assert ranking.comment == "a\ufffdb\ufffd"
    assert Completion.objects.get(edited_from=a).text == "x\ufffdy"


def test_of_evaluation_slates_no_better_version_is_taken(project, ann):
    from tests.factories import make_prompt

    slate = make_slate(
        project, prompt=make_prompt(project, split="evaluation"), purpose=Purpose.EVALUATION
    )
    assignment = make_assignment(project, ann)
    assert assignment.slate == slate
    say(assignment, ann, edits={ids(assignment)[0]: "Better."})
    assert not Demonstration.objects.exists()
    assert say(assignment, ann, edits={ids(assignment)[0]: "Better."})


def test_the_guidelines_in_force_are_stamped_on_it(project, ann):
    from labeling.guidelines import publish

    before = say(make_assignment(project, ann), ann)
    version = publish(project=project, text="Be kind.")
    assert before.guidelines is None
    assert say(make_assignment(project, ann), ann).guidelines == version


class TestCorrections:
    def test_more_than_ranks_can_be_corrected(self, project, ann):
        first = make_ranking(project, ann, comment="One.")
        said = judgement_of(first)
        fresh = correct_ranking(
            ranking=first,
            labeler=ann,
            judgement=Judgement(ranks=said.ranks, comment="Two."),
            seconds=7,
        )
        assert (fresh.comment, fresh.replaces, fresh.is_current) == ("Two.", first, True)
        first.refresh_from_db()
        assert (first.comment, first.is_current) == ("One.", False)

    def test_after_the_projects_time_it_is_refused_and_kept_as_a_draft(self, project, ann):
        first = make_ranking(project, ann)
        Assignment.objects.update(completed_at=timezone.now() - timedelta(hours=25))
        first = Ranking.objects.get()
        said = Judgement(ranks=ranks_of(first), comment="Late.")
        with pytest.raises(CorrectionTooLate, match="24 hours"):
            correct_ranking(ranking=first, labeler=ann, judgement=said, seconds=1)
        assert drafted(draft_of(slate=first.slate, labeler=ann)) == said
        assert latest_of(project=project.pk, labeler=ann) is None

    def test_the_latest_is_what_was_submitted_last(self, project, ann):
        make_ranking(project, ann)
        last = make_ranking(project, ann)
        assert latest_of(project=project.pk, labeler=ann) == last
        assert latest_of(project=project.pk, labeler=make_labeler(project)) is None

    def test_a_correction_under_way_is_kept_until_it_stands(self, project, ann):
        first = make_ranking(project, ann)
        said = Judgement(ranks=ranks_of(first), comment="Under way.")
        kept = {"slate": first.slate, "labeler": ann, "judgement": said}
        assert not save_draft(sequence=1, **kept)
        assert save_draft(sequence=1, correcting=first, **kept)
        correct_ranking(ranking=first, labeler=ann, judgement=said, seconds=1)
        assert draft_of(slate=first.slate, labeler=ann) is None
        assert not save_draft(sequence=2, correcting=first, **kept)


def test_line_ends_that_a_form_changed_make_no_better_version(project, ann):
    from labeling.slates import open_slate
    from tests.factories import make_completions, make_prompt

    prompt = make_prompt(project)
    texts = ["one\r\ntwo", "one\rtwo", " x\r\n", "d"]
    open_slate(prompt=prompt, completions=make_completions(prompt, texts))
    assignment = make_assignment(project, ann)
    edits = {pk: Completion.objects.get(pk=pk).text.replace("\r\n", "\n") for pk in ids(assignment)}
    say(assignment, ann, edits=edits)
    assert not Demonstration.objects.exists()


def test_a_tab_that_has_not_seen_the_newest_draft_does_not_overwrite_it(assignment, ann):
    keep = {"slate": assignment.slate, "labeler": ann}
    assert save_draft(sequence=100, based_on=0, judgement=Judgement(comment="Long."), **keep)
    assert not save_draft(sequence=200, based_on=0, judgement=Judgement(ranks={1: 1}), **keep)
    assert save_draft(sequence=300, based_on=100, judgement=Judgement(comment="Longer."), **keep)
    assert drafted(draft_of(slate=assignment.slate, labeler=ann)).comment == "Longer."
