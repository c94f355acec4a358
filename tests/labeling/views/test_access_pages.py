"""Every page of labeling serves whom it is for and is not there for anybody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from labeling import urls
from labeling.assignments import lease_next
from labeling.models import Assignment, Import, Membership, Project, Role, User
from labeling.people import invite, issue_token
from tests.factories import (
    make_member,
    make_prompt,
    make_ranking,
    make_slate,
    make_user,
)

pytestmark = pytest.mark.django_db

RANKERS = {"labeler", "reviewer", "manager", "superuser"}
READERS = {"reviewer", "manager", "researcher", "superuser"}
MANAGERS = {"manager", "superuser"}
EVERYONE = RANKERS | READERS
SIGNED_IN = EVERYONE | {"stranger"}
ANYBODY = SIGNED_IN | {"anonymous"}

SERVED = {
    "home": SIGNED_IN,
    "project-list": SIGNED_IN,
    "sign-in": ANYBODY,
    "sign-in-link": ANYBODY,
    "sign-out": ANYBODY,
    "invitation": ANYBODY,
    "account": SIGNED_IN,
    "tokens": SIGNED_IN,
    "token-revoke": SIGNED_IN,
    "project-create": MANAGERS,
    "project": EVERYONE,
    "project-settings": MANAGERS,
    "project-archive": MANAGERS,
    "guidelines": EVERYONE,
    "project-people": MANAGERS,
    "member": MANAGERS,
    "invitation-revoke": MANAGERS,
    "invitation-reissue": MANAGERS,
    "prompt-list": READERS,
    "prompt": READERS,
    "prompt-withdraw": MANAGERS,
    "prompt-import": MANAGERS,
    "import": READERS,
    "rank": RANKERS,
    "submission": RANKERS,
    "draft": RANKERS,
    "renew": RANKERS,
    "skip": RANKERS,
    "my-rankings": RANKERS,
    "ranking": set(),  # one's own only: see below
}
OPEN = {"sign-in", "sign-in-link", "sign-out", "invitation"}


def patterns(found: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    """Every address, included ones too."""
    for pattern in found:
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern.url_patterns)
        else:
            yield pattern


@pytest.fixture
def rows(project: Project) -> dict[str, object]:
    """One thing of each kind in the project."""
    manager = make_member(project, Role.MANAGER)
    make_slate(project)
    leased = lease_next(project=project, labeler=make_member(project, Role.LABELER))
    assert leased
    invitation, _secret = invite(project=project, by=manager)
    return {
        "prompt": make_prompt(project),
        "import": Import.objects.create(project=project, file_name="a.txt", format="text"),
        "member": Membership.objects.get(user=manager, project=project),
        "assignment": leased,
        "invitation": invitation,
    }


@pytest.fixture
def project() -> Project:
    from tests.factories import make_project

    return make_project()


def address_of(name: str, project: Project, rows: dict[str, object], who: User | None) -> str:
    """Where `name` is, with the rows of `project` in it."""
    keys = {
        "member": "member",
        "prompt": "prompt",
        "prompt-withdraw": "prompt",
        "import": "import",
        "invitation-revoke": "invitation",
        "invitation-reissue": "invitation",
        **dict.fromkeys(["submission", "draft", "renew", "skip"], "assignment"),
    }
    if name in {"sign-in-link", "invitation"}:
        return reverse(name, args=["no-such-secret"])
    if name == "token-revoke":
        owner = who or make_user()
        return reverse(name, args=[issue_token(user=owner, name="t", scopes=["read"])[0].pk])
    if name == "ranking":
        return reverse(name, args=[project.slug, make_ranking(project).pk])
    if name in {"home", "project-list", "sign-in", "sign-out", "account", "tokens"}:
        return reverse(name)
    if name == "project-create":
        return reverse(name)
    if name in keys:
        return reverse(name, args=[project.slug, rows[keys[name]].pk])  # type: ignore[attr-defined]  # each is a row
    return reverse(name, args=[project.slug])


def person(kind: str, project: Project) -> User | None:
    """Somebody of this kind."""
    if kind == "anonymous":
        return None
    if kind in {"stranger", "superuser"}:
        return make_user(superuser=kind == "superuser")
    return make_member(project, kind)


def test_every_address_is_in_the_list_above():
    assert {pattern.name for pattern in patterns(urls.urlpatterns)} == set(SERVED)


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("kind", sorted(ANYBODY))
def test_a_page_serves_whom_it_is_for_and_no_one_else(name, kind, project, rows):
    who = person(kind, project)
    client = Client()
    if who is not None:
        client.force_login(who, backend="django.contrib.auth.backends.ModelBackend")
    address = address_of(name, project, rows, who)
    for response in (client.get(address), client.post(address)):
        if kind in SERVED[name]:
            assert response.status_code not in {401, 403, 404}, response.status_code
            assert response.status_code < 500
        elif who is None:
            assert response.status_code == 302
            assert response["Location"].startswith(reverse("sign-in"))
        else:
            assert response.status_code in {404, 405}
        if kind in SERVED[name] and name in {"sign-out", "project-archive", "skip", "member"}:
            break


def test_nobody_changes_anything_by_get(project, rows):
    client = Client()
    client.force_login(
        make_user(superuser=True), backend="django.contrib.auth.backends.ModelBackend"
    )
    changing = ["token-revoke", "project-archive", "member", "invitation-revoke"]
    changing += ["invitation-reissue", "prompt-withdraw", "submission", "draft", "renew", "skip"]
    for name in changing:
        who = User.objects.get(is_superuser=True)
        assert client.get(address_of(name, project, rows, who)).status_code == 405, name
    assert Assignment.objects.get().state == Assignment.State.OPEN


def test_a_request_by_script_without_a_session_is_401_and_changes_no_page(project):
    response = Client().get(reverse("rank", args=[project.slug]), headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert response.content == b""
