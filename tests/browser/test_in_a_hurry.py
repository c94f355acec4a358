"""Keys pressed in a hurry, another person at the same machine, answers that get lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from labeling.judgements import judgement_of
from labeling.models import Project, Ranking, User
from labeling.projects import update_project
from tests.browser.conftest import NewPage, sign_in
from tests.browser.test_desk_page import opened, stored, with_one_ahead
from tests.browser.test_ranking_page import press, shown_ids
from tests.factories import make_labeler, make_slate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def graded(project: Project, labeler: User, new_page: NewPage) -> Page:
    """A slate whose completions are graded from 1 to 7."""
    update_project(project=project, asks_likert=True)
    make_slate(project)
    return opened(project, labeler, new_page)


def test_a_letter_pressed_over_the_list_of_keys_changes_none(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, "?")
    expect(page.locator("#keys").get_by_role("button", name="Close")).to_be_focused()
    press(page, "b Escape b")
    expect(page.locator(".place")).to_have_count(1)
    assert page.evaluate("localStorage.getItem('rankloop:keys')") is None


def test_the_key_after_escape_is_for_the_page(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    page.evaluate("document.activeElement.blur()")  # the browser then leaves the focus inside
    page.evaluate(
        """() => {
            const key = (name, on) => (on ?? document.activeElement).dispatchEvent(
              new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
            key("v"); key("Escape"); key("c"); key("?"); key("Escape"); key("a");
        }"""
    )
    expect(page.locator(".place")).to_have_text(["1C", "2A"])


def test_flags_end_where_another_completion_is_placed(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = graded(project, labeler, new_page)
    ids = shown_ids(page)
    press(page, "b 4 f b 1")
    page.locator("[data-letter=C] [data-toggle]").click()
    press(page, "6 a 4 d 4")
    stored(page)
    said = judgement_of(Ranking.objects.get())
    assert said.likert[ids["C"]] == 6
    assert [len(flags) for flags in said.flags.values()] == [1]


def test_digits_of_another_script_are_digits(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = graded(project, labeler, new_page)
    press(page, "b")
    page.evaluate(
        """() => document.body.dispatchEvent(new KeyboardEvent("keydown",
             { key: "۶", code: "Digit6", bubbles: true, cancelable: true }))"""
    )
    expect(page.locator("[data-letter=B] [data-likert] [value='6']")).to_be_checked()
    page.evaluate(
        """() => document.body.dispatchEvent(new KeyboardEvent("keydown",
             { key: "؟", code: "Slash", bubbles: true, cancelable: true }))"""
    )
    expect(page.locator("#keys")).to_be_visible()


def test_a_lost_answer_does_not_leave_the_page_sending_for_ever(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(
        project, labeler, new_page, allow=("ERR_INTERNET", "Failed to load", "502")
    )
    page.clock.install()
    page.context.set_offline(True)
    press(page, "a b c d Enter")
    press(page, "b a c d Enter")
    expect(page.get_by_role("heading", name="Sending what you submitted")).to_be_visible()
    failed: list[str] = []

    def fail(route: Route) -> None:
        failed.append(route.request.url)
        route.fulfill(status=502)

    page.route("**/rank/", fail)
    page.context.set_offline(False)
    page.clock.run_for(6_000)
    expect(page.locator("#outbox")).to_be_hidden()
    page.clock.run_for(6_000)
    assert failed
    page.unroute("**/rank/")
    page.clock.run_for(6_000)
    expect(page.get_by_text("2 today")).to_be_visible()
    assert Ranking.objects.count() == 2


def test_while_somebody_else_is_signed_in_nothing_is_said_of_a_lost_prompt(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    for _ in range(2):
        make_slate(project)
    page = new_page(labeler, allow=("401",))
    page.clock.install()
    page.goto(f"/projects/{project.slug}/rank/")
    press(page, "b a")
    site = page.url.partition("/projects")[0]
    sign_in(page.context, site, make_labeler(project, "mei"))
    page.clock.run_for(61_000)
    press(page, "d c")
    expect(page.locator("#saved")).to_contain_text("Somebody else is signed in")
    expect(page.locator("#assignment-notice")).to_be_empty()
    submit_by_the_form(page)
    assert page.locator(".place").count() == 4
    assert not Ranking.objects.exists()
    sign_in(page.context, site, labeler)
    page.clock.run_for(61_000)
    press(page, "Escape")
    expect(page.locator("#saved")).to_contain_text("saved")
    press(page, "Enter")
    page.clock.run_for(6_000)
    expect(page.get_by_text("1 today")).to_be_visible()
    assert Ranking.objects.get().labeler == labeler


def submit_by_the_form(page: Page) -> None:
    """As a page does that has no next prompt yet."""
    with page.expect_response("**/submission/"):
        page.evaluate(
            """() => htmx.ajax("POST", document.getElementById("ranking-form").action,
                 { source: "#ranking-form", target: "#assignment", swap: "outerHTML" })"""
        )
