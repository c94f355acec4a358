"""What a person reads where something is wrong, and that nothing else can fail meanwhile."""

from __future__ import annotations

import pytest
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path


def bad(_request: HttpRequest) -> HttpResponse:
    raise BadRequest


def forbidden(_request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def broken(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the reason, which is nobody's business")


def posted(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("stored")


urlpatterns = [
    path("bad/", bad),
    path("forbidden/", forbidden),
    path("broken/", broken),
    path("posted/", posted),
    path("", include("config.urls")),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def page(client: Client, address: str) -> tuple[int, str]:
    answer = client.get(address)
    return answer.status_code, answer.content.decode()


def test_an_unknown_address_says_so() -> None:
    status, text = page(Client(), "/no/such/place/")
    assert status == 404
    assert "There is nothing here" in text
    assert "rankloop.css" in text


def test_a_refusal_says_that_nothing_was_changed() -> None:
    status, text = page(Client(), "/forbidden/")
    assert status == 403
    assert "Nothing was changed" in text


def test_a_bad_request_says_that_nothing_was_changed() -> None:
    status, text = page(Client(), "/bad/")
    assert status == 400
    assert "nothing was changed" in text


def test_a_strange_host_is_told_which_setting_knows_the_names() -> None:
    answer = Client(SERVER_NAME="elsewhere.example.org").get("/sign-in/")
    assert answer.status_code == 400
    assert "RANKLOOP_HOSTS" in answer.content.decode()


def test_a_page_that_was_too_old_says_what_is_safe() -> None:
    answer = Client(enforce_csrf_checks=True).post("/posted/")
    assert answer.status_code == 403
    text = answer.content.decode()
    assert "load the page anew" in text
    assert "kept as a draft" in text


def test_a_failure_names_no_reason_and_needs_nothing(settings) -> None:
    settings.STORAGES = {}  # even static files may be what is broken
    status, text = page(Client(raise_request_exception=False), "/broken/")
    assert status == 500
    assert "Something broke on our side" in text
    assert "nobody's business" not in text


@pytest.mark.parametrize("address", ["/no/such/place/", "/forbidden/", "/bad/", "/broken/"])
def test_error_pages_obey_the_policy(address: str) -> None:
    answer = Client(raise_request_exception=False).get(address)
    text = answer.content.decode()
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<style" not in text
    assert " style=" not in text
    assert "<script>" not in text


def test_health_says_ok_to_anyone_and_nothing_else() -> None:
    assert page(Client(), "/health/") == (200, "ok\n")
