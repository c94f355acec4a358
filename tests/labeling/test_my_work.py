"""A labeler's own page: how much, and how often others agree."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labeling.models import QualityFigure, QualityReport
from labeling.my_work import agreement_with_others, done_by
from labeling.work import count_work
from tests.factories import make_labeler, make_project, make_ranking, make_slate
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db

ONE_WAY = [1, 2, 3, 4]
NEARLY = [2, 1, 3, 4]


def share(count: int, ranks: list[int], others: int = 1):
    """A project in which a labeler ranked ONE_WAY what others ranked as `ranks`."""
    project = make_project(overlap=1 + others)
    me, *they = [make_labeler(project) for _ in range(1 + others)]
    for _ in range(count):
        make_slate(project)
        make_ranking(project, me, ONE_WAY)
        for other in they:
            make_ranking(project, other, ranks)
    return project, me


def test_today_this_week_and_all(project, ann, ben) -> None:
    today = timezone.localdate()
    monday = today - timedelta(days=today.weekday())
    for day, rankings in ((today, 3), (monday - timedelta(days=1), 5)):
        count_work(project=project, labeler=ann, day=day, rankings=rankings, seconds=1800.0)
    count_work(project=project, labeler=ben, rankings=50)
    count_work(project=make_project(), labeler=ann, rankings=50)
    done = done_by(project=project, labeler=ann)
    assert [done[span].rankings for span in ("today", "week", "all")] == [3, 3, 8]
    assert (done["today"].hours, done["today"].minutes) == (None, 30)
    assert done["all"].hours == 1.0


def test_before_any_work_there_are_zeros(project, ann) -> None:
    assert done_by(project=project, labeler=ann)["all"].rankings == 0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 min"),
        (20, "1 min"),
        (300, "5 min"),
        (3599, "60 min"),
        (3600, "1.0 h"),
        (5400, "1.5 h"),
    ],
)
def test_minutes_are_shown_below_an_hour(project, ann, seconds, shown) -> None:
    count_work(project=project, labeler=ann, rankings=1, seconds=float(seconds))
    page = as_user(ann).get(reverse("my-work", args=[project.slug])).content.decode()
    assert page.count(f'<td class="num">{shown}</td>') == 3


class TestAgreement:
    def test_it_counts_pairs_with_others_once_there_are_twenty(self) -> None:
        project, me = share(3, NEARLY)  # 18 pairs
        assert agreement_with_others(project=project, labeler=me) is None
        make_slate(project)
        make_ranking(project, me, ONE_WAY)
        make_ranking(project, make_labeler(project), ONE_WAY)
        found = agreement_with_others(project=project, labeler=me)
        assert found is not None
        assert (found.pairs, found.rate) == (24, 21 / 24)  # three times 5 of 6, and 6 of 6
        assert found.low is not None and found.high is not None
        assert found.low <= found.rate <= found.high

    def test_others_among_each_other_are_not_in_it(self) -> None:
        project, me = share(2, NEARLY, others=2)
        found = agreement_with_others(project=project, labeler=me)
        assert found is not None
        assert (found.pairs, found.rate) == (24, 5 / 6)

    def test_a_report_comes_first(self) -> None:
        project, me = share(4, ONE_WAY)
        for count, done in ((33, timezone.now()), (99, None)):
            report = QualityReport.objects.create(project=project, up_to=1, done_at=done)
            QualityFigure.objects.create(
                report=report,
                measure="agreement",
                labeler=me,
                value=0.5,
                low=0.4,
                high=0.6,
                count=count,
            )
            QualityFigure.objects.create(
                report=report,
                measure="agreement",
                labeler=me,
                other=make_labeler(project),
                value=0.1,
                count=99,
            )
        found = agreement_with_others(project=project, labeler=me)
        assert found is not None
        assert (found.rate, found.low, found.high, found.pairs) == (0.5, 0.4, 0.6, 33)
        assert found.as_of is not None


class TestPage:
    def test_it_shows_the_own_work_and_names_nobody_else(self) -> None:
        project, me = share(4, NEARLY)
        page = as_user(me).get(reverse("my-work", args=[project.slug])).content.decode()
        assert "83 %" in page
        assert "24 pairs" in page
        others = [one.user.username for one in project.memberships.exclude(user=me)]
        assert not [name for name in others if name in page]

    def test_before_any_work_it_says_what_comes(self, project, ann) -> None:
        page = as_user(ann).get(reverse("my-work", args=[project.slug])).content.decode()
        assert "Comes as soon as you and others have ordered 20" in page

    def test_the_number_of_queries_is_fixed(self) -> None:
        counts = []
        for many in (1, 5):
            project, me = share(many, NEARLY)
            client = as_user(me)
            with CaptureQueriesContext(connection) as captured:
                client.get(reverse("my-work", args=[project.slug]))
            counts.append(len(captured))
        assert counts[0] == counts[1] <= 12
