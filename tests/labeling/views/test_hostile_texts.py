"""Every place that shows a text of somebody's shows it as a text: the corpus through each."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from labeling.assignments import shown
from labeling.demonstrations import propose_demonstration
from labeling.guidelines import mark_read, publish
from labeling.leasing import lease_next
from labeling.models import Import, ImportProblem, Membership, Project, User
from labeling.people import invite
from labeling.projects import create_project, update_project
from tests.factories import make_labeler, make_manager, make_project, make_prompt, make_slate
from tests.hostile import ATTACKS, active, mark, marked
from tests.labeling.views.clients import as_user, numbered

pytestmark = pytest.mark.django_db

NAMES = marked(longest=100)
SHORT = marked(longest=60)


@pytest.fixture
def project() -> Project:
    return make_project(name=NAMES[12])


@pytest.fixture
def manager(project: Project) -> Client:
    return as_user(make_manager(project))


@pytest.fixture
def labeler(project: Project) -> User:
    return make_labeler(project)


def pages(client: Client, *addresses: str) -> str:
    """All of them, each found harmless."""
    found = []
    for address in addresses:
        html = client.get(address, follow=True).content.decode()
        assert active(html) == [], address
        found.append(html)
    return "\n".join(found)


def showed(html: str, texts: list[str] | None = None) -> None:
    """Every attack was really there."""
    wanted = [mark(number) for number in range(len(ATTACKS))]
    if texts is not None:
        wanted = [text.rpartition(" ")[2] for text in texts]
    assert [one for one in wanted if one not in html] == []


def of(project: Project, name: str, *more: object) -> str:
    return reverse(name, args=[project.slug, *more])


def test_the_parser_would_notice() -> None:
    """Of each attack that is one in HTML, put into a page as it stands."""
    noticed = [attack for attack in ATTACKS if active(f"<p>{attack}</p>")]
    assert len(noticed) > 40
    assert active('<p title="" onmouseover="alert(1)">') != []
    assert active('<a href="java\tscript:alert(1)">') != []
    assert active('<p>&lt;script&gt;</p><a href="/projects/">x</a>') == []


def test_on_the_ranking_page_as_prompts_completions_and_guidelines(project, labeler) -> None:
    client = as_user(labeler)
    texts = marked()
    publish(project=project, text="\n\n".join(texts))
    for first in range(0, len(texts), 9):
        some = texts[first : first + 9]
        if len(some) > 1:
            make_slate(
                project,
                some,
                prompt=make_prompt(project, some[0], split=None),
                purpose="evaluation",
            )
    seen = pages(client, of(project, "guidelines"))
    showed(seen)
    mark_read(guidelines=project.guidelines, user=labeler)
    html = []
    while assignment := lease_next(project=project, labeler=labeler):
        html.append(pages(client, of(project, "rank"), of(project, "ahead")))
        html.append(pages(client, of(project, "compare", assignment.pk) + "?left=A&right=B"))
        ranks = {f"rank-{numbered(one.pk)}": 1 for one in shown(assignment)}
        lease = {"lease": str(assignment.lease_token)}
        assert (
            client.post(of(project, "submission", assignment.pk), ranks | lease).status_code == 302
        )
    showed("".join(html), texts[: len(texts) // 9 * 9])
    showed(pages(client, of(project, "my-rankings")), texts[:1])


@pytest.mark.parametrize("text", marked(), ids=range(len(ATTACKS)))
def test_as_a_comment_and_a_better_version(project, labeler, text: str) -> None:
    """Sent back where the form is refused, shown where it is corrected, read as a demonstration."""
    update_project(project=project, asks_likert=True)
    make_slate(project)
    client = as_user(labeler)
    assignment = lease_next(project=project, labeler=labeler)
    assert assignment
    ids = [one.pk for one in shown(assignment)]
    fields = {f"rank-{numbered(pk)}": "1" for pk in ids} | {
        f"likert-{numbered(pk)}": "4" for pk in ids
    }
    fields |= {
        "lease": str(assignment.lease_token),
        "comment": text,
        f"edit-{numbered(ids[0])}": text,
    }
    where = of(project, "submission", assignment.pk)
    refused = client.post(where, fields | {f"likert-{numbered(ids[0])}": "8"})
    assert refused.status_code == 400
    assert active(refused.content.decode()) == []
    draft = json.dumps([["comment", text], [f"edit-{numbered(ids[0])}", text]])
    lease = {"lease": fields["lease"], "sequence": 5, "content": draft}
    assert client.post(of(project, "draft", assignment.pk), lease).json() == {"saved": True}
    html = refused.content.decode() + pages(client, of(project, "rank"))
    assert client.post(where, fields).status_code == 302
    ranking = assignment.rankings.get()
    html += pages(client, of(project, "ranking", ranking.pk), of(project, "my-rankings"))
    demonstration = assignment.slate.prompt.demonstrations.get()
    manager = as_user(make_manager(project))
    html += pages(
        manager,
        of(project, "demonstration-list"),
        of(project, "demonstration", demonstration.pk),
        of(project, "prompt", assignment.slate.prompt_id),
    )
    assert html.count(text.rpartition(" ")[2]) >= 8


def test_as_prompts_categories_and_what_is_looked_for(project, manager) -> None:
    prompts = [
        make_prompt(project, text, split=None, category=text if text in SHORT else "")
        for text in marked()
    ]
    for prompt in prompts:
        propose_demonstration(prompt=prompt, text=prompt.text, labeler=make_labeler(project))
    html = pages(
        manager,
        *(f"{of(project, 'prompt-list')}?page={page}" for page in (1, 2)),
        *(of(project, "prompt", prompt.pk) for prompt in prompts),
        *(f"{of(project, 'demonstration-list')}?page={page}" for page in (1, 2, 3)),
    )
    showed(html)
    for text in marked():
        found = manager.get(of(project, "prompt-list"), {"q": text, "category": text, "page": text})
        assert active(found.content.decode()) == []


def test_as_names_of_projects_and_people(project, manager) -> None:
    boss = as_user(make_manager(project, "boss"))
    for number, name in enumerate(NAMES):
        person = make_labeler(project, f"p{number}")
        User.objects.filter(pk=person.pk).update(name=name)
        invite(project=project, by=person, note=name)
        create_project(by=User.objects.get(username="boss"), name=name)
    showed(pages(boss, of(project, "project-people")), NAMES)
    showed(pages(boss, reverse("home")), NAMES)
    for mine in Project.objects.filter(created_by__username="boss"):
        pages(boss, of(mine, "project-settings"), of(mine, "overview"), of(mine, "rank"))
    member = Membership.objects.filter(user__name=NAMES[0]).get()
    pages(as_user(member.user), reverse("account"), reverse("tokens"))


def test_as_names_of_files_and_in_what_is_said_of_them(project, manager) -> None:
    def upload(name: str, content: str) -> str:
        file = SimpleUploadedFile("x.jsonl", content.encode(errors="replace"))
        fields = {"kind": "prompts", "format": "jsonl", "file": file}
        html = manager.post(of(project, "prompt-import"), fields, follow=True).content.decode()
        assert active(html) == []
        Import.objects.filter(file_name="x.jsonl").update(file_name=name)
        return html

    for text in marked():
        upload(text, json.dumps({"prompt": f"P {text}", text: 1, "category": text}) + "\n")
    addresses = [of(project, "import", one.pk) for one in Import.objects.all()]
    showed(pages(manager, of(project, "prompt-list"), of(project, "prompt-import"), *addresses))
    assert ImportProblem.objects.exists()


def test_in_what_is_said_of_a_mistake(project, manager, labeler, settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    anonymous = Client()
    ranker = as_user(labeler)
    make_slate(project)
    assignment = lease_next(project=project, labeler=labeler)
    assert assignment
    asked: list[Callable[[str], object]] = [
        lambda text: anonymous.post(reverse("sign-in"), {"username": text, "password": text}),
        lambda text: anonymous.get(reverse("sign-in"), {"next": text}),
        lambda text: anonymous.post(of(project, "submission", assignment.pk), {"comment": text}),
        lambda text: manager.post(of(project, "project-settings"), {"name": text, "k": text}),
        lambda text: manager.post(reverse("project-create"), {"name": text * 5}),
        lambda text: manager.get(f"/{text.replace('?', '')}/"),
        lambda text: ranker.post(
            of(project, "submission", assignment.pk),
            {"lease": text, f"flag-{numbered(shown(assignment)[0].pk)}": text, "rank-x": text},
        ),
        lambda text: ranker.post(of(project, "skip", assignment.pk), {"reason": text, "lease": ""}),
    ]
    for text in marked():
        for ask in asked:
            answer = ask(text)
            if answer["Content-Type"].startswith("text/html"):  # type: ignore[index]
                assert active(answer.content.decode()) == [], text  # type: ignore[attr-defined]
            assert answer["X-Content-Type-Options"] == "nosniff"  # type: ignore[index]
