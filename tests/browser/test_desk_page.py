"""What a labeler says beside the ranks, in a real browser and mostly by keys."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from labeling.guidelines import mark_read, publish
from labeling.judgements import judgement_of
from labeling.models import Completion, Demonstration, Draft, Project, Ranking, User
from labeling.projects import update_project
from tests.browser.test_ranking_page import address, fetched_ahead, press, sent, shown_ids
from tests.factories import make_labeler, make_ranking, make_slate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NewPage = Callable[..., Page]


def opened(project: Project, labeler: User, new_page: NewPage, **how: object) -> Page:
    page = new_page(labeler, **how)
    page.goto(address(project))
    return page


def stored(page: Page) -> None:
    """Submit, and wait until it is stored."""
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()


def test_a_digit_grades_what_was_placed_last(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    update_project(project=project, asks_likert=True)
    make_slate(project)
    page = opened(project, labeler, new_page)
    ids = shown_ids(page)
    press(page, "b 6 a 5 d 5 c Enter")
    note = page.locator("#rank-note")
    expect(note).to_have_text("Still without a grade: C.")
    press(page, "2")
    expect(note).to_have_text("All have a place.")
    stored(page)
    said = judgement_of(Ranking.objects.get())
    assert {letter: said.likert[pk] for letter, pk in ids.items()} == {
        "A": 5,
        "B": 6,
        "C": 2,
        "D": 5,
    }


def test_flags_are_given_by_keys(project: Project, labeler: User, new_page: NewPage) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    ids = shown_ids(page)
    press(page, "a b c d f")
    expect(page.locator("#rank-note")).to_have_text("Flags of which? A, B, C, D")
    press(page, "b 3 1 1 Escape")
    expect(page.locator("#announcer")).to_contain_text("not Fails to follow the instruction")
    expect(page.locator("[data-letter=B] [data-flag-count]")).to_have_text("1")
    press(page, "p Space Escape n")
    expect(page.locator("#rank-note")).to_have_text("None is good: said.")
    press(page, "n")
    expect(page.locator("#rank-note")).to_have_text("None is good: taken back.")
    press(page, "n")
    stored(page)
    said = judgement_of(Ranking.objects.get())
    assert said.flags == {ids["B"]: frozenset({"hallucination"})}
    assert (said.prompt_flags, said.none_good) == (frozenset({"personal-data"}), True)


def test_two_are_compared_and_placed_from_there(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project, ["The cat sat.", "The dog sat.", "A bird flew.", "Rain."])
    page = opened(project, labeler, new_page)
    texts = {card: page.locator(f"[data-letter={card}] .text").inner_text() for card in "ABCD"}
    cat, dog = (next(k for k, text in texts.items() if word in text) for word in ("cat", "dog"))
    press(page, f"v {cat.lower()} {dog.lower()}")
    expect(page.locator("mark.only-left")).to_have_text(["cat"])  # two others were shown first
    expect(page.locator("mark.only-right")).to_have_text(["dog"])
    press(page, "ArrowRight ArrowLeft Escape")
    places = page.locator(".place")
    expect(places.nth(0)).to_contain_text(dog)
    expect(places.nth(1)).to_contain_text(cat)


def test_texts_are_shown_as_written_until_they_are_turned_back(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project, ["**bold**", "one", "two", "three"])
    make_slate(project, ["*soft*", "one", "two", "three"])
    page = opened(project, labeler, new_page)
    expect(page.locator("strong", has_text="bold")).to_be_visible()
    press(page, "m")
    expect(page.locator(".as-written", has_text="**bold**")).to_be_visible()
    expect(page.locator("strong", has_text="bold")).to_be_hidden()
    press(page, "a b c d Enter")
    expect(page.locator(".as-written", has_text="*soft*")).to_be_visible()
    press(page, "m")
    expect(page.locator("em", has_text="soft")).to_be_visible()


def test_a_better_version_is_typed_kept_and_ranked_first(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    ids = shown_ids(page)
    press(page, "a b c d w")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("A better answer.")
    expect(page.locator("#saved")).to_contain_text("saved")
    page.reload()
    field = page.get_by_label("Better version of D")
    expect(field).to_have_value("A better answer.")
    stored(page)
    edit = Completion.objects.get(edited_from=ids["D"])
    assert Ranking.objects.get().ranks.get(completion=edit).rank == 1
    assert Demonstration.objects.get().text == "A better answer."


def test_a_comment_is_kept_in_the_browser_and_on_the_server(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page, allow=("ERR_FAILED",))
    page.route("**/draft/", lambda route: route.abort())
    press(page, "t")
    page.keyboard.type("Hm & <b>.")
    expect(page.locator("#saved")).to_have_text("not sent, kept in this browser")
    page.unroute("**/draft/")
    page.reload()
    expect(page.get_by_label("Comment")).to_have_value("Hm & <b>.")
    press(page, "a")
    expect(page.locator("#saved")).to_contain_text("saved")
    elsewhere = opened(project, labeler, new_page)
    expect(elsewhere.get_by_label("Comment")).to_have_value("Hm & <b>.")
    assert Draft.objects.get().content["comment"] == "Hm & <b>."


def test_the_last_submission_is_undone_by_a_key(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    make_slate(project)
    page = opened(project, labeler, new_page)
    ids = shown_ids(page)
    press(page, "a b c d Enter")
    expect(page.get_by_text("1 today")).to_be_visible()
    press(page, "u")
    expect(page.get_by_role("heading", name="What you submitted")).to_be_visible()
    expect(page.locator(".place")).to_have_count(4)
    press(page, "d")
    press(page, "d")
    page.get_by_role("button", name="D, place 4").focus()
    press(page, "ArrowUp ArrowUp ArrowUp Enter")
    expect(page.get_by_text("stands now")).to_be_visible()
    current = Ranking.objects.current().get()
    assert judgement_of(current).ranks[ids["D"]] == 1
    assert Ranking.objects.count() == 2


def test_keys_can_be_changed_and_letters_of_completions_need_shift(
    labeler: User, project: Project, new_page: NewPage
) -> None:
    update_project(project=project, k=7)
    make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, "f")
    expect(page.locator(".place")).to_contain_text("F")
    press(page, "Shift+F")
    expect(page.locator("#rank-note")).to_contain_text("Flags of which?")
    press(page, "Escape ?")
    change = page.locator("[data-change=flags]")
    expect(change).to_have_text("⇧ F")
    change.press("v")
    expect(page.locator("#keys-problem")).to_contain_text("is taken")
    change.press("k")
    expect(change).to_have_text("k")
    page.reload()
    press(page, "k")
    expect(page.locator("#rank-note")).to_contain_text("Flags of which?")
    press(page, "Escape ?")
    page.get_by_role("button", name="As they were at first").click()
    expect(page.locator("[data-change=flags]")).to_have_text("⇧ F")


def test_a_break_keeps_what_was_entered(project: Project, labeler: User, new_page: NewPage) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, "c z")
    expect(page.get_by_role("heading", name="You are on a break")).to_be_visible()
    expect(page.get_by_role("button", name="Back to work")).to_contain_text("z")
    press(page, "z")
    expect(page.locator(".place")).to_contain_text("C")


def test_new_guidelines_come_first_and_one_key_goes_on(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    publish(project=project, text="Prefer what is short.")
    page = opened(project, labeler, new_page)
    expect(page.locator("mark")).to_have_text("short")
    page.get_by_role("button", name="to work").press("Enter")
    expect(page.get_by_role("heading", name="Rank these 4 completions")).to_be_visible()


def test_guidelines_published_meanwhile_come_before_what_was_fetched_ahead(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page)
    publish(project=project, text="Prefer what is short.")
    press(page, "a b c d Enter")
    expect(page.locator("mark")).to_have_text("short")
    page.get_by_role("button", name="to work").press("Enter")
    expect(page.get_by_text("1 today")).to_be_visible()
    assert Ranking.objects.count() == 1


def test_whoever_has_begun_the_next_one_reads_new_guidelines_after_it(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page)
    publish(project=project, text="Prefer what is short.")
    page.route("**/submission/", lambda route: (page.wait_for_timeout(700), route.continue_()))
    press(page, "a b c d Enter a b")
    expect(page.get_by_text("The guidelines have a new version.")).to_be_visible()
    expect(page.locator(".place")).to_have_count(2)
    press(page, "c d Enter")
    expect(page.locator("mark")).to_have_text("short")
    assert Ranking.objects.count() == 2


@pytest.mark.parametrize(
    ("keys", "graded"),
    [
        ("a b 6", "B"),
        ("a b Backspace 6", "A"),  # the one that was taken back has no place to be graded at
        ("a b b 6", "A"),
        ("a b a 6", "B"),
        ("a b Backspace Backspace b 6", "B"),
    ],
)
def test_a_digit_never_grades_what_was_taken_out(
    project: Project, labeler: User, new_page: NewPage, keys: str, graded: str
) -> None:
    update_project(project=project, asks_likert=True)
    make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, keys)
    expect(page.locator("#announcer")).to_have_text(f"{graded}: grade 6.")
    expect(page.locator("[data-likert] input:checked")).to_have_count(1)
    expect(page.locator(f"[data-letter={graded}] [data-likert] input:checked")).to_have_value("6")


def test_a_digit_grades_the_chip_that_has_the_focus_and_flags_the_prompt_in_its_flags(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    update_project(project=project, asks_likert=True, asks_prompt_flags=True)
    make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, "a b c")
    page.locator(".places .chip", has_text="A").focus()
    press(page, "5")
    expect(page.locator("[data-letter=A] [data-likert] input:checked")).to_have_value("5")
    press(page, "d 3")  # the chip has the focus still, and D was placed last
    expect(page.locator("[data-letter=D] [data-likert] input:checked")).to_have_value("3")
    press(page, "p 2")
    expect(page.locator("#prompt-flags input").nth(1)).to_be_checked()
    expect(page.locator("[data-likert] input:checked")).to_have_count(2)
    press(page, "Escape 7")
    expect(page.locator("[data-letter=D] [data-likert] input:checked")).to_have_value("7")


def test_a_screen_reader_hears_what_moved_where(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    said = page.locator("#announcer")
    press(page, "a")
    expect(said).to_have_text("A: place 1.")
    press(page, "= b")
    expect(said).to_have_text("B: place 1, tied with A.")
    press(page, "c")
    expect(said).to_have_text("C: place 2.")
    press(page, "Backspace")
    expect(said).to_have_text("One step back. C taken out.")
    press(page, "b")
    expect(said).to_have_text("B taken out.")
    press(page, "Backspace")
    expect(said).to_have_text("One step back. B: place 1, tied with A.")
    press(page, "c")
    page.locator(".places .chip", has_text="C").focus()
    press(page, "ArrowUp")
    expect(said).to_have_text("C: place 1.")
    press(page, "Backspace")
    expect(said).to_contain_text("C: place 2.")
    page.locator(".places .chip", has_text="A").drag_to(page.locator(".tray"))
    expect(said).to_have_text("A taken out.")


def test_steady_typing_is_on_the_server_while_it_goes_on(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, "t")
    began = time.monotonic()
    while not Draft.objects.exclude(content__comment="").exists():
        page.keyboard.type("word ", delay=60)
        assert time.monotonic() - began < 10


def test_undo_says_why_it_has_to_wait(project: Project, labeler: User, new_page: NewPage) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("ERR_INTERNET", "Failed to load"))
    page.context.set_offline(True)
    press(page, "a b c d Enter")
    expect(page.locator("#assignment-heading")).to_be_focused()
    press(page, "u")
    expect(page.locator("#rank-note")).to_contain_text("1 not sent yet")
    page.context.set_offline(False)
    sent(page)


def test_control_and_enter_submit_from_within_a_text(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    press(page, "a b c t")
    page.keyboard.type("Two lines,")
    press(page, "Enter")
    page.keyboard.type("one comment.")
    press(page, "Control+Enter")
    expect(page.locator("#rank-note")).to_have_text("Still without a place: D.")
    press(page, "Escape d t Control+Enter")
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    assert Ranking.objects.get().comment == "Two lines,\none comment."


def test_on_a_phone_the_prompt_folds_and_the_tools_are_there(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page, width=360, height=740)
    expect(page.locator(".prompt .turn")).to_be_visible()
    page.locator(".prompt summary").click()
    expect(page.locator(".prompt .turn")).to_be_hidden()
    for name in ("Compare two", "As written"):
        expect(page.locator(".assignment-head").get_by_text(name)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_key_that_is_held_down_counts_once(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    for _ in range(4):
        page.keyboard.down("a")
    page.keyboard.up("a")
    expect(page.locator(".place")).to_have_count(1)


def test_everything_can_be_said_without_scripts(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    update_project(project=project, asks_likert=True)
    make_slate(project)
    page = opened(project, labeler, new_page, javascript=False)
    ids = shown_ids(page)
    for letter in "ABCD":
        page.get_by_label(f"Rank of {letter}").select_option("1")
        page.locator(f"[data-letter={letter}] [name^=likert][value='4']").check()
    page.locator("[data-letter=A] summary", has_text="Flags").click()
    page.locator("[data-letter=A]").get_by_label("Hallucination").check()
    page.locator("[data-letter=B] summary", has_text="Write it better").click()
    page.get_by_label("Better version of B").fill("Better.")
    page.locator("summary", has_text="Comment").click()
    page.get_by_label("Comment", exact=True).fill("Done by hand.")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    said = judgement_of(Ranking.objects.get())
    assert (said.comment, said.edits) == ("Done by hand.", {ids["B"]: "Better."})
    assert said.flags == {ids["A"]: frozenset({"hallucination"})}
    assert set(said.likert.values()) == {4}


def slate_of(page: Page) -> str:
    return page.locator("#assignment").get_attribute("data-slate") or ""


def with_one_ahead(project: Project, labeler: User, new_page: NewPage, **how: object) -> Page:
    """Three slates, the first one shown, the second fetched."""
    for _ in range(3):
        make_slate(project)
    page = new_page(labeler, **how)
    with fetched_ahead(page):
        page.goto(address(project))
    return page


def test_the_next_one_is_there_before_the_server_has_answered(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page)
    first = slate_of(page)
    page.route("**/submission/", lambda route: (page.wait_for_timeout(400), route.continue_()))
    press(page, "a b c d Enter")
    expect(page.locator("#assignment")).not_to_have_attribute("data-slate", first, timeout=300)
    expect(page.get_by_text("1 today")).to_be_visible()
    press(page, "d c b a")
    with fetched_ahead(page):
        pass
    press(page, "Enter")
    expect(page.get_by_text("2 today")).to_be_visible()
    press(page, "a b c d Enter")
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    assert Ranking.objects.count() == 3


def test_a_slow_answer_is_not_asked_for_a_second_time(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    make_slate(project)
    page = new_page(labeler)
    asked: list[str] = []

    def slowly(route: Route) -> None:
        asked.append(route.request.url)
        page.wait_for_timeout(900)
        route.continue_()

    page.route("**/rank/ahead/", slowly)
    with fetched_ahead(page):
        page.goto(address(project))
    page.wait_for_timeout(500)
    assert len(asked) == 1
    with fetched_ahead(page):
        press(page, "a b c d Enter")  # each desk asks once
    assert len(asked) == 2


def test_without_a_network_two_are_kept_and_sent_when_it_is_back(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("ERR_INTERNET", "Failed to load"))
    page.context.set_offline(True)
    press(page, "a b c d Enter")
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    press(page, "b a c d Enter")
    expect(page.get_by_role("heading", name="Sending what you submitted")).to_be_focused()
    expect(page.locator("#outbox")).to_contain_text("2 not sent yet")
    assert not Ranking.objects.exists()
    page.context.set_offline(False)
    expect(page.get_by_text("2 today")).to_be_visible()
    sent(page)
    assert Ranking.objects.count() == 2


def test_a_submission_survives_the_page_that_was_closed_on_it(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("ERR_FAILED",))
    page.route("**/submission/", lambda route: route.abort())
    press(page, "a b c d Enter")
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    context = page.context
    page.close()
    again = new_page(context=context)
    again.goto(address(project))
    expect(again.locator("#outbox")).to_be_hidden()
    sent(again)
    assert Ranking.objects.count() == 1


def test_what_the_server_refuses_meanwhile_is_said_and_kept(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("400",))
    first = slate_of(page)
    update_project(project=project, asks_likert=True)
    press(page, "c a b d Enter")
    expect(page.locator("#refused")).to_contain_text("Give each completion a grade")
    assert not Ranking.objects.exists()
    expect(page.locator("#assignment")).to_have_attribute("data-slate", first)
    expect(page.locator(".place")).to_have_count(4)
    expect(page.locator(".place").nth(0)).to_contain_text("C")


def test_another_person_who_signs_in_does_not_send_it_as_theirs(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("401", "ERR_FAILED"))
    page.route("**/submission/", lambda route: route.abort())
    press(page, "a b c d Enter")
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    other = make_labeler(project, "mo")
    mark_read(guidelines=project.guidelines, user=other)
    new_page(other, context=page.context).close()
    page.unroute("**/submission/")
    refused = page.locator("#refused")
    expect(refused).to_contain_text("Somebody else is signed in")
    assert not Ranking.objects.exists()
    new_page(labeler, context=page.context).close()
    sent(page)
    expect(refused).to_be_hidden()
    assert Ranking.objects.get().labeler == labeler


def test_what_the_server_never_takes_does_not_hold_up_the_rest(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("404",))
    first = slate_of(page)
    page.route("**/submission/", lambda route: route.fulfill(status=404, body="gone"))
    press(page, "a b c d Enter")
    expect(page.locator("#outbox")).to_contain_text("Not taken by the server")
    page.unroute("**/submission/")
    expect(page.locator("#assignment")).not_to_have_attribute("data-slate", first)
    press(page, "a b c d Enter")
    expect(page.get_by_text("1 today")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_role("button", name="Discard it")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Discard it").click()
    expect(page.locator("#outbox")).to_be_hidden()


def test_a_page_loaded_again_while_a_submission_is_on_its_way_does_not_show_it_again(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = with_one_ahead(project, labeler, new_page, allow=("ERR_FAILED",))
    first = slate_of(page)
    page.route("**/submission/", lambda route: route.abort())
    press(page, "a b c d Enter")
    expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
    page.reload()
    expect(page.get_by_role("heading", name="Sending what you submitted")).to_be_visible()
    page.unroute("**/submission/")
    expect(page.get_by_text("1 today")).to_be_visible()
    expect(page.locator("#assignment")).not_to_have_attribute("data-slate", first)


def test_an_older_tab_does_not_overwrite_what_a_newer_one_typed(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    older = opened(project, labeler, new_page)
    newer = new_page(context=older.context)
    newer.goto(address(project))
    press(newer, "t")
    newer.keyboard.type("Long and careful.")
    expect(newer.locator("#saved")).to_contain_text("saved")
    press(older, "a")
    expect(older.locator("#saved")).to_contain_text("newer draft is open elsewhere")
    older.reload()
    expect(older.get_by_label("Comment")).to_have_value("Long and careful.")


def test_a_draft_is_sent_again_by_itself(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page, allow=("ERR_FAILED",))
    page.route("**/draft/", lambda route: route.abort())
    press(page, "d b")
    expect(page.locator("#saved")).to_have_text("not sent, kept in this browser")
    page.unroute("**/draft/")
    expect(page.locator("#saved")).to_contain_text("saved")


def test_a_ranking_that_can_no_longer_be_corrected_shows_its_places(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    update_project(project=project, correction_hours=0)
    ranking = make_ranking(project, labeler)
    page = new_page(labeler)
    page.goto(f"/projects/{project.slug}/rankings/{ranking.pk}/")
    for place in range(1, 5):
        expect(page.get_by_text(f"place {place}", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


def test_letters_work_on_a_keyboard_of_another_script(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_slate(project)
    page = opened(project, labeler, new_page)
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'и', code: 'KeyB', bubbles: true}))"
    )
    expect(page.locator(".place")).to_contain_text("B")
