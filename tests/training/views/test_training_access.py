"""Managers act, researchers and reviewers read, for labelers and strangers nothing is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.test import Client
from django.urls import URLPattern, reverse

from labeling.models import Role
from tests.factories import make_manager, make_member, make_project
from tests.training.seeds import Seeded
from training.urls import of_project

ACTIONS = [
    *("round-resume", "round-cancel", "round-refuse", "run-cancel", "run-resume"),
    *("deploy", "roll-back", "evaluation-ask"),
]
"""Only ever posted to."""
FORMS = ["round-list", "plan", "run-repeat"]
"""Pages that are also posted to."""
NAMES = [str(one.name) for one in of_project if isinstance(one, URLPattern)]
PAGES = [name for name in NAMES if name not in ACTIONS]


def address(name: str, seeded: Seeded) -> str:
    """The page called `name` of the seeded project."""
    slug = seeded.project.slug
    numbers = {
        "round": seeded.rounds[-1].number,
        "run": seeded.ppo.pk,
        "checkpoint": seeded.evaluation.candidate_id,
        "deploy": seeded.evaluation.candidate_id,
        "evaluation": seeded.evaluation.pk,
        "dataset": seeded.dataset.pk,
    }
    whole = {"overview", "trends.csv", "plan", "run-compare", "roll-back"}
    if name.endswith("-list") or name in whole:
        return reverse(name, args=[slug])
    return reverse(name, args=[slug, numbers[name.partition("-")[0]]])


def statuses(method: Callable[..., Any], names: Iterable[str], seeded: Seeded) -> dict[str, int]:
    """What each address answers."""
    return {name: method(address(name, seeded)).status_code for name in names}


def all_of(names: Iterable[str], status: int) -> dict[str, int]:
    return dict.fromkeys(names, status)


def test_a_manager_sees_every_page(seeded, manager):
    assert statuses(manager.get, PAGES, seeded) == all_of(PAGES, 200)


def test_researchers_and_reviewers_read_every_page_but_the_form_of_an_action(seeded, signed_in):
    expected = {**all_of(PAGES, 200), "run-repeat": 404}
    for role in (Role.RESEARCHER, Role.REVIEWER):
        client = signed_in(make_member(seeded.project, role))
        assert statuses(client.get, PAGES, seeded) == expected


def test_for_labelers_nothing_is_there(seeded, labeler):
    assert statuses(labeler.get, PAGES, seeded) == all_of(PAGES, 404)
    assert statuses(labeler.post, [*ACTIONS, *FORMS], seeded) == all_of([*ACTIONS, *FORMS], 404)


def test_for_the_manager_of_another_project_nothing_is_there(seeded, signed_in):
    stranger = signed_in(make_manager(make_project()))
    assert statuses(stranger.get, PAGES, seeded) == all_of(PAGES, 404)
    assert statuses(stranger.post, [*ACTIONS, *FORMS], seeded) == all_of([*ACTIONS, *FORMS], 404)


def test_whoever_is_not_signed_in_is_led_to_the_sign_in(seeded):
    client = Client()
    answers = [client.get(address(name, seeded)) for name in PAGES]
    answers += [client.post(address(name, seeded)) for name in ACTIONS]
    assert {answer.status_code for answer in answers} == {302}
    assert all(answer.headers["Location"].startswith(reverse("sign-in")) for answer in answers)


def test_a_live_page_whose_session_is_gone_keeps_standing(seeded):
    answer = Client().get(address("run-live", seeded), headers={"HX-Request": "true"})
    assert answer.status_code == 401


def test_a_researcher_cannot_act(seeded, researcher):
    assert statuses(researcher.post, [*ACTIONS, *FORMS], seeded) == all_of([*ACTIONS, *FORMS], 404)


def test_an_action_is_never_a_get(seeded, manager):
    assert statuses(manager.get, ACTIONS, seeded) == all_of(ACTIONS, 405)


def test_a_researcher_sees_no_button_of_an_action(seeded, researcher):
    pages = ("run", "round", "round-list", "evaluation", "checkpoint", "deployment-list")
    shown = "".join(researcher.get(address(page, seeded)).content.decode() for page in pages)
    assert [name for name in ACTIONS if f'action="{address(name, seeded)}"' in shown] == []
