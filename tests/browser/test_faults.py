"""What goes wrong while somebody ranks, in a real browser: nothing that was said is lost."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Request, Route, expect

from labeling.judgements import judgement_of
from labeling.models import Assignment, Draft, Project, Ranking, User
from labeling.projects import update_project
from labeling.prompts import withdraw_prompt
from tests.browser.conftest import sign_in
from tests.browser.test_desk_page import opened, stored, with_one_ahead
from tests.browser.test_ranking_page import address, fetched_ahead, press, sent, shown_ids
from tests.factories import make_labeler, make_prompt, make_ranking, make_slate
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
    with fetched_ahead(page):
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


@pytest.mark.parametrize("how", ["offline", "restart"])
def test_the_last_slate_is_sent_by_itself_when_the_server_is_back(
    project: Project, labeler: User, new_page: NewPage, how: str
) -> None:
    make_slate(project)
    page = new_page(labeler, allow=("ERR_INTERNET", "Failed to", "503"))
    page.clock.install()
    page.goto(address(project))
    ids = shown_ids(page)
    where = "**/submission/"
    if how == "offline":
        page.context.set_offline(True)
    else:
        page.route(where, lambda route: route.fulfill(status=503))
    press(page, "b a d c Enter")
    problem = page.locator("#request-problem")
    expect(problem).to_contain_text("sent as soon as the server answers")
    press(page, "Backspace")
    page.clock.run_for(6_000)
    expect(problem).to_contain_text("since you went on with it")
    press(page, "c Enter")
    expect(problem).to_contain_text("sent as soon as the server answers")
    assert not Ranking.objects.exists()
    if how == "offline":
        page.context.set_offline(False)
    else:
        page.unroute(where)
    page.clock.run_for(6_000)
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    expect(problem).to_be_hidden()
    ranks = judgement_of(Ranking.objects.get()).ranks
    assert ranks == {ids["B"]: 1, ids["A"]: 2, ids["D"]: 3, ids["C"]: 4}


def test_whoever_is_at_it_keeps_the_lease_and_hears_of_a_lost_one(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler, allow=("409",))
    page.clock.install()
    page.goto(address(project))
    renewals: list[str] = []
    page.on("request", lambda asked: renewals.append(asked.url) if "/renew/" in asked.url else None)
    press(page, "b")
    page.clock.run_for(61_000)
    assert renewals == []  # nobody was there
    held = Assignment.objects.get()
    with page.expect_response("**/renew/") as answer:
        press(page, "a")
    assert answer.value.ok
    assert Assignment.objects.get().lease_expires_at > held.lease_expires_at
    page.clock.run_for(30_000)
    press(page, "d")
    assert len(renewals) == 1  # at most one a minute
    Assignment.objects.update(lease_token=uuid.uuid4())
    page.clock.run_for(61_000)
    press(page, "c")
    expect(page.locator("#assignment-notice")).to_contain_text("somebody else ranks this one now")
    assert len(renewals) == 2


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
    expect(page.locator("#request-problem")).to_contain_text("You are signed out")
    page.locator("#request-problem [data-dismiss]").click()
    press(page, "Escape c Enter")
    expect(page.locator("#request-problem")).to_contain_text("You are signed out")
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    new_page(labeler, context=page.context).close()
    sent(page)
    said = judgement_of(Ranking.objects.get())
    assert (said.comment, said.ranks[ids["B"]]) == ("Nobody knows me.", 1)


def test_who_is_signed_in_again_is_no_longer_told_so(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler, allow=("401", "Unauthorized"))
    page.goto(address(project))
    page.context.clear_cookies(name="sessionid")
    press(page, "a")
    expect(page.locator("#request-problem")).to_contain_text("You are signed out")
    new_page(labeler, context=page.context).close()
    expect(page.locator("#request-problem")).to_be_hidden()
    expect(page.locator("#saved")).to_contain_text("saved")


def test_somebody_else_who_signs_in_meanwhile_sends_nothing_of_it(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("401", "Unauthorized", "40"))
    other = make_labeler(project)
    new_page(other, context=page.context).close()
    press(page, "b a d c Enter")
    expect(page.locator("#refused")).to_contain_text("Somebody else is signed in")
    assert not Ranking.objects.exists()
    new_page(labeler, context=page.context).close()
    sent(page)
    assert Ranking.objects.get().labeler == labeler


def test_a_network_that_says_yes_to_everything_has_taken_nothing(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page)
    portal = "<html><body>Welcome to our hotel. Please accept the terms.</body></html>"
    page.route("**/submission/", lambda route: route.fulfill(body=portal, content_type="text/html"))
    press(page, "b a d c Enter")
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    page.wait_for_timeout(300)
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    assert not Ranking.objects.exists()
    page.unroute("**/submission/")
    sent(page)
    assert Ranking.objects.count() == 1


def test_a_draft_that_the_server_will_never_take_says_why_and_is_not_sent_again(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = new_page(labeler, allow=("400",))
    page.clock.install()
    page.goto(address(project))
    times = []

    def refuse(route: Route) -> None:
        times.append(route.request.url)
        route.fulfill(status=400, json={"code": "draft_refused", "message": "Too large."})

    page.route("**/draft/", refuse)
    press(page, "a")
    page.clock.run_for(1_000)
    expect(page.locator("#saved")).to_have_text("kept in this browser alone. Too large.")
    page.clock.run_for(60_000)
    assert len(times) == 1
    page.unroute("**/draft/")
    press(page, "b")
    page.clock.run_for(1_000)
    expect(page.locator("#saved")).to_contain_text("saved")


def test_of_two_drafts_written_side_by_side_the_labeler_chooses(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    older, newer = new_page(labeler), new_page(labeler)
    for page in (older, newer):
        page.goto(address(project))
    press(newer, "a")
    expect(newer.locator("#saved")).to_contain_text("saved")
    press(older, "d")
    expect(older.locator("#saved")).to_contain_text("a newer draft is open elsewhere")
    press(older, "t")  # goes on writing all the same
    older.keyboard.type("A long thought.")
    older.reload()
    aside = older.locator(".saved.aside")
    expect(aside).to_contain_text("another draft of yours was put aside")
    assert older.locator(".place").all_inner_texts()[0].startswith("1")
    older.get_by_role("button", name="Show that one").click()
    expect(older.locator("#comment textarea")).to_have_value("A long thought.")
    expect(older.locator("#saved")).to_contain_text("saved")
    assert Draft.objects.get().content["comment"] == "A long thought."
    expect(aside).to_contain_text("put aside")  # they changed places: nothing is gone
    press(newer, "b")
    expect(newer.locator("#saved")).to_contain_text("a newer draft is open elsewhere")
    newer.get_by_role("button", name="Keep this one").click()
    expect(newer.locator("#saved")).to_contain_text("saved")
    draft = Draft.objects.get()
    assert sorted(draft.content["ranks"].values()) == [1, 2]
    assert not draft.content.get("comment")


def test_a_correction_that_cannot_be_sent_stays_on_its_page(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    ranking = make_ranking(project, labeler)
    page = new_page(labeler, allow=("ERR_INTERNET", "Failed to load"))
    page.goto(f"/projects/{project.slug}/rankings/{ranking.pk}/")
    ids = shown_ids(page)
    press(page, "a b c d d a b c")  # all out, and in again
    page.context.set_offline(True)
    press(page, "Enter")
    problem = page.locator("#request-problem")
    expect(problem).to_contain_text("What you entered is still here")
    expect(page.locator(".place")).to_have_count(4)
    page.context.set_offline(False)
    page.context.clear_cookies()
    press(page, "Enter")
    expect(problem).to_contain_text("You are signed out")
    sign_in(page.context, page.url.partition("/projects")[0], labeler)
    page.context.new_page().goto("/")  # in another tab, which has a token of its own
    with page.expect_navigation():
        press(page, "Enter")
    expect(page.get_by_text("stands now")).to_be_visible()
    fresh = Ranking.objects.current().get()
    assert fresh.replaces == ranking
    assert judgement_of(fresh).ranks == {ids["D"]: 1, ids["A"]: 2, ids["B"]: 3, ids["C"]: 4}


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


@pytest.mark.parametrize("width", [360, 1440])
def test_wide_formulas_and_tables_stay_within_their_own_completion(
    project: Project, labeler: User, new_page: NewPage, width: int
) -> None:
    cells = "| " + "a longer cell | " * 12
    table = f"{cells}\n{'|---' * 12}|\n{cells}"
    formula = "+".join(f"x_{{{place}}}" for place in range(80))
    over = r"$a\hspace{40em}\text{worse: wrong facts}$"
    make_slate(project, ["Plain.", table, f"$${formula}$$", f"So ${formula}$ and {over}"])
    page = new_page(labeler)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address(project))
    expect(page.locator("[data-completion]")).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    wider = """cards => cards.flatMap(card => {
      const {left, right} = card.getBoundingClientRect();
      return [...card.querySelectorAll(".text.rendered")].map(text => {
        const box = text.getBoundingClientRect();
        return box.left < left || box.right > right || getComputedStyle(text).overflowX;
      });
    })"""
    # The plain one is shown as it was written.
    assert page.locator("[data-completion]").evaluate_all(wider) == ["auto"] * 3


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
