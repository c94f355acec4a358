"""A labeler talks with the policy in a real browser: by keys alone, and without scripts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Conversation, FormDraft, Project, Ranking, Turn, User
from labeling.projects import update_project
from tests.browser.test_ranking_page import press, shown_ids
from tests.labeling.talks import answered

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NewPage = Callable[..., Page]


@pytest.fixture
def talking(project: Project) -> Project:
    """Whose labelers talk with the policy."""
    return update_project(project=project, allows_conversations=True)


def address(project: Project) -> str:
    return f"/projects/{project.slug}/conversations/"


def begun(page: Page, project: Project) -> Conversation:
    page.goto(address(project))
    page.get_by_role("button", name="Begin a conversation").press("Enter")
    expect(page.get_by_label("What do you say first?")).to_be_focused()
    page.wait_for_load_state()  # the field has the focus before the page's script is there
    return Conversation.objects.get()


def letter_of(page: Page, text: str) -> str:
    """The key of the completion that says `text`."""
    card = page.locator("[data-completion]", has_text=text)
    return (card.get_attribute("data-letter") or "").lower()


def test_two_turns_by_keys_alone(talking: Project, labeler: User, new_page: NewPage) -> None:
    page = new_page(labeler)
    conversation = begun(page, talking)
    page.keyboard.type("How do tides work?")
    press(page, "Control+Enter")
    expect(page.get_by_role("heading", name="The model is writing 4 answers")).to_be_visible()
    answered(conversation, ["One.", "Two."])
    expect(page.get_by_role("heading", name="2 of 4 answers are there")).to_be_visible()
    answered(conversation)
    expect(page.get_by_role("heading", name="Rank these 4 completions")).to_be_focused()
    best = letter_of(page, "Two.")
    others = [letter for letter in "abcd" if letter != best]
    press(page, " ".join([best, others[0], "=", others[1], others[2], "Enter"]))
    expect(page.get_by_label("What do you say next?")).to_be_focused()
    expect(page.locator("#announcer")).to_have_text("Ranked. What do you say next?")
    expect(page.locator(".talk")).to_contain_text("Two.")
    page.keyboard.type("And in lakes?")
    press(page, "Control+Enter")
    expect(page.get_by_role("heading", name="The model is writing 4 answers")).to_be_visible()
    answered(conversation, ["A.", "B.", "C.", "D."])
    expect(page.get_by_role("heading", name="Rank these 4 completions")).to_be_focused()
    best = letter_of(page, "C.")
    press(page, " ".join([best, *[letter for letter in "abcd" if letter != best], "w"]))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Hardly any.")
    expect(page.locator("#saved")).to_contain_text("saved")
    press(page, "Escape Enter")
    expect(page.locator(".talk")).to_contain_text("Hardly any.")
    first, second = Turn.objects.order_by("number")
    assert first.chosen is not None
    assert first.chosen.text == "Two."
    assert [message["content"] for message in second.prompt.messages] == [
        "How do tides work?",
        "Two.",
        "And in lakes?",
    ]
    assert Ranking.objects.count() == 2


def test_what_is_typed_is_kept_until_it_is_said(
    talking: Project, labeler: User, new_page: NewPage
) -> None:
    page = new_page(labeler, allow=("ERR_INTERNET_DISCONNECTED", "Failed to fetch"))
    begun(page, talking)
    page.keyboard.type("How do tides work?")
    page.context.set_offline(True)
    press(page, "Control+Enter")
    expect(page.locator("#request-problem")).to_contain_text("What you entered is still here")
    field = page.get_by_label("What do you say first?")
    field.fill("How do tides work? And lakes?")
    page.context.set_offline(False)
    page.reload()
    expect(field).to_have_value("How do tides work? And lakes?")
    assert not Turn.objects.exists()
    field.focus()
    page.context.set_offline(True)
    press(page, "Control+Enter")
    expect(page.locator("#request-problem")).to_contain_text("sent as soon as the server answers")
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="The model is writing")).to_be_visible()
    page.get_by_role("button", name="End conversation").click()
    begin = page.get_by_role("button", name="Begin a conversation")
    begin.click()
    expect(field).to_have_value("")
    assert Turn.objects.count() == 1


def test_what_is_typed_is_on_the_server_within_a_moment(
    talking: Project, labeler: User, new_page: NewPage
) -> None:
    page = new_page(labeler)
    begun(page, talking)
    page.keyboard.type("How do tides work?")
    expect(page.locator("#saved")).to_contain_text("saved")
    field = "What do you say first?"
    elsewhere = new_page(labeler)
    elsewhere.goto(page.url)
    expect(elsewhere.get_by_label(field)).to_have_value("How do tides work?")
    elsewhere.get_by_label(field).fill("How do the tides work?")
    expect(elsewhere.locator("#saved")).to_contain_text("saved")
    page.get_by_label(field).press("End")
    page.keyboard.type("!")
    expect(page.locator("#saved")).to_contain_text("a newer draft is open elsewhere")
    assert dict(FormDraft.objects.get().content)["text"] == "How do the tides work?"
    page.get_by_role("button", name="Keep this one").click()
    expect(page.locator("#saved")).to_contain_text("saved")
    assert dict(FormDraft.objects.get().content)["text"] == "How do tides work?!"
    page.get_by_label(field).focus()
    press(page, "Control+Enter")
    expect(page.get_by_role("heading", name="The model is writing")).to_be_visible()
    assert FormDraft.objects.get().content == []


def test_a_ranking_under_way_is_kept_and_what_is_missing_is_said(
    talking: Project, labeler: User, new_page: NewPage
) -> None:
    page = new_page(labeler)
    conversation = begun(page, talking)
    page.keyboard.type("Hello.")
    press(page, "Control+Enter")
    expect(page.get_by_role("heading", name="The model is writing")).to_be_visible()
    answered(conversation)
    expect(page.get_by_role("heading", name="Rank these 4 completions")).to_be_focused()
    ids = shown_ids(page)
    press(page, "b a Enter")
    expect(page.locator("#rank-note")).to_have_text("Still without a place: C, D.")
    expect(page.locator("#saved")).to_contain_text("saved")
    page.reload()
    expect(page.locator(".place")).to_have_count(2)
    assert shown_ids(page) == ids
    press(page, "v")
    expect(page.locator("#compare-body")).to_contain_text("Words that only one of them has")
    press(page, "Escape c d Enter")
    expect(page.get_by_label("What do you say next?")).to_be_focused()


def test_it_works_without_scripts(talking: Project, labeler: User, new_page: NewPage) -> None:
    page = new_page(labeler, javascript=False)
    page.goto(address(talking))
    page.get_by_role("button", name="Begin a conversation").click()
    page.get_by_label("What do you say first?").fill("How do tides work?")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("link", name="Look again").click()
    conversation = Conversation.objects.get()
    answered(conversation)
    page.get_by_role("link", name="Look again").click()
    for letter, place in zip("ABCD", "1122", strict=True):
        page.get_by_label(f"Rank of {letter}").select_option(place)
    texts = {card: page.locator(f"[data-letter={card}] .text").inner_text() for card in "AB"}
    page.get_by_role("button", name="Submit").click()
    page.get_by_label("Answer 2").check()
    page.get_by_label("What do you say next?").fill("And then?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="The model is writing 4 answers")).to_be_visible()
    expect(page.locator(".talk")).to_contain_text(texts["B"])
    first = Turn.objects.get(number=1)
    assert first.chosen is not None
    assert first.chosen.text == texts["B"]
