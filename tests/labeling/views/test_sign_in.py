"""One-time sign-in links: made on the People page, opened as a page, taken by its form."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Role, SignInLink, User
from labeling.people import deactivate_user, set_role
from labeling.sign_in_links import issue_sign_in_link
from tests.factories import PASSWORD, make_labeler, make_project, make_user
from tests.labeling.views.clients import as_user, signed_in_as

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "purple otters dance"


@pytest.fixture
def boss(manager):
    return as_user(manager)


def address_for(user: User, project) -> str:
    membership = user.memberships.get(project=project)
    return reverse("member-sign-in-link", args=[project.slug, membership.pk])


def link_in(page: str) -> str:
    found = re.search(r'value="http://testserver(/sign-in/[^"]+)"', page)
    assert found, page
    return found[1]


def test_a_link_survives_being_fetched_and_works_once(client):
    user = make_user("ada")
    address = reverse("sign-in-link", args=[issue_sign_in_link(user=user)[1]])
    for _ in range(2):
        page = Client().get(address)
        assert page.status_code == 200
        assert "<strong>ada</strong>" in page.content.decode()
    assert client.post(address)["Location"] == "/"
    assert signed_in_as(client) == user
    second = Client()
    for response in (second.post(address), second.get(address)):
        assert response.status_code == 410
        assert "used before" in response.content.decode()
    assert signed_in_as(second) is None


def test_a_link_sets_a_new_password_and_signs_other_sessions_out(client):
    user = make_user("ada", password=True)
    elsewhere = Client()
    elsewhere.post(reverse("sign-in"), {"username": "ada", "password": PASSWORD})
    address = reverse("sign-in-link", args=[issue_sign_in_link(user=user)[1]])
    page = client.post(address, {"password": NEW_PASSWORD}, follow=True).content.decode()
    assert "The password is set" in page
    assert signed_in_as(client) == user
    assert elsewhere.get(reverse("account")).status_code == 302
    given = {"username": "ada", "password": NEW_PASSWORD}
    assert Client().post(reverse("sign-in"), given).status_code == 302


def test_a_weak_password_is_said_so_and_the_link_can_be_sent_again(client):
    user = make_user("ada")
    address = reverse("sign-in-link", args=[issue_sign_in_link(user=user)[1]])
    response = client.post(address, {"password": "12345678"})
    assert response.status_code == 400
    assert "entirely numeric" in response.content.decode()
    assert signed_in_as(client) is None
    assert client.post(address, {"password": NEW_PASSWORD}).status_code == 302


def test_the_sign_in_page_says_whom_to_ask(client):
    page = client.get(reverse("sign-in")).content.decode()
    assert "A manager of your project, or whoever runs this installation" in page


def test_a_link_made_on_the_people_page_works_and_is_shown_once(boss, client, project):
    labeler = make_labeler(project)
    answer = boss.post(address_for(labeler, project))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    link = link_in(answer.content.decode())
    assert link not in boss.get(reverse("project-people", args=[project.slug])).content.decode()
    assert client.get(link).status_code == 200
    assert client.post(link, {"password": NEW_PASSWORD}).status_code == 302
    assert signed_in_as(client) == labeler
    labeler.refresh_from_db()
    assert labeler.check_password(NEW_PASSWORD)


def test_a_second_link_replaces_the_first(boss, client, project):
    labeler = make_labeler(project)
    first, second = (
        link_in(boss.post(address_for(labeler, project)).content.decode()) for _ in range(2)
    )
    assert client.get(first).status_code == 410
    assert client.get(second).status_code == 200


def test_the_page_offers_a_link_for_each_active_member_but_oneself(boss, project, manager):
    labeler, gone = make_labeler(project), make_labeler(project)
    deactivate_user(user=gone)
    page = boss.get(reverse("project-people", args=[project.slug])).content.decode()
    assert address_for(labeler, project) in page
    assert address_for(gone, project) not in page
    assert address_for(manager, project) not in page


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        ("superuser", "outside the projects that you manage"),
        ("manager elsewhere", "outside the projects that you manage"),
        ("deactivated", "is deactivated"),
        ("oneself", "Your own password"),
    ],
)
def test_a_refused_link_says_why(boss, project, manager, who, sentence):
    user = manager if who == "oneself" else make_labeler(project)
    if who == "superuser":
        User.objects.filter(pk=user.pk).update(is_superuser=True)
    elif who == "manager elsewhere":
        set_role(project=make_project(), user=user, role=Role.MANAGER)
    elif who == "deactivated":
        deactivate_user(user=user)
    page = boss.post(address_for(user, project), follow=True).content.decode()
    assert sentence in page
    assert "new-link" not in page
    assert not SignInLink.objects.exists()


def test_a_link_is_made_by_post_alone(boss, project):
    assert boss.get(address_for(make_labeler(project), project)).status_code == 405
