"""Every address refuses whom it does not serve: the URL configuration is walked for each role.

RULES says whom each route serves, by method. A route without a line there fails the first test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from labeling.conversations import begin
from labeling.demonstrations import propose_demonstration
from labeling.drafts import keep_draft
from labeling.judgements import Judgement
from labeling.models import Assignment, Draft, Import, Project, Role, User
from labeling.notices import publish_notice
from labeling.people import invite, issue_token
from labeling.projects import update_project
from labeling.quotas import add_quota
from labeling.screening import accept
from labeling.sign_in_links import issue_sign_in_link
from tests.factories import (
    make_answer,
    make_assignment,
    make_item,
    make_labeler,
    make_manager,
    make_member,
    make_project,
    make_ranking,
    make_slate,
    make_text,
    make_user,
    make_writing_task,
)
from tests.training.seeds import seed_loop
from training.models import Checkpoint


class Who(StrEnum):
    """Everybody who may knock. The outsider manages another project."""

    ANONYMOUS = auto()
    OUTSIDER = auto()
    LABELER = auto()
    REVIEWER = auto()
    RESEARCHER = auto()
    MANAGER = auto()
    SUPERUSER = auto()


NOBODY: frozenset[Who] = frozenset()
EVERYBODY = frozenset(Who)
SIGNED_IN = EVERYBODY - {Who.ANONYMOUS}
MEMBERS = SIGNED_IN - {Who.OUTSIDER}
RANKERS = MEMBERS - {Who.RESEARCHER}
READERS = MEMBERS - {Who.LABELER}
MANAGERS = frozenset({Who.MANAGER, Who.SUPERUSER})
REVIEWERS = MANAGERS | {Who.REVIEWER}
MANAGING_ANY = MANAGERS | {Who.OUTSIDER}


@dataclass(frozen=True)
class Rule:
    """Whom a route serves by each method. `pk`: which of the world's objects its address names."""

    get: frozenset[Who] = NOBODY
    post: frozenset[Who] = NOBODY
    patch: frozenset[Who] = NOBODY
    pk: str = ""


RULES: dict[str, Rule] = {
    # For everybody.
    "health": Rule(EVERYBODY, EVERYBODY),
    "set-language": Rule(NOBODY, EVERYBODY),
    "sign-in": Rule(EVERYBODY, EVERYBODY),
    "sign-out": Rule(NOBODY, EVERYBODY),
    "sign-in-link": Rule(EVERYBODY, EVERYBODY),
    "invitation": Rule(EVERYBODY, EVERYBODY),
    # One's own.
    "home": Rule(SIGNED_IN, SIGNED_IN),
    "project-list": Rule(SIGNED_IN, SIGNED_IN),
    "account": Rule(SIGNED_IN, SIGNED_IN),
    "tokens": Rule(SIGNED_IN, SIGNED_IN),
    "token-revoke": Rule(NOBODY, frozenset({Who.MANAGER}), pk="token"),
    # Projects and people.
    "project-create": Rule(MANAGING_ANY, MANAGING_ANY),
    "project": Rule(MEMBERS),
    "guidelines": Rule(MEMBERS),
    "guidelines-read": Rule(NOBODY, RANKERS),
    "project-settings": Rule(MANAGERS, MANAGERS),
    "project-archive": Rule(NOBODY, MANAGERS),
    "progress": Rule(READERS),
    "payment-list": Rule(MANAGERS),
    "payments.csv": Rule(MANAGERS),
    "quota-list": Rule(MANAGERS, MANAGERS),
    "quota-remove": Rule(NOBODY, MANAGERS, pk="quota"),
    "notice-list": Rule(MANAGERS, MANAGERS),
    "notice-withdraw": Rule(NOBODY, MANAGERS, pk="notice"),
    "notice-seen": Rule(NOBODY, RANKERS, pk="notice"),
    "my-work": Rule(RANKERS),
    "rest-put-away": Rule(NOBODY, RANKERS),
    "project-people": Rule(MANAGERS, MANAGERS),
    "member": Rule(NOBODY, MANAGERS, pk="membership"),
    "member-answers": Rule(MANAGERS, pk="membership"),
    "member-standing": Rule(NOBODY, MANAGERS, pk="membership"),
    "accept-all": Rule(NOBODY, MANAGERS),
    "member-sign-in-link": Rule(NOBODY, MANAGERS, pk="membership"),
    "invitation-revoke": Rule(NOBODY, MANAGERS, pk="invitation"),
    "invitation-reissue": Rule(NOBODY, MANAGERS, pk="invitation"),
    "preferences.jsonl": Rule(READERS),
    # Prompts.
    "prompt-list": Rule(READERS),
    "text-list": Rule(READERS),
    "text-withdraw": Rule(NOBODY, MANAGERS, pk="text"),
    "prompt": Rule(READERS, pk="prompt"),
    "prompt-priority": Rule(NOBODY, MANAGERS, pk="prompt"),
    "prompt-withdraw": Rule(NOBODY, MANAGERS, pk="prompt"),
    "prompt-write": Rule(RANKERS, RANKERS),
    "prompt-draft": Rule(NOBODY, RANKERS),
    "turn-draft": Rule(NOBODY, RANKERS),
    "prompt-import": Rule(MANAGERS, MANAGERS),
    "import": Rule(READERS, pk="import"),
    # Known answers.
    "known-answer-list": Rule(REVIEWERS),
    "known-answer-paste": Rule(MANAGERS, MANAGERS),
    "known-answer": Rule(REVIEWERS, REVIEWERS, pk="item"),
    "known-answer-withdraw": Rule(NOBODY, REVIEWERS, pk="item"),
    "known-answer-create": Rule(REVIEWERS, REVIEWERS, pk="prompt"),
    "practice-answer": Rule(frozenset({Who.LABELER}), pk="practice"),
    # Demonstrations.
    "demonstration-list": Rule(READERS),
    "demonstration": Rule(READERS, pk="demonstration"),
    "demonstration-review": Rule(NOBODY, REVIEWERS, pk="demonstration"),
    "demonstration-write": Rule(RANKERS),
    "my-demonstrations": Rule(RANKERS),
    "demonstration-send": Rule(NOBODY, frozenset({Who.LABELER}), pk="writing_task"),
    "demonstration-draft": Rule(NOBODY, frozenset({Who.LABELER}), pk="writing_task"),
    "demonstration-preview": Rule(NOBODY, frozenset({Who.LABELER}), pk="writing_task"),
    "demonstration-pass": Rule(NOBODY, frozenset({Who.LABELER}), pk="writing_task"),
    # Quality.
    "quality": Rule(READERS),
    "quality.csv": Rule(READERS),
    "quality-ask": Rule(NOBODY, REVIEWERS),
    "weight-list": Rule(MANAGERS),
    "weights-suggested": Rule(NOBODY, MANAGERS),
    "weight": Rule(NOBODY, MANAGERS, pk="labeler"),
    "dispute-list": Rule(READERS),
    "dispute": Rule(READERS, REVIEWERS, pk="slate"),
    # Ranking.
    "rank": Rule(RANKERS),
    "submission": Rule(NOBODY, RANKERS, pk="assignment"),
    "draft": Rule(NOBODY, RANKERS, pk="assignment"),
    "renew": Rule(NOBODY, RANKERS, pk="assignment"),
    "skip": Rule(NOBODY, RANKERS, pk="assignment"),
    "ahead": Rule(RANKERS),
    "break": Rule(NOBODY, RANKERS, pk="assignment"),
    "end-break": Rule(NOBODY, RANKERS, pk="assignment"),
    "compare": Rule(frozenset({Who.LABELER}), pk="assignment"),
    "conversation-list": Rule(RANKERS, RANKERS),
    "conversation": Rule(REVIEWERS | {Who.LABELER}, pk="conversation"),
    "conversation-say": Rule(NOBODY, frozenset({Who.LABELER}), pk="conversation"),
    "conversation-again": Rule(NOBODY, frozenset({Who.LABELER}), pk="conversation"),
    "conversation-close": Rule(NOBODY, frozenset({Who.LABELER}), pk="conversation"),
    "my-rankings": Rule(RANKERS),
    "kept-draft": Rule(frozenset({Who.LABELER}), pk="draft"),
    "undo": Rule(RANKERS),
    "ranking": Rule(frozenset({Who.LABELER}), frozenset({Who.LABELER}), pk="ranking"),
    "correction-draft": Rule(NOBODY, frozenset({Who.LABELER}), pk="ranking"),
    # Training.
    "overview": Rule(READERS),
    "trends.csv": Rule(READERS),
    "plan": Rule(READERS, MANAGERS),
    "round-list": Rule(READERS, MANAGERS),
    "round": Rule(READERS),
    "round-resume": Rule(NOBODY, MANAGERS),
    "round-cancel": Rule(NOBODY, MANAGERS),
    "round-refuse": Rule(NOBODY, MANAGERS),
    "run-list": Rule(READERS, MANAGERS),
    "run-compare": Rule(READERS),
    "run": Rule(READERS, pk="run"),
    "run-live": Rule(READERS, pk="run"),
    "run-points": Rule(READERS, pk="run"),
    "run-metrics.csv": Rule(READERS, pk="run"),
    "run-cancel": Rule(NOBODY, MANAGERS, pk="run"),
    "run-resume": Rule(NOBODY, MANAGERS, pk="run"),
    "run-repeat": Rule(MANAGERS, MANAGERS, pk="run"),
    "checkpoint-list": Rule(READERS),
    "checkpoint": Rule(READERS, pk="checkpoint"),
    "deploy": Rule(NOBODY, MANAGERS, pk="checkpoint"),
    "evaluation-list": Rule(READERS),
    "evaluation": Rule(READERS, pk="evaluation"),
    "evaluation-texts": Rule(READERS, pk="evaluation"),
    "evaluation-ask": Rule(NOBODY, MANAGERS, pk="evaluation"),
    "deployment-list": Rule(READERS),
    "roll-back": Rule(NOBODY, MANAGERS),
    "dataset-list": Rule(READERS),
    "dataset": Rule(READERS, pk="dataset"),
    "dataset-file": Rule(READERS, pk="dataset"),
    # REST.
    "api-schema": Rule(EVERYBODY),
    "api-docs": Rule(EVERYBODY),
    "api-project-list": Rule(SIGNED_IN, MANAGING_ANY),
    "api-project": Rule(MEMBERS, patch=MANAGERS),
    "api-prompt-list": Rule(READERS, MANAGERS),
    "api-completion-list": Rule(READERS),
    "api-assignment-next": Rule(NOBODY, RANKERS),
    "api-assignment-renew": Rule(NOBODY, RANKERS, pk="assignment"),
    "api-assignment-skip": Rule(NOBODY, RANKERS, pk="assignment"),
    "api-known-answer-list": Rule(REVIEWERS, MANAGERS),
    "api-ranking-list": Rule(MEMBERS, RANKERS),
    "api-preference-export": Rule(READERS),
    "api-plan": Rule(READERS, patch=MANAGERS),
    "api-round-list": Rule(READERS, MANAGERS),
    "api-round": Rule(READERS),
    "api-run-list": Rule(READERS, MANAGERS),
    "api-run": Rule(READERS, pk="run"),
    "api-run-cancel": Rule(NOBODY, MANAGERS, pk="run"),
    "api-run-resume": Rule(NOBODY, MANAGERS, pk="run"),
    "api-dataset-list": Rule(READERS),
    "api-checkpoint-list": Rule(READERS),
    "api-evaluation-list": Rule(READERS),
    "api-evaluation": Rule(READERS, pk="evaluation"),
    "api-evaluation-texts": Rule(READERS, pk="evaluation"),
    "api-deployment-list": Rule(READERS, MANAGERS),
}


def routes(
    patterns: list[URLPattern | URLResolver] | None = None, above: frozenset[str] = frozenset()
) -> Iterator[tuple[str, frozenset[str]]]:
    """Every route's name and the names of its address's variables."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        names = above | set(pattern.pattern.converters)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, names)
        else:
            yield pattern.name or str(pattern.pattern), names


ROUTES = dict(routes())


def test_every_route_has_a_rule_and_every_rule_a_route():
    assert set(ROUTES) == set(RULES)


def test_no_two_routes_share_a_name():
    names = [name for name, _variables in routes()]
    assert sorted(names) == sorted(set(names))


@dataclass
class World:
    """A project with something of everything in it, and one of each kind of person."""

    project: Project
    other: Project
    people: dict[Who, User | None]
    objects: dict[str, int]
    secrets: dict[str, str]
    clients: dict[tuple[Who, bool], Client] = field(default_factory=dict)

    def client(self, who: Who, *, api: bool) -> Client:
        """Pages know a person by the session, the API by a token."""
        if (who, api) not in self.clients:
            user, client = self.people[who], Client()
            if user is not None and api:
                _token, secret = issue_token(
                    user=user, name="walk", scopes=["read", "write", "train"]
                )
                client = Client(headers={"Authorization": f"Bearer {secret}"})
            elif user is not None:
                client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
            self.clients[who, api] = client
        return self.clients[who, api]

    def address(self, name: str, slug: str = "") -> str:
        """The route's address with this world's objects in it."""
        values: dict[str, Any] = {
            "slug": slug or self.project.slug,
            "number": 1,
            "pk": self.objects.get(RULES[name].pk),
            "secret": self.secrets.get(name),
        }
        return reverse(name, kwargs={variable: values[variable] for variable in ROUTES[name]})


@pytest.fixture
def world(db: None) -> World:
    return build_world()


def build_world(*, rounds: int = 1, rankings: int = 2) -> World:
    """Made anew."""
    cache.clear()
    seeded = seed_loop(rounds=rounds, rankings=rankings, steps=3)
    project, other = seeded.project, make_project()
    labeler = make_labeler(project)
    make_slate(project)
    ranking = make_ranking(project, labeler)
    item = make_item(project, "practice", explanation="**A** is true.")
    practice = make_answer(item, labeler)
    accept(membership=labeler.memberships.get())
    make_slate(project)
    invitation, secret = invite(project=project, by=seeded.manager)
    token, _secret = issue_token(user=seeded.manager, name="mine", scopes=["read"])
    file = Import.objects.create(project=project, format="jsonl", file_name="prompts.jsonl")
    assignment = make_assignment(project, labeler)
    update_project(
        project=project, asks_demonstrations=True, asks_prompts=True, allows_conversations=True
    )
    return World(
        project=project,
        other=other,
        people={
            Who.ANONYMOUS: None,
            Who.OUTSIDER: make_manager(other),
            Who.LABELER: labeler,
            Who.REVIEWER: make_member(project, Role.REVIEWER),
            Who.RESEARCHER: make_member(project, Role.RESEARCHER),
            Who.MANAGER: seeded.manager,
            Who.SUPERUSER: make_user(superuser=True),
        },
        objects={
            "token": token.pk,
            "membership": labeler.memberships.get().pk,
            "invitation": invitation.pk,
            "prompt": ranking.slate.prompt_id,
            "demonstration": propose_demonstration(
                prompt=ranking.slate.prompt, text="Proposed.", labeler=labeler
            ).pk,
            "writing_task": make_writing_task(project, labeler).pk,
            "import": file.pk,
            "text": make_text(project).pk,
            "assignment": assignment.pk,
            "ranking": ranking.pk,
            "item": item.pk,
            "practice": practice.pk,
            "quota": add_quota(project=project, most=40).pk,
            "notice": publish_notice(project=project, text="Hello.", by=seeded.manager).pk,
            "draft": too_late(project, labeler),
            "conversation": begin(project=project, labeler=labeler).pk,
            "slate": ranking.slate_id,
            "labeler": labeler.pk,
            "run": seeded.ppo.pk,
            "checkpoint": Checkpoint.objects.filter(project=project, kind="policy").latest("pk").pk,
            "evaluation": seeded.evaluation.pk,
            "dataset": seeded.dataset.pk,
        },
        secrets={
            "invitation": secret,
            "sign-in-link": issue_sign_in_link(user=seeded.manager)[1],
        },
    )


def too_late(project: Project, labeler: User) -> int:
    """What `labeler` had said of a slate that somebody else finished."""
    slate = make_slate(project)
    keep_draft(slate=slate.pk, labeler=labeler, judgement=Judgement(comment="Hm."))
    slate.assignments.update(labeler=make_labeler(project), state=Assignment.State.DONE)
    return Draft.objects.get(slate=slate).pk


@contextmanager
def undone() -> Iterator[None]:
    """Let nothing that a request did outlive it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(client: Client, method: str, address: str) -> HttpResponseBase:
    """One request, read to its end, whose effects are undone: rows, session and cookies."""
    body = {"data": "{}", "content_type": "application/json"} if "/api/" in address else {}
    cookies = deepcopy(client.cookies)
    with undone():
        answer = getattr(client, method)(address, **(body if method != "get" else {}))
        if answer.streaming:
            b"".join(answer.streaming_content)
    client.cookies = cookies
    return answer


def verdict(answer: HttpResponseBase) -> str:
    """served, refused, or no such method."""
    if answer.status_code == 405:
        return "no such method"
    to_sign_in = answer.status_code == 302 and "/sign-in/?next=" in answer["Location"]
    return "refused" if to_sign_in or answer.status_code in (401, 403, 404) else "served"


@pytest.mark.parametrize("who", Who)
def test_each_route_serves_whom_its_rule_names_and_nobody_else(world, who):
    wrong = []
    for name, rule in RULES.items():
        api = name.startswith("api-")
        for method in ("get", "post", "patch") if api else ("get", "post"):
            served: frozenset[Who] = getattr(rule, method)
            client = world.client(who, api=api)
            answer = ask(client, method, world.address(name))
            got = verdict(answer)
            right = {"served"} if who in served else {"refused"}
            if not served:
                right = {"refused", "no such method"}
            if got not in right:
                wrong.append(f"{method.upper()} {name} for {who}: {answer.status_code} ({got})")
    assert not wrong, "\n".join(wrong)


def test_what_belongs_to_another_project_is_not_there(world):
    """Somebody who manages a project cannot reach into another by naming its ids."""
    wrong = []
    for name, variables in ROUTES.items():
        if not {"slug", "pk"} <= variables and not {"slug", "number"} <= variables:
            continue
        client = world.client(Who.OUTSIDER, api=name.startswith("api-"))
        for method in ("get", "post"):
            answer = ask(client, method, world.address(name, slug=world.other.slug))
            if verdict(answer) == "served":
                wrong.append(f"{method.upper()} {name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_pages_take_no_post_from_another_site(world):
    """Without the CSRF token no form does anything, whoever is signed in."""
    wrong = []
    for name, rule in RULES.items():
        if name.startswith("api-") or not rule.post:
            continue
        client = Client(enforce_csrf_checks=True)
        client.force_login(world.people[Who.MANAGER])
        answer = ask(client, "post", world.address(name))
        if answer.status_code != 403:
            wrong.append(f"{name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
