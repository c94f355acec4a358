"""How work is given out and watched, in a real browser: quotas, notices, my work, the reminder."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from labeling.models import Assignment, Notice, NoticeSeen, Project, Quota, Ranking, User
from labeling.notices import publish_notice
from labeling.projects import update_project
from tests.browser.conftest import NewPage
from tests.browser.test_ranking_page import address, fetched_ahead, press
from tests.factories import make_manager, make_prompt, make_ranking, make_slate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def long_at_work(project: Project, labeler: User) -> None:
    """Submissions 55, 42, 30, 18 and 4 minutes ago."""
    for minutes in (55, 42, 30, 18, 4):
        ranking = make_ranking(project, labeler, seconds=0.0)
        ended = timezone.now() - timedelta(minutes=minutes)
        Assignment.objects.filter(pk=ranking.assignment_id).update(completed_at=ended)


@pytest.mark.parametrize("javascript", [True, False])
def test_a_manager_sets_a_quota_and_the_labeler_is_told_when_it_is_done(
    project: Project, labeler: User, new_page: NewPage, javascript: bool
) -> None:
    make_slate(project, prompt=make_prompt(project, category="chat"))
    make_slate(project)
    page = new_page(make_manager(project), javascript=javascript)
    page.goto(f"/projects/{project.slug}/quotas/")
    page.get_by_label("At most").fill("1")
    page.get_by_label("Whose").select_option("lin")
    page.get_by_role("button", name="Add").press("Enter")
    expect(page.get_by_role("row").nth(1)).to_contain_text("lin")
    theirs = new_page(labeler, javascript=javascript)
    theirs.goto(address(project))
    make_ranking(project, labeler)
    theirs.reload()
    expect(theirs.get_by_text("You have done the 1 of today; more tomorrow.")).to_be_visible()
    page.get_by_role("button", name="Remove").press("Enter")
    expect(page.get_by_text("No quota")).to_be_visible()
    assert not Quota.objects.exists()
    theirs.reload()
    expect(theirs.get_by_role("heading", name="Rank these 4 completions")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_notice_is_written_read_and_put_away(
    project: Project, labeler: User, new_page: NewPage, javascript: bool
) -> None:
    make_slate(project)
    boss = new_page(make_manager(project), javascript=javascript)
    boss.goto(f"/projects/{project.slug}/notices/")
    boss.get_by_label("Notice", exact=True).fill("The server rests at **noon**.")
    boss.get_by_role("button", name="Show it to everybody").press("Enter")
    expect(boss.get_by_text("dismissed by 0")).to_be_visible()
    page = new_page(labeler, javascript=javascript, width=390)
    page.goto(address(project))
    board = page.get_by_role("article", name="Notice", exact=True)
    expect(board).to_contain_text("The server rests at noon.")
    board.get_by_role("button", name="Dismiss").press("Enter")
    expect(board).to_have_count(0)
    expect(page.get_by_role("heading", name="Rank these 4 completions")).to_be_visible()
    page.reload()
    expect(board).to_have_count(0)
    boss.get_by_role("button", name="Withdraw").press("Enter")
    expect(boss.get_by_text("withdrawn", exact=True)).to_be_visible()
    assert Notice.objects.get().withdrawn_at is not None


def test_a_new_notice_comes_with_the_next_slate_and_moves_nothing_that_is_read(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    for _ in range(4):
        make_slate(project)
    manager = make_manager(project)
    page = new_page(labeler)
    with fetched_ahead(page):
        page.goto(address(project))
    before = page.locator("[data-letter=A]").bounding_box()
    publish_notice(project=project, text="Hello all.", by=manager)
    press(page, "a b c d")
    assert page.locator("[data-letter=A]").bounding_box() == before
    with fetched_ahead(page):
        press(page, "Enter")  # what is shown now was written before the notice
    with fetched_ahead(page):
        press(page, "a b c d Enter")
    board = page.get_by_role("article", name="Notice", exact=True)
    expect(board).to_contain_text("Hello all.")
    expect(page.locator("#announcer")).to_contain_text("Hello all.")
    expect(board.get_by_role("button", name="Dismiss")).to_contain_text("x")
    press(page, "x")
    expect(board).to_have_count(0)
    expect(page.locator("#assignment-heading")).to_be_focused()
    press(page, "a b c d Enter")  # the next one was written while the notice stood
    expect(page.get_by_role("heading", name="Rank these 4 completions")).to_be_visible()
    expect(board).to_have_count(0)
    assert NoticeSeen.objects.count() == 1


@pytest.mark.parametrize("javascript", [True, False])
def test_after_an_hour_a_quiet_line_reminds_to_rest_and_leads_to_the_break(
    project: Project, labeler: User, new_page: NewPage, javascript: bool
) -> None:
    update_project(project=project, rest_minutes=50)
    long_at_work(project, labeler)
    make_slate(project)
    page = new_page(labeler, javascript=javascript)
    page.goto(address(project))
    line = page.get_by_role("note")
    expect(line).to_contain_text("You have worked 55 minutes without a pause.")
    line.get_by_role("button", name="Take a break").press("Enter")
    expect(page.get_by_role("heading", name="You are on a break")).to_be_visible()
    assert Assignment.objects.get(state="open").break_ends_at is not None
    page.get_by_role("button", name="Back to work").press("Enter")
    expect(line).to_be_visible()
    expect(line.get_by_role("button", name="Take a break")).to_have_count(0)
    line.get_by_role("button", name="Dismiss").press("Enter")
    expect(line).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="Rank these 4 completions")).to_be_visible()
    expect(line).to_have_count(0)


def test_with_nothing_to_rank_a_notice_is_dismissed_by_its_key_too(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    publish_notice(project=project, text="Hello all.", by=make_manager(project))
    page = new_page(labeler)
    page.goto(address(project))
    expect(page.get_by_role("article", name="Notice", exact=True)).to_be_visible()
    press(page, "x")
    expect(page.get_by_role("article", name="Notice", exact=True)).to_have_count(0)
    assert NoticeSeen.objects.count() == 1


def test_somebody_looks_at_their_own_work(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_ranking(project, labeler, seconds=3600.0)
    page = new_page(labeler, width=390)
    page.goto(f"/projects/{project.slug}/rank/")
    page.get_by_role("link", name="My work").press("Enter")
    expect(page.get_by_role("row", name="Today 1 1.0")).to_be_visible()
    expect(page.get_by_text("Comes as soon as you and others have ordered 20")).to_be_visible()
    assert Ranking.objects.count() == 1
