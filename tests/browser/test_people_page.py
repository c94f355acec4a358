"""The People page in a real browser, and what its links lead to."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewPage
from tests.factories import PASSWORD, make_manager

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
    assert page.get_by_text("The password is set.").is_visible()
    labeler.refresh_from_db()
    assert labeler.check_password(PASSWORD)
