"""What goes wrong while somebody ranks, in a real browser: nothing that was said is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Request, expect

from labeling.judgements import judgement_of
from labeling.models import Draft, Project, Ranking, User
from labeling.projects import update_project
from labeling.prompts import withdraw_prompt
from tests.browser.test_desk_page import opened, stored, with_one_ahead
from tests.browser.test_ranking_page import address, press, sent, shown_ids
from tests.factories import make_prompt, make_slate
from tests.hostile import marked

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NewPage = Callable[..., Page]


def test_a_network_that_is_away_for_a_minute_in_mid_ranking_costs_nothing(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    for _ in range(3):
        make_slate(project)
    page = new_page(labeler, allow=("ERR_INTERNET", "Failed to load"))
    page.clock.install()
    with page.expect_response("**/rank/ahead/"):
        page.goto(address(project))
        page.clock.run_for(1_000)
    ids = shown_ids(page)
    press(page, "b a")
    page.clock.run_for(1_000)
    expect(page.locator("#saved")).to_contain_text("saved")
    page.context.set_offline(True)
    press(page, "d t")
    page.keyboard.type("In the dark.")
    page.clock.run_for(30_000)
    expect(page.locator("#saved")).to_have_text("not sent, kept in this browser")
    press(page, "Escape c Enter")
    page.clock.run_for(30_000)
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    assert not Ranking.objects.exists()
    page.context.set_offline(False)
    page.clock.run_for(6_000)
    page.clock.resume()
    sent(page)
    said = judgement_of(Ranking.objects.get())
    assert said.ranks == {ids["B"]: 1, ids["A"]: 2, ids["D"]: 3, ids["C"]: 4}
    assert said.comment == "In the dark."


def test_a_session_that_ends_in_mid_ranking_keeps_what_is_said_after(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("401", "Unauthorized"))
    ids = shown_ids(page)
    press(page, "b a")
    expect(page.locator("#saved")).to_contain_text("saved")
    page.context.clear_cookies(name="sessionid")
    press(page, "d t")
    page.keyboard.type("Nobody knows me.")
    expect(page.locator("#saved")).to_have_text("not sent, kept in this browser")
    press(page, "Escape c Enter")
    expect(page.locator("#request-problem")).to_contain_text("You are signed out")
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    new_page(labeler, context=page.context).close()
    sent(page)
    said = judgement_of(Ranking.objects.get())
    assert (said.comment, said.ranks[ids["B"]]) == ("Nobody knows me.", 1)


@pytest.mark.parametrize("jump", [timedelta(hours=-3), timedelta(days=400)])
def test_a_clock_that_jumps_keeps_the_newest_draft_and_counts_no_hours(
    project: Project, labeler: User, new_page: NewPage, jump: timedelta
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, "a b")
    expect(page.locator("#saved")).to_contain_text("saved")
    before = Draft.objects.get().sequence
    page.clock.set_system_time(timezone.now() + jump)
    with page.expect_response("**/draft/"):
        press(page, "c d")
    page.wait_for_timeout(300)
    draft = Draft.objects.get()
    assert draft.sequence > before
    assert sorted(draft.content["ranks"].values()) == [1, 2, 3, 4]
    page.reload()
    expect(page.locator(".place")).to_have_count(4)
    stored(page)
    assert Ranking.objects.get().seconds < 120


def test_nine_completions_of_which_three_are_equal_are_ranked_apart_or_tied(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    update_project(project=project, k=9)
    make_slate(project, ["Same.", "Same.", "Same.", *(f"Answer {one}." for one in range(6))])
    page = opened(project, labeler, new_page)
    cards = page.locator("[data-letter]", has_text="Same.")
    same = [cards.nth(one).get_attribute("data-letter") or "" for one in range(3)]
    others = [letter for letter in "ABCDEFGHI" if letter not in same]
    ids = shown_ids(page)
    press(page, " ".join([" = ".join(same[:2]), *others, same[2]]).lower())
    expect(page.locator("#rank-note")).to_have_text("All have a place.")
    stored(page)
    ranks = judgement_of(Ranking.objects.get()).ranks
    assert [ranks[ids[letter]] for letter in same] == [1, 1, 8]
    assert [ranks[ids[letter]] for letter in others] == [2, 3, 4, 5, 6, 7]


def test_a_completion_of_two_hundred_thousand_letters_is_read_to_its_end_and_ranked(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    text = "word " * 40_000 + "the end."
    assert len(text) > 200_000
    make_slate(project, [text, "one", "two", "three"])
    page = opened(project, labeler, new_page, width=390, height=844)
    expect(page.locator(".completion .text:not(.rendered)", has_text="the end.")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    press(page, "a b c d")
    expect(page.locator("#saved")).to_contain_text("saved")
    stored(page)
    assert Ranking.objects.count() == 1


def test_a_prompt_that_is_withdrawn_while_it_is_ranked_can_still_be_submitted(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    slate = make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, "a b c")
    expect(page.locator("#saved")).to_contain_text("saved")
    withdraw_prompt(prompt=slate.prompt)
    press(page, "d")
    stored(page)
    assert Ranking.objects.get().slate == slate
    page.reload()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()


def test_two_tabs_on_one_slate_store_one_ranking_and_the_second_is_told(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    one = opened(project, labeler, new_page, allow=("409",))
    other = new_page(context=one.context)
    other.goto(address(project))
    press(one, "a b c d")
    press(other, "d c b a")
    stored(one)
    first = judgement_of(Ranking.objects.get()).ranks
    press(other, "Enter")
    expect(other.get_by_role("alert").first).to_contain_text("that stands")
    assert judgement_of(Ranking.objects.get()).ranks == first
    assert Draft.objects.get().content["ranks"]


def test_a_key_of_submission_that_is_held_down_submits_once(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page)
    press(page, "a b c d")
    for _ in range(6):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    expect(page.get_by_text("1 today")).to_be_visible()
    sent(page)
    assert Ranking.objects.count() == 1


def test_no_completion_of_the_corpus_does_anything_but_be_read(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    """No dialog, no violation of the policy, no request to elsewhere; the console stays empty."""
    update_project(project=project, k=9)
    texts = marked()
    slates = [texts[first : first + 9] for first in range(0, len(texts) - 1, 9)]
    for some in slates:
        prompt = make_prompt(project, some[0], split=None)
        make_slate(project, some, prompt=prompt, purpose="evaluation")
    page = new_page(labeler)
    elsewhere: list[str] = []
    dialogs: list[str] = []

    def asked(request: Request) -> None:
        if "evil" in request.url or not request.url.startswith(page.url[:21]):
            elsewhere.append(request.url)

    page.goto(address(project))
    page.on("request", asked)
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.reload()
    shown = page.locator("#assignment")
    for some in slates:
        for text in some:
            expect(shown).to_contain_text(text.rpartition(" ")[2])
        page.mouse.move(300, 300)
        press(page, "v Escape m")
        press(page, "m " + " ".join("abcdefghi"[: len(some)]) + " Enter")
        expect(shown).not_to_contain_text(some[0].rpartition(" ")[2])
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    sent(page)
    assert (elsewhere, dialogs) == ([], [])
    assert Ranking.objects.count() == len(slates)
