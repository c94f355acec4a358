"""Who comes in by a token, and what it may do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from labeling.api.authentication import FailedTokenThrottle
from labeling.models import Token
from labeling.people import deactivate_user, issue_token, revoke_token
from tests.factories import make_labeler, make_manager, make_project, make_researcher, make_user

pytestmark = pytest.mark.django_db
PROJECTS = "/api/v1/projects/"


def with_header(value: str, **extra: str) -> APIClient:
    client = APIClient(**extra)
    client.credentials(HTTP_AUTHORIZATION=value)
    return client


@pytest.mark.parametrize("keyword", ["Bearer", "bearer", "Token"])
def test_a_token_opens_the_door(keyword):
    project = make_project()
    _token, secret = issue_token(user=make_researcher(project), name="t", scopes=["read"])
    answer = with_header(f"{keyword} {secret}").get(PROJECTS)
    assert answer.status_code == 200
    assert [row["slug"] for row in answer.json()["results"]] == [project.slug]


def test_without_a_token_it_says_how_to_come_in():
    answer = APIClient().get(PROJECTS)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="Rankloop"'
    assert answer.json()["code"] == "not_authenticated"
    assert set(answer.json()) == {"code", "detail"}


def test_a_session_is_not_enough(client):
    client.force_login(make_user(superuser=True))
    assert client.get(PROJECTS).status_code == 401


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer rl_wrong", "Bearer a b", "Token \xff\xfe"]
)
def test_it_refuses_a_wrong_token(header):
    answer = with_header(header).get(PROJECTS)
    assert answer.status_code == 401
    assert answer.json()["code"] == "bad_token"


def test_it_refuses_a_revoked_an_expired_and_a_deactivated_persons_token():
    project = make_project()
    revoked, first = issue_token(user=make_researcher(project), name="t", scopes=["read"])
    revoke_token(token=revoked)
    expired, second = issue_token(user=make_researcher(project), name="t", scopes=["read"])
    Token.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    gone = make_researcher(project)
    _token, third = issue_token(user=gone, name="t", scopes=["read"])
    deactivate_user(user=gone)
    for secret in (first, second, third):
        assert with_header(f"Bearer {secret}").get(PROJECTS).status_code == 401


def test_only_its_hash_is_stored():
    token, secret = issue_token(user=make_user(), name="t", scopes=["read"])
    stored = Token.objects.filter(pk=token.pk).values().get()
    assert not any(secret in str(value) for value in stored.values())


def test_too_many_wrong_tokens_have_to_wait():
    limit = FailedTokenThrottle().num_requests
    wrong = with_header("Bearer rl_wrong")
    assert {wrong.get(PROJECTS).status_code for _ in range(limit)} == {401}
    answer = wrong.get(PROJECTS)
    assert answer.status_code == 429
    assert answer.json()["code"] == "throttled"
    assert 0 < int(answer["Retry-After"]) <= 60


def test_wrong_tokens_of_one_address_do_not_bother_another():
    for _ in range(FailedTokenThrottle().num_requests + 1):
        with_header("Bearer rl_wrong").get(PROJECTS)
    other = with_header("Bearer rl_wrong", REMOTE_ADDR="10.0.0.7")
    assert other.get(PROJECTS).status_code == 401


def test_a_right_token_works_beside_a_neighbour_with_wrong_ones(api):
    client = api(make_user())
    for _ in range(FailedTokenThrottle().num_requests + 1):
        answer = with_header("Bearer rl_wrong").get(PROJECTS)
    assert answer.status_code == 429
    assert client.get(PROJECTS).status_code == 200


def test_an_address_cannot_pretend_to_be_another():
    for number in range(FailedTokenThrottle().num_requests + 1):
        header = {"HTTP_X_FORWARDED_FOR": f"10.0.0.{number}"}
        answer = with_header("Bearer rl_wrong", **header).get(PROJECTS)
    assert answer.status_code == 429


def test_right_tokens_are_never_counted(api):
    client = api(make_user())
    for _ in range(FailedTokenThrottle().num_requests + 5):
        assert client.get(PROJECTS).status_code == 200


def test_a_scope_that_is_missing_is_named(api):
    project = make_project()
    manager = make_manager(project)
    reader = api(manager, "read")
    answer = reader.post(f"{PROJECTS}{project.slug}/prompts/", {"prompt": "Hello?"}, format="json")
    assert answer.status_code == 403
    assert answer.json()["code"] == "scope_missing"
    assert "write" in answer.json()["detail"]
    assert api(manager, "write").get(PROJECTS).status_code == 403
    assert (
        api(manager, "read", "write").post(f"{PROJECTS}{project.slug}/rounds/").json()["code"]
        == "scope_missing"
    )


def test_a_scope_gives_no_more_than_the_role(api):
    project = make_project()
    answer = api(make_researcher(project)).post(
        f"{PROJECTS}{project.slug}/prompts/", {"prompt": "Hello?"}, format="json"
    )
    assert answer.status_code == 403
    assert answer.json()["code"] == "role_missing"


def test_a_token_of_one_project_sees_no_other(api):
    one, two = make_project(), make_project()
    manager = make_manager(one)
    from labeling.people import set_role

    set_role(project=two, user=manager, role="manager")
    client = api(manager, project=one)
    assert [row["slug"] for row in client.get(PROJECTS).json()["results"]] == [one.slug]
    assert client.get(f"{PROJECTS}{one.slug}/").status_code == 200
    assert client.get(f"{PROJECTS}{two.slug}/").status_code == 404
    assert client.post(PROJECTS, {"name": "Third"}, format="json").status_code == 403


def test_a_superuser_with_a_token_of_one_project_stays_in_it(api):
    one, two = make_project(), make_project()
    client = api(make_user(superuser=True), project=one)
    assert client.get(f"{PROJECTS}{one.slug}/rankings/").status_code == 200
    assert client.get(f"{PROJECTS}{two.slug}/rankings/").status_code == 404


def test_what_is_not_visible_is_not_there(api):
    project = make_project()
    outsider = api(make_labeler(make_project()))
    for address in (f"{PROJECTS}{project.slug}/", f"{PROJECTS}none-such/"):
        answer = outsider.get(address)
        assert answer.status_code == 404
        assert answer.json()["code"] == "not_found"


def test_a_method_that_is_not_there_is_405(api):
    project = make_project()
    client = api(make_manager(project))
    assert client.delete(f"{PROJECTS}{project.slug}/").status_code == 405
    answer = client.put(f"{PROJECTS}{project.slug}/", {}, format="json")
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
