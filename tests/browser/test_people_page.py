"""The People page in a real browser, and what its links lead to."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewPage
from tests.factories import PASSWORD, make_labeler, make_manager, make_ranking

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_who_forgot_the_password_comes_back_by_a_link(
    new_page: NewPage, project, labeler, javascript
):
    theirs = new_page(make_manager(project), javascript=javascript)
    theirs.goto(f"/projects/{project.slug}/people/")
    theirs.get_by_role("button", name="New sign-in link lin").click()
    link = theirs.get_by_label("Link", exact=True).input_value()
    page = new_page(javascript=javascript, width=390)
    page.goto(link)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The password is set.")).to_be_visible()
    labeler.refresh_from_db()
    assert labeler.check_password(PASSWORD)


@pytest.mark.parametrize("javascript", [True, False])
def test_taking_somebody_out_is_asked_first(new_page: NewPage, project, labeler, javascript):
    page = new_page(make_manager(project), javascript=javascript)
    page.goto(f"/projects/{project.slug}/people/")
    page.get_by_role("button", name="Remove lin").press("Enter")
    question = page.get_by_role("dialog", name="Remove lin")
    expect(question).to_contain_text("lin loses access at once")
    question.get_by_role("button", name="Leave it as it is").press("Enter")
    expect(question).to_be_hidden()
    assert labeler.memberships.exists()
    page.get_by_role("button", name="Remove lin").press("Enter")
    question.get_by_role("button", name="Remove").press("Enter")
    expect(page.get_by_text("lin is no longer in this project.")).to_be_visible()
    assert not labeler.memberships.exists()


def test_the_table_is_sorted_by_its_heads(new_page: NewPage, project, labeler):
    for _ in range(2):
        make_ranking(project, labeler)
    make_ranking(project, make_labeler(project, "mo"))
    page = new_page(make_manager(project, "boss"))
    page.goto(f"/projects/{project.slug}/people/")

    def names() -> list[str]:
        return [text.split("\n")[0] for text in page.locator("tbody th").all_inner_texts()]

    page.get_by_role("button", name="Rankings").press("Enter")
    assert names() == ["lin", "mo", "boss"]
    page.get_by_role("button", name="Rankings").press("Enter")
    assert names() == ["boss", "mo", "lin"]
    page.get_by_role("button", name="Name").press("Enter")
    assert names() == ["boss", "lin", "mo"]
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute(
        "aria-sort", "ascending"
    )
