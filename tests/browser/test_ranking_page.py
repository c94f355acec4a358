"""A labeler ranks in a real browser: by keys, by dragging, on a phone, without scripts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from labeling.hidden_numbers import Of, revealed
from labeling.leasing import lease_next
from labeling.models import Assignment, Draft, Project, Ranking, SampleRequest, User
from labeling.rankings import ranks_of
from tests.factories import make_labeler, make_prompt, make_slate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NewPage = Callable[..., Page]
HEADING = re.compile("Rank these 4 completions")


def address(project: Project) -> str:
    return f"/projects/{project.slug}/rank/"


def press(page: Page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


@contextmanager
def fetched_ahead(page: Page) -> Iterator[None]:
    """Wait, at the end, until the page has the next slate, or knows that there is none."""
    with page.expect_response("**/rank/ahead/") as answer:
        yield
    answer.value.finished()


def sent(page: Page) -> None:
    """Wait until the server has taken all that was submitted."""
    deadline = time.monotonic() + 20
    while page.evaluate("Object.keys(localStorage).some((key) => key.includes(':outbox:'))"):
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


def shown_ids(page: Page) -> dict[str, int]:
    """{letter: completion id} as the page shows them."""
    cards = page.locator("[data-completion]").all()
    return {
        card.get_attribute("data-letter") or "": revealed(
            Of.COMPLETION, int(card.get_attribute("data-completion") or "")
        )
        or 0
        for card in cards
    }


def ranks_by_letter(ids: dict[str, int]) -> dict[str, int]:
    """The one stored ranking, by the letters that the page showed."""
    stored = ranks_of(Ranking.objects.get())
    return {letter: stored[pk] for letter, pk in ids.items()}


def test_four_completions_are_ranked_by_keys_alone(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    ids = shown_ids(page)
    press(page, "b a = d c")
    expect(page.locator("#rank-note")).to_have_text("All have a place.")
    first = page.locator("#assignment").get_attribute("data-slate") or ""
    press(page, "Enter")
    expect(page.locator("#assignment")).not_to_have_attribute("data-slate", first)
    sent(page)
    assert ranks_by_letter(ids) == {"B": 1, "A": 2, "D": 2, "C": 3}
    expect(page.get_by_role("heading", name=HEADING)).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text("Submitted. Next:")
    expect(page.get_by_text("1 today")).to_be_visible()


def test_a_letter_takes_out_again_and_backspace_takes_back(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, "a b a")
    expect(page.locator(".place")).to_have_count(1)
    expect(page.locator(".place")).to_contain_text("B")
    press(page, "Backspace")
    expect(page.locator(".place")).to_have_count(2)
    expect(page.locator(".place").first).to_contain_text("A")
    press(page, "Backspace Backspace")
    expect(page.locator(".place")).to_have_count(0)


def test_arrow_keys_move_the_chip_that_has_the_focus(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, "a b c d")
    page.get_by_role("button", name="D, place 4").focus()
    press(page, "ArrowUp ArrowUp ArrowUp")
    expect(page.locator(".place").nth(0)).to_contain_text("D")
    expect(page.get_by_role("button", name="D, place 1")).to_be_focused()
    press(page, "ArrowDown =")
    expect(page.locator(".place").nth(0)).to_contain_text("A=D")


def test_enter_says_which_are_still_without_a_place(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, "c a Enter")
    expect(page.locator("#rank-note")).to_have_text("Still without a place: B, D.")
    assert not Ranking.objects.exists()


def test_keys_can_be_switched_off(project: Project, labeler: User, new_page: NewPage) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, "?")
    page.get_by_label("Keys are on").uncheck()
    page.get_by_role("button", name="Close").click()
    press(page, "a b")
    expect(page.locator(".place")).to_have_count(0)
    page.reload()
    press(page, "a b")
    expect(page.locator(".place")).to_have_count(0)


def test_keys_do_nothing_while_a_field_has_the_focus(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, "s")
    expect(page.get_by_label("Why")).to_be_focused()
    press(page, "a")
    expect(page.locator(".place")).to_have_count(0)


def test_chips_are_dragged_to_a_place_and_between_places(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, "a b")
    tray = page.locator(".tray")
    drag(page, tray.locator(".chip", has_text="C"), page.locator(".place").nth(1))
    expect(page.locator(".place").nth(1)).to_contain_text("B=C")
    drag(page, tray.locator(".chip", has_text="D"), page.locator(".gap").nth(0))
    expect(page.locator(".place").nth(0)).to_contain_text("D")
    expect(page.locator(".place")).to_have_count(3)
    ids = shown_ids(page)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    assert ranks_by_letter(ids) == {"D": 1, "A": 2, "B": 3, "C": 3}


def drag(page: Page, what: Locator, where: Locator) -> None:
    """By the mouse, in steps, as a person does it."""
    start, end = what.bounding_box(), where.bounding_box()
    assert start and end
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(start["x"] + 20, start["y"] + 5, steps=3)
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=12)
    page.wait_for_timeout(60)
    page.mouse.up()


def test_on_a_phone_a_tap_places_and_two_taps_move(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler, width=390, height=844)
    page.goto(address(project))
    for letter in "ABCD":
        page.locator(".tray .chip", has_text=letter).click()
    page.get_by_role("button", name="D, place 4").click()
    page.get_by_role("button", name="Here, as place 1").click()
    expect(page.locator(".place").nth(0)).to_contain_text("D")
    page.get_by_role("button", name="C, place 4").click()
    page.get_by_role("button", name="Tied at place 2").click()
    ids = shown_ids(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    assert ranks_by_letter(ids) == {"D": 1, "A": 2, "C": 2, "B": 3}


def test_it_works_without_scripts(project: Project, labeler: User, new_page: NewPage) -> None:
    make_slate(project)
    make_slate(project)
    page = new_page(labeler, javascript=False, allow=("400",))
    page.goto(address(project))
    ids = shown_ids(page)
    for letter, rank in {"A": "2", "B": "1", "C": "2"}.items():
        page.get_by_label(f"Rank of {letter}").select_option(rank)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert").first).to_contain_text("Give each completion a rank")
    expect(page.get_by_label("Rank of B")).to_have_value("1")
    page.get_by_label("Rank of D").select_option("4")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("1 today")).to_be_visible()
    assert ranks_by_letter(ids) == {"B": 1, "A": 2, "C": 2, "D": 3}
    assert 0 < Ranking.objects.get().seconds < 600


def test_skipping_works_without_scripts(project: Project, labeler: User, new_page: NewPage) -> None:
    slate = make_slate(project)
    page = new_page(labeler, javascript=False)
    page.goto(address(project))
    page.locator("summary", has_text="Skip").click()
    page.get_by_label("Why").select_option("harmful")
    page.get_by_role("button", name="Skip this prompt").click()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    assert slate.skips.get().reason == "harmful"


def test_a_draft_survives_a_reload_and_another_browser(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, "c = a")
    expect(page.locator("#saved")).to_contain_text("saved")
    page.reload()
    expect(page.locator(".place")).to_have_count(1)
    expect(page.locator(".place")).to_contain_text("A=C")
    elsewhere = new_page(labeler)
    elsewhere.goto(address(project))
    expect(elsewhere.locator(".place")).to_contain_text("A=C")


def test_a_draft_that_could_not_be_sent_is_kept_in_the_browser(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler, allow=("ERR_FAILED",))
    page.goto(address(project))
    page.route("**/draft/", lambda route: route.abort())
    press(page, "d b")
    expect(page.locator("#saved")).to_have_text("not sent, kept in this browser")
    page.reload()
    expect(page.locator(".place")).to_have_count(2)
    Draft.objects.all().delete()  # the page's last breath may have reached the server
    page.reload()
    expect(page.locator(".place")).to_have_count(2)


def test_a_double_submission_is_stored_once(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, "a b c d")
    page.get_by_role("button", name="Submit").dblclick()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    assert Ranking.objects.count() == 1


def test_the_back_button_shows_no_form_of_what_is_submitted(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler, javascript=False)
    page.goto(address(project))
    for letter in "ABCD":
        page.get_by_label(f"Rank of {letter}").select_option("1")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    expect(page.get_by_role("button", name="Submit")).to_have_count(0)
    assert Ranking.objects.count() == 1


def test_a_second_tab_says_that_the_first_ones_ranking_stands(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    first, second = (new_page(labeler, javascript=False, allow=("409",)) for _ in range(2))
    for page, rank in ((first, "1"), (second, "2")):
        page.goto(address(project))
        for letter in "ABCD":
            page.get_by_label(f"Rank of {letter}").select_option("1" if letter == "A" else rank)
    ranks = []
    for page in (first, second):
        page.get_by_role("button", name="Submit").click()
        page.wait_for_load_state()
        ranks.append(ranks_of(Ranking.objects.get()))
    expect(second.get_by_text("that stands")).to_be_visible()
    assert ranks[0] == ranks[1]


def test_an_expired_lease_that_somebody_took_is_told_and_the_ranks_are_kept(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    slate = make_slate(project)
    page = new_page(labeler, allow=("409",))
    page.goto(address(project))
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    other = make_labeler(project)
    taken = lease_next(project=project, labeler=other)
    assert taken
    assert taken.slate == slate
    press(page, "a b c d Enter")
    expect(page.get_by_role("alert").first).to_contain_text("kept as a draft")
    expect(page.get_by_role("link", name="Next prompt")).to_be_visible()
    assert not Ranking.objects.exists()
    assert Draft.objects.get(slate=slate, labeler=labeler).content["ranks"]


def test_an_expired_lease_that_nobody_took_still_counts(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    press(page, "a b c d Enter")
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    assert Ranking.objects.count() == 1


def test_a_session_that_is_gone_loses_nothing(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler, allow=("401", "Unauthorized"))
    page.goto(address(project))
    press(page, "a b c d")
    expect(page.locator("#saved")).to_contain_text("saved")
    page.context.clear_cookies(name="sessionid")
    press(page, "Enter")
    expect(page.locator("#request-problem")).to_contain_text("You are signed out.")
    expect(page.locator(".place")).to_have_count(4)
    new_page(labeler, context=page.context).close()  # signed in again, in another tab
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    assert Ranking.objects.count() == 1


def test_a_server_that_breaks_leaves_the_ranking_where_it_is(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler, allow=("500", "ERR_FAILED", "Failed to fetch"))
    page.goto(address(project))
    press(page, "a b c d")
    page.route("**/submission/", lambda route: route.fulfill(status=500, body="oh"))
    press(page, "Enter")
    expect(page.locator("#request-problem")).to_contain_text("Something broke on our side")
    page.unroute("**/submission/")
    page.route("**/submission/", lambda route: route.abort())
    press(page, "Enter")
    expect(page.locator("#request-problem")).to_contain_text("can't be reached")
    expect(page.locator(".place")).to_have_count(4)
    page.unroute("**/submission/")
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()


def test_a_page_that_waits_shows_the_next_prompt_by_itself(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    SampleRequest.objects.create(prompt=make_prompt(project), k=4)
    page = new_page(labeler)
    page.goto(address(project))
    expect(page.get_by_role("heading", name="not written yet")).to_be_visible()
    page.get_by_role("link", name="My rankings").last.focus()
    page.wait_for_timeout(6_000)
    expect(page.get_by_role("link", name="My rankings").last).to_be_focused()
    make_slate(project)
    expect(page.get_by_role("heading", name=HEADING)).to_be_focused()
    press(page, "a b c d Enter")
    expect(page.get_by_text("not written yet")).to_be_visible()
    assert Ranking.objects.count() == 1


HOSTILE = [
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">",
    'left \u202eright to left\u202c NULL-ish \x07 \x1b[31m </div></article> " onclick="x',
    "x" * 100_000,
    "{{ 7 * 7 }} {% now 'Y' %} &lt;b&gt; مرحبا\u200f <form action=//evil><button>Submit",
]


@pytest.mark.parametrize("javascript", [True, False])
def test_hostile_completions_are_shown_as_text(
    project: Project, labeler: User, new_page: NewPage, javascript: bool
) -> None:
    make_slate(project, HOSTILE)
    page = new_page(labeler, javascript=javascript, width=390, height=844)
    page.goto(address(project))
    expect(page).to_have_title(re.compile("^Rank ·"))
    shown = page.locator(".completion .text:not(.rendered)")
    expect(shown).to_have_count(4)
    texts = "\n".join(shown.all_text_contents())
    assert "<script>document.title = 'owned'</script><img src=x onerror" in texts
    assert "left U+202Eright to left" in texts
    assert "BEL" in texts
    assert "ESC[31m </div></article>" in texts
    assert "x" * 100_000 in texts
    assert "{{ 7 * 7 }} {% now 'Y' %} &lt;b&gt;" in texts
    assert page.locator(".completion img, .completion script, .completion form").count() == 0
    if javascript:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        press(page, "a b c d Enter")
    else:
        for letter in "ABCD":
            page.get_by_label(f"Rank of {letter}").select_option("1")
        page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
