"""Links sign in once, may be made by whom the person's rights don't exceed, and are replaced."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.models import Project, Role, SignInLink, User
from labeling.people import PasswordRefused, deactivate_user, remove_member, set_role
from labeling.projects import archive_project
from labeling.sign_in_links import (
    MoreRights,
    OwnSignInLink,
    PersonDeactivated,
    SignInLinkInvalid,
    find_sign_in_link,
    issue_sign_in_link,
    use_sign_in_link,
)
from tests.factories import PASSWORD, make_labeler, make_manager, make_project, make_user

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "purple otters dance"


@pytest.fixture
def manager() -> User:
    return make_manager(make_project(name="Rain"))


@pytest.fixture
def project(manager: User) -> Project:
    return manager.memberships.get().project


@pytest.fixture
def labeler(project: Project) -> User:
    return make_labeler(project)


def test_a_link_signs_in_once():
    user = make_user()
    _link, secret = issue_sign_in_link(user=user)
    assert find_sign_in_link(secret=secret).user == user
    assert use_sign_in_link(secret=secret) == user
    for again in (find_sign_in_link, use_sign_in_link):
        with pytest.raises(SignInLinkInvalid) as refused:
            again(secret=secret)
        assert refused.value.status == 410


@pytest.mark.parametrize("secret", ["nonsense", ""])
def test_an_unknown_secret_signs_nobody_in(secret):
    issue_sign_in_link(user=make_user())
    with pytest.raises(SignInLinkInvalid):
        use_sign_in_link(secret=secret)


def test_a_link_works_for_an_hour_unless_asked_otherwise():
    now = timezone.now()
    link, secret = issue_sign_in_link(user=make_user())
    other, _secret = issue_sign_in_link(user=make_user(), minutes=5)
    assert timedelta(minutes=59) < link.expires_at - now < timedelta(minutes=61)
    assert timedelta(minutes=4) < other.expires_at - now < timedelta(minutes=6)
    SignInLink.objects.filter(pk=link.pk).update(expires_at=now)
    with pytest.raises(SignInLinkInvalid):
        use_sign_in_link(secret=secret)


def test_the_secret_is_not_stored():
    _link, secret = issue_sign_in_link(user=make_user())
    assert secret not in str(list(SignInLink.objects.values_list()))


def test_a_new_link_replaces_the_unused_ones_of_that_person_alone():
    user, other = make_user(), make_user()
    _link, first = issue_sign_in_link(user=user)
    _link, others = issue_sign_in_link(user=other)
    _link, second = issue_sign_in_link(user=user)
    with pytest.raises(SignInLinkInvalid):
        use_sign_in_link(secret=first)
    assert use_sign_in_link(secret=second) == user
    assert use_sign_in_link(secret=others) == other


def test_a_link_sets_a_new_password(labeler):
    labeler.set_password(PASSWORD)
    labeler.save()
    _link, secret = issue_sign_in_link(user=labeler)
    use_sign_in_link(secret=secret, password=NEW_PASSWORD)
    labeler.refresh_from_db()
    assert labeler.check_password(NEW_PASSWORD)


def test_a_link_leaves_the_password_where_none_is_given():
    user = make_user(password=True)
    _link, secret = issue_sign_in_link(user=user)
    use_sign_in_link(secret=secret)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_a_weak_password_is_refused_and_leaves_the_link_usable(labeler):
    _link, secret = issue_sign_in_link(user=labeler)
    with pytest.raises(PasswordRefused) as refused:
        use_sign_in_link(secret=secret, password="123")
    assert "too short" in refused.value.message
    assert use_sign_in_link(secret=secret) == labeler


def test_nobody_gets_a_link_for_somebody_deactivated(labeler, manager):
    _link, secret = issue_sign_in_link(user=labeler)
    deactivate_user(user=labeler)
    with pytest.raises(SignInLinkInvalid):
        use_sign_in_link(secret=secret)
    for by in (None, manager, make_user(superuser=True)):
        with pytest.raises(PersonDeactivated):
            issue_sign_in_link(user=labeler, by=by)


@pytest.mark.parametrize("role", Role)
def test_a_manager_makes_links_for_everybody_who_is_in_that_project_alone(project, manager, role):
    member = make_user()
    set_role(project=project, user=member, role=role)
    link, secret = issue_sign_in_link(user=member, by=manager)
    assert link.created_by == manager
    assert use_sign_in_link(secret=secret) == member


def test_a_manager_of_both_projects_of_a_person_makes_links(labeler, manager):
    other = make_project(by=manager)
    set_role(project=other, user=labeler, role=Role.MANAGER)
    _link, secret = issue_sign_in_link(user=labeler, by=manager)
    assert use_sign_in_link(secret=secret) == labeler


@pytest.mark.parametrize("role", Role)
def test_a_manager_makes_no_link_for_somebody_of_another_project(labeler, manager, role):
    other = make_project(by=make_user())
    set_role(project=other, user=labeler, role=role)
    with pytest.raises(MoreRights) as refused:
        issue_sign_in_link(user=labeler, by=manager)
    assert "outside the projects that you manage" in refused.value.message
    archive_project(project=other)
    with pytest.raises(MoreRights):
        issue_sign_in_link(user=labeler, by=manager)
    assert not SignInLink.objects.exists()


def test_being_in_the_other_project_is_not_managing_it(labeler, manager):
    other = make_project(by=make_user())
    set_role(project=other, user=labeler, role=Role.LABELER)
    set_role(project=other, user=manager, role=Role.REVIEWER)
    with pytest.raises(MoreRights):
        issue_sign_in_link(user=labeler, by=manager)


def test_a_manager_makes_no_link_for_a_superuser(project, manager):
    root = make_user(superuser=True)
    set_role(project=project, user=root, role=Role.LABELER)
    with pytest.raises(MoreRights):
        issue_sign_in_link(user=root, by=manager)


def test_a_manager_makes_no_link_for_a_stranger(manager):
    with pytest.raises(MoreRights):
        issue_sign_in_link(user=make_user(), by=manager)


@pytest.mark.parametrize("role", [role for role in Role if role != Role.MANAGER])
def test_who_is_no_manager_makes_no_link(project, labeler, role):
    member = make_user()
    set_role(project=project, user=member, role=role)
    with pytest.raises(MoreRights):
        issue_sign_in_link(user=labeler, by=member)


def test_a_superuser_makes_links_for_everybody_else(labeler):
    root, other_root = make_user(superuser=True), make_user(superuser=True)
    set_role(project=make_project(by=make_user()), user=labeler, role=Role.MANAGER)
    for user in (labeler, other_root):
        _link, secret = issue_sign_in_link(user=user, by=root)
        assert use_sign_in_link(secret=secret) == user


def test_nobody_makes_a_link_for_oneself(manager):
    for user in (manager, make_user(superuser=True)):
        with pytest.raises(OwnSignInLink):
            issue_sign_in_link(user=user, by=user)


@pytest.mark.parametrize(
    "change", ["joined another", "became superuser", "left", "demoted", "maker deactivated"]
)
def test_a_link_stops_working_when_its_maker_may_not_make_it_any_more(
    project, labeler, manager, change
):
    make_manager(project)
    _link, secret = issue_sign_in_link(user=labeler, by=manager)
    if change == "joined another":
        set_role(project=make_project(by=make_user()), user=labeler, role=Role.LABELER)
    elif change == "became superuser":
        User.objects.filter(pk=labeler.pk).update(is_superuser=True)
    elif change == "left":
        remove_member(project=project, user=labeler)
    elif change == "demoted":
        set_role(project=project, user=manager, role=Role.LABELER)
    else:
        deactivate_user(user=manager)
    with pytest.raises(SignInLinkInvalid):
        use_sign_in_link(secret=secret, password=NEW_PASSWORD)
    labeler.refresh_from_db()
    assert not labeler.has_usable_password()


def test_a_refused_link_leaves_the_earlier_one(labeler, manager):
    _link, secret = issue_sign_in_link(user=labeler)
    set_role(project=make_project(by=make_user()), user=labeler, role=Role.LABELER)
    with pytest.raises(MoreRights):
        issue_sign_in_link(user=labeler, by=manager)
    assert use_sign_in_link(secret=secret) == labeler
