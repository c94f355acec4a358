"""At most so many: of a labeler, of a category, together; a day, a week, ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from labeling import quotas
from labeling.leasing import lease_ahead, lease_next
from labeling.models import Project, Quota, User
from labeling.quotas import QuotaRefused, add_quota, allowance, remove_quota
from tests.factories import make_labeler, make_manager, make_prompt, make_ranking, make_slate
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db

At = Callable[[datetime], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """at(moment): it is that time for whoever asks Django."""

    def set_clock(moment: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: moment)

    return set_clock


def slates(project: Project, count: int, category: str = "") -> None:
    for _ in range(count):
        make_slate(project, prompt=make_prompt(project, category=category))


def ranked(project: Project, labeler: User) -> int:
    """The labeler ranks until nothing more is given out; how many that were."""
    count = 0
    while assignment := lease_next(project=project, labeler=labeler):
        make_ranking(project, labeler, assignment=assignment)
        count += 1
    return count


def test_without_a_quota_one_query_is_asked(project, ann, django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        assert allowance(project=project, labeler=ann).used_up == ()


def test_each_labeler_gets_as_many(project, ann, ben) -> None:
    add_quota(project=project, most=2)
    slates(project, 6)
    assert (ranked(project, ann), ranked(project, ben)) == (2, 2)


def test_a_quota_of_one_labeler_binds_nobody_else(project, ann, ben) -> None:
    add_quota(project=project, most=1, labeler=ann)
    slates(project, 4)
    assert (ranked(project, ann), ranked(project, ben)) == (1, 3)


def test_all_together_get_as_many_where_they_share_it(project, ann, ben) -> None:
    add_quota(project=project, most=3, shared=True)
    slates(project, 6)
    make_ranking(project, ann)
    make_ranking(project, ann)
    held = lease_next(project=project, labeler=ben)
    assert held
    assert lease_next(project=project, labeler=ann) is None
    make_ranking(project, ben, assignment=held)
    assert ranked(project, ben) == 0


def test_a_category_that_is_done_is_left_out_and_others_go_on(project, ann) -> None:
    add_quota(project=project, most=1, category="chat")
    slates(project, 3, "chat")
    slates(project, 2, "open QA")
    assert ranked(project, ann) == 3
    left = allowance(project=project, labeler=ann)
    assert (left.nothing, left.closed) == (False, ["chat"])


def test_a_quota_of_a_labeler_in_a_category(project, ann, ben) -> None:
    add_quota(project=project, most=1, category="chat", labeler=ann)
    slates(project, 5, "chat")
    assert (ranked(project, ann), ranked(project, ben)) == (1, 4)


def test_what_is_held_is_shown_and_counts(project, ann) -> None:
    slates(project, 3)
    held = lease_next(project=project, labeler=ann)
    add_quota(project=project, most=1)
    assert lease_next(project=project, labeler=ann) == held
    assert lease_ahead(project=project, labeler=ann) is None


def test_one_ahead_is_given_as_long_as_there_is_room_for_it(project, ann) -> None:
    add_quota(project=project, most=2)
    slates(project, 4)
    assert lease_next(project=project, labeler=ann)
    assert lease_ahead(project=project, labeler=ann)
    assert ranked(project, ann) == 2


def test_a_day_ends_at_midnight_of_the_installation(project, ann, settings, at) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"  # nine hours before UTC
    add_quota(project=project, most=1)
    slates(project, 3)
    at(datetime(2026, 11, 25, 14, 50, tzinfo=UTC))  # ten to midnight there
    assert ranked(project, ann) == 1
    at(datetime(2026, 11, 25, 14, 59, tzinfo=UTC))
    left = allowance(project=project, labeler=ann)
    assert [one.anew and one.anew.isoformat() for one in left.used_up] == ["2026-11-26"]
    at(datetime(2026, 11, 25, 15, 0, tzinfo=UTC))
    assert ranked(project, ann) == 1


def test_a_week_begins_on_monday(project, ann, at) -> None:
    add_quota(project=project, most=1, period=Quota.Period.WEEK)
    slates(project, 3)
    at(datetime(2026, 11, 29, 23, 0, tzinfo=UTC))  # a Sunday
    assert ranked(project, ann) == 1
    at(datetime(2026, 11, 30, 0, 0, tzinfo=UTC))
    assert ranked(project, ann) == 1
    assert ranked(project, ann) == 0


def test_ever_never_starts_anew(project, ann, at) -> None:
    add_quota(project=project, most=1, period=Quota.Period.EVER)
    slates(project, 3)
    assert ranked(project, ann) == 1
    at(datetime(2036, 1, 1, tzinfo=UTC))
    assert ranked(project, ann) == 0
    assert allowance(project=project, labeler=ann).used_up[0].anew is None


def test_a_quota_of_the_same_kind_is_replaced_and_a_removed_one_is_gone(project, ann) -> None:
    first = add_quota(project=project, most=1)
    assert add_quota(project=project, most=5) == first
    assert Quota.objects.get().most == 5
    remove_quota(quota=first)
    remove_quota(quota=first)
    assert not Quota.objects.exists()


def test_it_refuses_a_shared_quota_of_one_labeler(project, ann) -> None:
    with pytest.raises(QuotaRefused):
        add_quota(project=project, most=1, labeler=ann, shared=True)
    with pytest.raises(QuotaRefused):
        add_quota(project=project, most=-1)


class TestPages:
    def test_the_ranking_page_says_what_is_done_and_when_there_is_more(self, project, ann) -> None:
        add_quota(project=project, most=1)
        slates(project, 2)
        ranked(project, ann)
        page = as_user(ann).get(reverse("rank", args=[project.slug])).content.decode()
        assert "You have done the 1 of today; more tomorrow." in page

    def test_it_names_a_category_that_is_done(self, project, ann) -> None:
        add_quota(project=project, most=1, category="<b>chat", period="week", shared=True)
        slates(project, 2, "<b>chat")
        ranked(project, ann)
        page = as_user(ann).get(reverse("rank", args=[project.slug])).content.decode()
        assert "“&lt;b&gt;chat”: All together have done the 1 of this week; more on Monday." in page

    def test_a_manager_adds_and_removes_one(self, project, ann) -> None:
        client, address = as_user(make_manager(project)), reverse("quota-list", args=[project.slug])
        sent = {"most": "40", "period": "day", "whose": str(ann.pk), "category": "chat"}
        assert client.post(address, sent).status_code == 302
        quota = Quota.objects.get()
        assert (quota.labeler, quota.most, quota.category, quota.shared) == (ann, 40, "chat", False)
        assert str(ann) in client.get(address).content.decode()
        client.post(reverse("quota-remove", args=[project.slug, quota.pk]))
        assert not Quota.objects.exists()

    @pytest.mark.parametrize(
        ("field", "value"), [("most", ""), ("most", "-1"), ("whose", "99999"), ("period", "year")]
    )
    def test_what_is_wrong_comes_back_with_what_was_entered(self, project, field, value) -> None:
        client = as_user(make_manager(project))
        sent = {"most": "40", "period": "day", "whose": "each", "category": "chat", field: value}
        answer = client.post(reverse("quota-list", args=[project.slug]), sent)
        assert answer.status_code == 400
        assert 'value="chat"' in answer.content.decode()
        assert not Quota.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_quota_that_all_share_is_not_passed_by_those_who_lease_at_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six ask at once for the last two; each thinks for a while about what is left."""
    counted = quotas._work

    def slowly(*args: Any, **kwargs: Any) -> Any:
        found = counted(*args, **kwargs)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(quotas, "_work", slowly)
    labelers = [make_labeler(project) for _ in range(6)]
    slates(project, 6)
    add_quota(project=project, most=2, shared=True)
    start, given = threading.Barrier(6), []

    def lease(labeler: User) -> None:
        start.wait()
        try:
            given.append(lease_next(project=project, labeler=labeler))
        finally:
            connection.close()

    threads = [threading.Thread(target=lease, args=[labeler]) for labeler in labelers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 6
    assert sum(slot is not None for slot in given) == 2
