"""The page that tries the REST API, under the strict content policy."""

from __future__ import annotations

import pytest

from labeling.people import issue_token

pytestmark = pytest.mark.browser


def test_a_request_is_tried_with_a_token(new_page, labeler, project):
    _token, secret = issue_token(user=labeler, name="try", scopes=["read"])
    page = new_page()
    page.goto("/api/v1/docs/")
    page.click(".btn.authorize")
    page.fill(".auth-container input", secret)
    page.click(".auth-btn-wrapper .authorize")
    page.click(".auth-btn-wrapper .btn-done")
    projects = page.locator("#operations-projects-projects_list")
    projects.locator(".opblock-summary").click()
    projects.locator(".try-out__btn").click()
    projects.locator(".execute").click()
    answer = projects.locator(".live-responses-table")
    answer.locator(".microlight").first.wait_for()
    assert f'"slug": "{project.slug}"' in answer.inner_text()
