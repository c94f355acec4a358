"""Coming in: by password, by an invitation."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Invitation, Membership, User
from labeling.people import invite
from tests.factories import PASSWORD, make_labeler, make_user
from tests.labeling.views.clients import as_user, signed_in_as

pytestmark = pytest.mark.django_db
GOOD = {"name": "Kim Lee", "username": "kim", "password": "purple otters dance"}


def test_a_password_lets_in_and_leads_back_to_where_one_was(client):
    user = make_user("ada", password=True)
    page = client.get("/account/", follow=True)
    assert "Sign in to go on where you were" in page.content.decode()
    given = {"username": "ada", "password": PASSWORD, "next": "/account/"}
    response = client.post(reverse("sign-in"), given)
    assert response["Location"] == "/account/"
    assert signed_in_as(client) == user


def test_a_wrong_password_says_so_without_telling_which_was_wrong(client):
    make_user("ada", password=True)
    for username in ("ada", "nobody"):
        response = client.post(reverse("sign-in"), {"username": username, "password": "x"})
        assert "User name and password don&#x27;t match" in response.content.decode() or (
            "User name and password don't match" in response.content.decode()
        )


def test_sign_in_leads_to_no_other_site(client):
    make_user("ada", password=True)
    given = {"username": "ada", "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post(reverse("sign-in"), given)["Location"] == "/"


def test_an_invitation_lets_a_new_person_in_once(client, project, manager):
    _row, secret = invite(project=project, by=manager)
    address = reverse("invitation", args=[secret])
    assert "Join Rain" in Client().get(address).content.decode()
    assert client.post(address, GOOD)["Location"] == reverse("project", args=[project.slug])
    user = signed_in_as(client)
    assert user is not None
    assert user.name == "Kim Lee"
    assert Membership.objects.get(user=user).role == "labeler"
    again = Client().post(address, GOOD | {"username": "kim2"})
    assert again.status_code == 410
    assert not User.objects.filter(username="kim2").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"password": "12345678"}, "entirely numeric"),
        ({"username": "taken"}, "somebody of that user name already"),
        ({"username": ""}, "required"),
    ],
)
def test_an_invitation_with_a_mistake_can_be_sent_again(client, project, manager, change, sentence):
    make_user("taken")
    _row, secret = invite(project=project, by=manager)
    address = reverse("invitation", args=[secret])
    response = client.post(address, GOOD | change)
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert client.post(address, GOOD).status_code == 302


def test_somebody_signed_in_joins_with_one_click(project, manager):
    user = make_user("ada")
    _row, secret = invite(project=project, role="researcher", by=manager)
    client = as_user(user)
    assert "Join as ada" in client.get(reverse("invitation", args=[secret])).content.decode()
    client.post(reverse("invitation", args=[secret]))
    assert Membership.objects.get(user=user, project=project).role == "researcher"


def test_a_link_made_on_the_page_works_and_is_shown_once(client, project, manager):
    boss = as_user(manager)
    page = boss.post(
        reverse("project-people", args=[project.slug]), {"role": "labeler", "note": "Kim"}
    )
    address = re.search(r'value="http://testserver(/invitations/[^"]+)"', page.content.decode())
    assert address
    assert address[1] not in boss.get(page.request["PATH_INFO"]).content.decode()
    assert client.get(address[1]).status_code == 200
    row = Invitation.objects.get()
    fresh = boss.post(reverse("invitation-reissue", args=[project.slug, row.pk]))
    assert client.get(address[1]).status_code == 410
    other = re.search(r'value="http://testserver(/invitations/[^"]+)"', fresh.content.decode())
    assert other
    assert client.get(other[1]).status_code == 200
    boss.post(reverse("invitation-revoke", args=[project.slug, Invitation.objects.last().pk]))
    assert client.get(other[1]).status_code == 410


def test_a_member_gets_another_role_and_is_taken_out(project, manager):
    labeler = make_labeler(project)
    boss = as_user(manager)
    address = reverse("member", args=[project.slug, labeler.memberships.get().pk])
    boss.post(address, {"role": "reviewer"})
    assert labeler.memberships.get().role == "reviewer"
    boss.post(address, {"remove": "1"})
    assert not labeler.memberships.exists()


def test_the_last_manager_stays(project, manager):
    boss = as_user(manager)
    address = reverse("member", args=[project.slug, manager.memberships.get().pk])
    page = boss.post(address, {"role": "labeler"}, follow=True)
    assert "A project needs a manager" in page.content.decode()
    assert manager.memberships.get().role == "manager"


def test_a_person_without_a_password_sets_one(client):
    user = make_user("ada")
    inside = as_user(user)
    fields = {"form": "password", "new_password1": PASSWORD, "new_password2": PASSWORD}
    assert inside.post(reverse("account"), fields).status_code == 302
    assert inside.get(reverse("account")).status_code == 200
    given = {"username": "ada", "password": PASSWORD}
    assert client.post(reverse("sign-in"), given).status_code == 302


def test_a_token_is_shown_once_and_can_be_revoked():
    user = make_user()
    inside = as_user(user)
    fields = {"name": "export", "scopes": ["read"], "project": "", "days": "30"}
    page = inside.post(reverse("tokens"), fields).content.decode()
    secret = re.search(r'value="(rl_[^"]+)"', page)
    assert secret
    token = user.tokens.get()
    assert token.expires_at is not None
    listed = inside.get(reverse("tokens")).content.decode()
    assert token.prefix in listed
    assert secret[1] not in listed
    inside.post(reverse("token-revoke", args=[token.pk]))
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_nobody_revokes_somebody_elses_token():
    from labeling.people import issue_token

    token, _secret = issue_token(user=make_user(), name="t", scopes=["read"])
    response = as_user(make_user()).post(reverse("token-revoke", args=[token.pk]))
    assert response.status_code == 404
