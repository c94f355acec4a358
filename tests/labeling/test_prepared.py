"""A query that is put together once answers as one that is put together for each asking."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import DateField, DateTimeField, F, Q, UUIDField
from django.utils import timezone

from labeling.models import Assignment, Slate, User, WorkDay
from labeling.prepared import Given, Prepared, PreparedUpdate
from labeling.work import count_work
from tests.factories import make_labeler, make_project, make_slate, make_user

pytestmark = pytest.mark.django_db


def test_it_answers_with_the_values_of_each_asking():
    ann, ben = make_user("ann"), make_user("ben")
    named = Prepared(lambda: User.objects.filter(username=Given("name")))
    assert named.all(name="ann") == [ann]
    assert named.all(name="ben") == [ben]
    assert named.first(name="nobody") is None


def test_it_is_put_together_once(django_assert_num_queries):
    made: list[int] = []

    def named():
        made.append(1)
        return User.objects.filter(username=Given("name"))

    asked = Prepared(named)
    with django_assert_num_queries(3):
        for name in ("ann", "ben", "ann"):
            asked.all(name=name)
    assert len(made) == 1


def test_rows_bring_what_was_selected_with_them(django_assert_num_queries):
    slate = make_slate(make_project())
    asked = Prepared(lambda: Slate.objects.filter(pk=Given("slate")).select_related("prompt"))
    with django_assert_num_queries(1):
        (found,) = asked.all(slate=slate.pk)
        assert found.prompt.text == slate.prompt.text
    assert found.created_at == slate.created_at


def test_values_come_as_values():
    ann = make_user("ann")
    asked = Prepared(
        lambda: User.objects.filter(pk=Given("pk")).values_list("username", "date_joined")
    )
    assert asked.all(pk=ann.pk) == [("ann", ann.date_joined)]


def test_moments_days_and_uuids_are_found():
    project = make_project()
    ann = make_labeler(project)
    slot = make_slate(project).assignments.get()
    token, now = uuid.uuid4(), timezone.now()
    Assignment.objects.filter(pk=slot.pk).update(lease_token=token, completed_at=now)
    by_token = Prepared(lambda: Assignment.objects.filter(lease_token=Given("token", UUIDField())))
    assert by_token.all(token=token) == [slot]
    assert by_token.all(token=uuid.uuid4()) == []
    since = Prepared(
        lambda: Assignment.objects.filter(completed_at__gt=Given("since", DateTimeField()))
    )
    assert since.all(since=now - timedelta(microseconds=1)) == [slot]
    assert since.all(since=now) == []
    count_work(project=project, labeler=ann, rankings=1, day=now.date())
    on_day = Prepared(lambda: WorkDay.objects.filter(day=Given("day", DateField())))
    assert len(on_day.all(day=now.date())) == 1
    assert on_day.all(day=now.date() + timedelta(days=1)) == []


def test_none_equals_nothing():
    make_slate(make_project())
    asked = Prepared(lambda: Assignment.objects.filter(lease_token=Given("token", UUIDField())))
    assert asked.all(token=None) == []


def test_a_value_that_is_missing_is_an_error():
    asked = Prepared(lambda: User.objects.filter(username=Given("name")))
    with pytest.raises(KeyError):
        asked.all(nane="ann")


def test_hostile_values_stay_values():
    ann = make_user("ann")
    asked = Prepared(lambda: User.objects.filter(username=Given("name")))
    assert asked.all(name="' OR 1=1 --") == []
    assert asked.all(name="%s %(name)s") == []
    assert asked.all(name="ann") == [ann]


def test_an_update_answers_with_the_rows_that_it_changed():
    project = make_project()
    ann = make_labeler(project)
    slots = [make_slate(project).assignments.get() for _ in range(3)]
    taking = PreparedUpdate(
        lambda: Assignment.objects.filter(pk__gt=Given("after"), labeler=None),
        lambda: {
            "labeler": Given("labeler"),
            "priority": F("priority") + Given("more"),
            "state": Assignment.State.WITHDRAWN,
        },
    )
    changed = taking.run(after=slots[0].pk, labeler=ann.pk, more=2)
    assert sorted(one.pk for one in changed) == [slots[1].pk, slots[2].pk]
    for one in changed:
        stored = Assignment.objects.get(pk=one.pk)
        assert (one.labeler, one.priority, one.order, one.opened_at) == (
            ann,
            2,
            stored.order,
            stored.opened_at,
        )
    assert taking.run(after=slots[0].pk, labeler=ann.pk, more=2) == []
    assert Assignment.objects.get(pk=slots[0].pk).labeler is None


def test_an_update_that_breaks_a_rule_breaks_its_transaction():
    project = make_project()
    ann = make_labeler(project)
    slots = [make_slate(project).assignments.get() for _ in range(2)]
    taking = PreparedUpdate(
        lambda: Assignment.objects.filter(Q(pk=Given("one")) | Q(pk=Given("other"))),
        lambda: {"labeler": Given("labeler")},
    )
    with pytest.raises(Exception, match=r"(?i)unique"), transaction.atomic():
        taking.run(one=slots[0].pk, other=slots[1].pk, labeler=ann.pk)
    assert not Assignment.objects.filter(labeler=ann).exists()


@pytest.mark.django_db(transaction=True)
def test_threads_that_ask_at_once_get_their_own_answers():
    people = {f"user{number}": make_user(f"user{number}").pk for number in range(4)}
    asked = Prepared(lambda: User.objects.filter(username=Given("name")))

    def ask(name: str) -> bool:
        try:
            return all(asked.all(name=name)[0].pk == people[name] for _ in range(25))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, people))
