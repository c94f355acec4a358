"""Links work once, secrets are stored as hashes, and a project keeps a manager."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.models import Invitation, Membership, Role, Token, User
from labeling.people import (
    InvitationInvalid,
    LastManager,
    PasswordRefused,
    ScopesRefused,
    UsernameRefused,
    accept_invitation,
    authenticate_token,
    create_user,
    deactivate_user,
    find_invitation,
    invite,
    issue_token,
    join_by_invitation,
    reissue_invitation,
    remove_member,
    revoke_invitation,
    revoke_token,
    set_role,
)
from tests.factories import PASSWORD, make_labeler, make_manager, make_project, make_user

pytestmark = pytest.mark.django_db


def accept(secret: str, username: str = "ann") -> User:
    return accept_invitation(secret=secret, username=username, name="Ann", password=PASSWORD)


def test_an_invitation_brings_a_labeler_in_once():
    project = make_project()
    invitation, secret = invite(project=project, note="Ann", by=make_user())
    assert find_invitation(secret=secret) == invitation
    user = accept(secret)
    assert user.check_password(PASSWORD)
    assert Membership.objects.get(user=user).role == Role.LABELER
    invitation.refresh_from_db()
    assert (invitation.accepted_by, invitation.accepted_at is not None) == (user, True)
    for again in (lambda: accept(secret, "ben"), lambda: find_invitation(secret=secret)):
        with pytest.raises(InvitationInvalid):
            again()


def test_the_secret_is_not_stored():
    _invitation, secret = invite(project=make_project(), by=make_user())
    token, key = issue_token(user=make_user(), name="x", scopes=["read"])
    stored = str([*Invitation.objects.values_list(), *Token.objects.values_list()])
    assert secret not in stored
    assert key not in stored
    assert token.prefix == key[:12]


def test_an_expired_or_revoked_invitation_does_not_work():
    project, by = make_project(), make_user()
    old, old_secret = invite(project=project, by=by)
    Invitation.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    gone, gone_secret = invite(project=project, by=by)
    revoke_invitation(invitation=gone)
    for secret in (old_secret, gone_secret, "nonsense", ""):
        with pytest.raises(InvitationInvalid) as refused:
            accept(secret)
        assert refused.value.status == 410
    assert not User.objects.filter(username="ann").exists()


def test_a_reissued_invitation_replaces_the_old_link():
    project, by = make_project(), make_user()
    old, old_secret = invite(project=project, role=Role.RESEARCHER, note="Ann", by=by)
    fresh, secret = reissue_invitation(invitation=old, by=by)
    assert (fresh.role, fresh.note) == (Role.RESEARCHER, "Ann")
    with pytest.raises(InvitationInvalid):
        find_invitation(secret=old_secret)
    assert accept(secret).memberships.get().role == Role.RESEARCHER


def test_a_refused_name_or_password_leaves_the_invitation_usable():
    _invitation, secret = invite(project=make_project(), by=make_user("Taken"))
    with pytest.raises(UsernameRefused):
        accept(secret, "taken")
    with pytest.raises(UsernameRefused):
        accept(secret, "no spaces allowed")
    with pytest.raises(PasswordRefused) as refused:
        accept_invitation(secret=secret, username="ann", password="123")
    assert "too short" in refused.value.message
    assert accept(secret).username == "ann"


def test_somebody_with_an_account_joins_by_an_invitation():
    project, user = make_project(), make_user()
    _invitation, secret = invite(project=project, role=Role.REVIEWER, by=make_user())
    assert join_by_invitation(secret=secret, user=user).role == Role.REVIEWER
    with pytest.raises(InvitationInvalid):
        join_by_invitation(secret=secret, user=make_user())


@pytest.mark.parametrize("how", ["removed", "demoted", "deactivated"])
def test_links_of_a_former_manager_stop_working(how):
    project = make_project(by=make_user())
    former = make_manager(project)
    _row, secret = invite(project=project, role=Role.MANAGER, by=former)
    _row, elsewhere = invite(project=make_project(), by=former)
    if how == "removed":
        remove_member(project=project, user=former)
    elif how == "demoted":
        set_role(project=project, user=former, role=Role.LABELER)
    else:
        deactivate_user(user=former)
    with pytest.raises(InvitationInvalid):
        join_by_invitation(secret=secret, user=former)
    if how != "deactivated":
        assert find_invitation(secret=elsewhere)


@pytest.mark.parametrize(
    ("has", "offered", "then"),
    [
        (Role.MANAGER, Role.LABELER, Role.MANAGER),
        (Role.REVIEWER, Role.LABELER, Role.REVIEWER),
        (Role.RESEARCHER, Role.LABELER, Role.RESEARCHER),
        (Role.RESEARCHER, Role.REVIEWER, Role.RESEARCHER),
        (Role.LABELER, Role.RESEARCHER, Role.RESEARCHER),
        (Role.REVIEWER, Role.MANAGER, Role.MANAGER),
    ],
)
def test_an_invitation_takes_no_rights_away(has, offered, then):
    manager, member = make_user(), make_user()
    project = make_project(by=manager)
    set_role(project=project, user=member, role=has)
    _invitation, secret = invite(project=project, role=offered, by=manager)
    assert join_by_invitation(secret=secret, user=member).role == then


def test_a_manager_who_cannot_sign_in_does_not_count_as_one():
    manager = make_user()
    project = make_project(by=manager)
    deactivate_user(user=make_manager(project))
    with pytest.raises(LastManager):
        remove_member(project=project, user=manager)


def test_a_token_is_known_by_its_secret():
    user, project = make_user(), make_project()
    token, secret = issue_token(user=user, name="script", scopes=["write", "read"], project=project)
    found = authenticate_token(secret=secret)
    assert found == token
    assert (found.scopes, found.project, found.user) == ("read write", project, user)
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert authenticate_token(secret=secret + "x") is None


def test_a_token_ends_by_revocation_expiry_or_deactivation():
    user, other = make_user(), make_user()
    revoked, first = issue_token(user=user, name="a", scopes=["read"])
    revoke_token(token=revoked)
    past = timezone.now() - timedelta(seconds=1)
    _expired, second = issue_token(user=user, name="b", scopes=["read"], expires_at=past)
    _active, third = issue_token(user=other, name="c", scopes=["read"])
    deactivate_user(user=other)
    assert [authenticate_token(secret=secret) for secret in (first, second, third)] == [None] * 3


def test_using_a_token_writes_at_most_once_a_minute(django_assert_num_queries):
    _token, secret = issue_token(user=make_user(), name="a", scopes=["read"])
    authenticate_token(secret=secret)
    with django_assert_num_queries(1):
        authenticate_token(secret=secret)


@pytest.mark.parametrize("scopes", [[], ["fly"], ["read", "fly"]])
def test_a_token_needs_scopes_that_exist(scopes):
    with pytest.raises(ScopesRefused) as refused:
        issue_token(user=make_user(), name="x", scopes=scopes)
    assert "read, write, train" in refused.value.message


def test_the_last_manager_stays():
    manager = make_user()
    project = make_project(by=manager)
    with pytest.raises(LastManager):
        remove_member(project=project, user=manager)
    with pytest.raises(LastManager):
        set_role(project=project, user=manager, role=Role.LABELER)
    make_manager(project)
    set_role(project=project, user=manager, role=Role.LABELER)
    remove_member(project=project, user=manager)
    assert not Membership.objects.filter(user=manager).exists()


def test_a_labeler_can_be_removed():
    project = make_project(by=make_user())
    labeler = make_labeler(project)
    remove_member(project=project, user=labeler)
    assert not labeler.memberships.exists()


def test_people_without_a_password_cannot_use_one():
    assert not create_user(username="ann").has_usable_password()


def test_pseudonyms_are_random_and_tell_nothing():
    one, two = make_user("ann"), make_user("ben")
    assert one.pseudonym != two.pseudonym
    assert "ann" not in one.pseudonym
