"""`manage.py sign_in_link` lets whoever runs the installation let anybody in."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from config.address import public_address
from labeling.models import SignInLink
from labeling.people import deactivate_user
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_it_prints_a_link_that_signs_the_person_in(client):
    owner = make_user("owner", superuser=True)
    printed = StringIO()
    call_command("sign_in_link", "Owner", stdout=printed)
    address = printed.getvalue().strip()
    assert address.startswith(f"{public_address()}/sign-in/")
    assert client.post(address.removeprefix(public_address())).status_code == 302
    assert client.session["_auth_user_id"] == str(owner.pk)


def test_its_link_works_for_a_day():
    make_user("ada")
    call_command("sign_in_link", "ada", stdout=StringIO())
    left = SignInLink.objects.get().expires_at - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(hours=24)


def test_it_refuses_somebody_unknown_or_deactivated():
    with pytest.raises(CommandError, match="nobody called 'nobody'"):
        call_command("sign_in_link", "nobody")
    deactivate_user(user=make_user("ada"))
    with pytest.raises(CommandError, match="ada is deactivated"):
        call_command("sign_in_link", "ada")
