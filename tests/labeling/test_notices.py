"""A manager says a word to everybody: shown above the work until it is dismissed."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.models import NoticeSeen, Project, User
from labeling.notices import NoticeRefused, publish_notice, put_away, unseen_in, withdraw_notice
from tests.factories import make_labeler, make_manager, make_project, make_researcher, make_slate
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(project: Project) -> User:
    return make_manager(project)


def test_everybody_sees_it_until_they_put_it_away(project, boss, ann, ben) -> None:
    notice = publish_notice(project=project, text=" Lunch at *noon*.\r\n", by=boss)
    assert notice.text == "Lunch at *noon*."
    put_away(notice=notice, user=ann)
    put_away(notice=notice, user=ann)
    assert unseen_in(project, ann) == []
    assert unseen_in(project, ben) == [notice]
    assert NoticeSeen.objects.count() == 1


def test_a_withdrawn_one_is_shown_to_nobody(project, boss, ann) -> None:
    notice = publish_notice(project=project, text="Wrong.", by=boss)
    withdraw_notice(notice=notice)
    withdraw_notice(notice=notice)
    assert unseen_in(project, ann) == []


def test_the_newest_come_first_three_at_once(project, boss, ann) -> None:
    made = [publish_notice(project=project, text=str(number), by=boss) for number in range(5)]
    assert unseen_in(project, ann) == made[:1:-1]


@pytest.mark.parametrize("text", ["", " \n", "x" * 4001])
def test_it_refuses_nothing_and_too_much(project, boss, text) -> None:
    with pytest.raises(NoticeRefused):
        publish_notice(project=project, text=text, by=boss)


class TestPages:
    def test_it_stands_above_the_work_and_on_the_first_page(self, project, boss, ann) -> None:
        make_slate(project)
        publish_notice(project=project, text="**Read** <script>alert(1)</script>", by=boss)
        client = as_user(ann)
        for address in (reverse("rank", args=[project.slug]), reverse("home")):
            page = client.get(address).content.decode()
            assert "<strong>Read</strong>" in page
            assert "<script>alert" not in page

    def test_it_comes_with_the_slate_that_is_kept_ahead(self, project, boss, ann) -> None:
        make_slate(project), make_slate(project)
        client = as_user(ann)
        client.get(reverse("rank", args=[project.slug]))
        publish_notice(project=project, text="Hello all.", by=boss)
        assert "Hello all." in client.get(reverse("ahead", args=[project.slug])).content.decode()

    def test_one_who_does_not_rank_is_not_shown_it(self, project, boss) -> None:
        publish_notice(project=project, text="Hello all.", by=boss)
        page = as_user(make_researcher(project)).get("/").content.decode()
        assert "Hello all." not in page

    def test_another_project_s_is_not_there(self, project, boss, ann) -> None:
        other = make_project()
        notice = publish_notice(project=other, text="Hello all.", by=make_manager(other))
        client = as_user(ann)
        assert "Hello all." not in client.get("/").content.decode()
        address = reverse("notice-seen", args=[project.slug, notice.pk])
        assert client.post(address).status_code == 404

    @pytest.mark.parametrize("fields", [{}, {"home": "1"}])
    def test_put_away_leads_back_to_where_it_stood(self, project, boss, ann, fields) -> None:
        notice = publish_notice(project=project, text="Hello all.", by=boss)
        client = as_user(ann)
        answer = client.post(reverse("notice-seen", args=[project.slug, notice.pk]), fields)
        assert answer["Location"] == (
            reverse("home") if fields else reverse("rank", args=[project.slug])
        )
        assert unseen_in(project, ann) == []

    def test_a_manager_writes_and_withdraws_one(self, project, boss, ann) -> None:
        client, address = as_user(boss), reverse("notice-list", args=[project.slug])
        assert client.post(address, {"text": "Hello all."}).status_code == 302
        notice = project.notices.get()
        put_away(notice=notice, user=make_labeler(project))
        assert "dismissed by 1" in client.get(address).content.decode()
        client.post(reverse("notice-withdraw", args=[project.slug, notice.pk]))
        assert unseen_in(project, ann) == []
        assert client.post(address, {"text": ""}).status_code == 400
