"""What labelers noted beside their ranks reaches the people who can act on it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from labeling.assignments import skip
from labeling.judgements import Judgement
from labeling.models import Project, Prompt, Slate, User
from labeling.noted import noted_prompts, notes_of, passed_on
from labeling.rankings import submit_ranking
from labeling.writing import next_task, pass_on
from tests.factories import (
    make_assignment,
    make_labeler,
    make_manager,
    make_project,
    make_prompt,
    make_researcher,
    make_slate,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(overlap=3, k=2)


def said(project: Project, labeler: User, slate: Slate, **what: object) -> None:
    """`labeler` ranks what is next, which is `slate`, and says more."""
    assignment = make_assignment(project, labeler)
    assert assignment.slate_id == slate.pk
    ids = [item.completion_id for item in slate.items.all()]
    first = {ids[0]: what.pop("of_first")} if "of_first" in what else {}
    judgement = Judgement(ranks={ids[0]: 1, ids[1]: 2}, flags=first, **what)
    submit_ranking(
        assignment=assignment,
        labeler=labeler,
        token=assignment.lease_token,
        judgement=judgement,
        seconds=1,
    )


def found(project: Project, what: str) -> set[Prompt]:
    return set(noted_prompts(Prompt.objects.filter(project=project), what))


def test_prompts_are_found_by_what_was_noted_of_them(project):
    ann, ben = make_labeler(project), make_labeler(project)
    noted, skipped = (make_slate(project).prompt for _ in range(2))
    make_slate(project)
    flags = frozenset({"hallucination"})
    said(
        project,
        ann,
        noted.slates.get(),
        comment="Names my neighbour.",
        prompt_flags=frozenset({"personal-data"}),
        of_first=flags,
    )
    said(project, ben, noted.slates.get(), prompt_flags=frozenset({"personal-data"}))
    skip(assignment=make_assignment(project, ann), labeler=ann, reason="unclear")
    for what in ("flagged", "commented", "personal-data", "hallucination"):
        assert found(project, what) == {noted}, what
    assert found(project, "skipped") == {skipped}
    for what in ("unclear", "violent", "skipped-often"):
        assert not found(project, what), what
    skip(assignment=make_assignment(project, ben), labeler=ben)
    assert found(project, "skipped-often") == {skipped}
    assert len(found(project, "")) == len(found(project, "no such word")) == 3
    notes = notes_of([noted, skipped])
    assert notes[noted.pk].labels == [("Personal data", 2)]
    assert (notes[noted.pk].skips, notes[skipped.pk].skips) == (0, 2)


def test_the_pages_say_it(client: Client, project):
    ann, manager = make_labeler(project), make_manager(project)
    noted, skipped = (make_slate(project).prompt for _ in range(2))
    flags = frozenset({"hallucination"})
    said(project, ann, noted.slates.get(), comment="<b>Odd</b>", of_first=flags)
    skip(assignment=make_assignment(project, ann), labeler=ann, reason="cannot judge")
    client.force_login(manager)
    listed = reverse("prompt-list", args=[project.slug])
    page = client.get(listed, {"noted": "skipped"}).content.decode()
    assert "skipped by 1 person" in page
    assert reverse("prompt", args=[project.slug, skipped.pk]) in page
    assert reverse("prompt", args=[project.slug, noted.pk]) not in page
    page = client.get(reverse("prompt", args=[project.slug, skipped.pk])).content.decode()
    assert "I can&#x27;t judge this" in page
    assert str(ann) in page
    page = client.get(reverse("prompt", args=[project.slug, noted.pk])).content.decode()
    assert "&lt;b&gt;Odd&lt;/b&gt;" in page
    assert page.count('<span class="badge">Hallucination</span>') == 1
    people = client.get(reverse("project-people", args=[project.slug])).content.decode()
    assert '<td class="num" data-label="Skipped">1</td>' in people


def test_researchers_read_pseudonyms(client: Client, project):
    ann = make_labeler(project)
    make_slate(project)
    skip(assignment=make_assignment(project, ann), labeler=ann)
    client.force_login(make_researcher(project))
    page = client.get(reverse("prompt", args=[project.slug, Prompt.objects.get().pk]))
    assert ann.pseudonym in page.content.decode()
    assert str(ann) not in page.content.decode()


def test_who_would_not_answer_is_named_too(project):
    project.demonstrations_per_prompt = 1
    ann = make_labeler(project)
    prompt = make_prompt(project)
    task = next_task(project=project, labeler=ann)
    pass_on(task=task, reason="long", text="", seconds=0)
    (one,) = passed_on(prompt)
    assert (one.labeler, one.reason, one.writing) == (ann, "It would take too long", True)
