"""A new labeler's way to the first real prompt, and a manager's look at how labelers do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.db import transaction
from playwright.sync_api import Page, expect

from labeling.decisions import decided, decision_of
from labeling.models import Membership, Project, Ranking, Slate, User
from labeling.slates import give_slot
from tests.browser.test_ranking_page import HEADING, address, press, sent, shown_ids
from tests.factories import make_answer, make_item, make_manager, make_slate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NewPage = Callable[..., Page]


def keys_for(page: Page, item: Slate, *, wrong: bool = False) -> str:
    """The letters that put the item's completions in the right order, or in the opposite one."""
    decision = decision_of(item)
    assert decision is not None
    ranks = decided(decision)
    letters = {pk: letter.lower() for letter, pk in shown_ids(page).items()}
    best_first = sorted(ranks, key=ranks.__getitem__, reverse=wrong)
    return " ".join(letters[pk] for pk in best_first) + " Enter"


def test_practice_and_quiz_lead_to_the_first_real_prompt_by_keys_alone(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    practice = make_item(project, "practice", explanation="Because it is **true**.")
    quiz = [make_item(project, "quiz"), make_item(project, "quiz")]
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    expect(page.get_by_text("Practice 1 of 1.")).to_be_visible()
    press(page, keys_for(page, practice, wrong=True))
    expect(page.get_by_role("heading", name="Practice: what differs")).to_be_visible()
    expect(page.get_by_text("Because it is true.")).to_be_visible()
    expect(page.get_by_role("link", name="Next")).to_be_focused()
    press(page, "Enter")
    for number, item in enumerate(quiz, 1):
        expect(page.get_by_text(f"Quiz {number} of 2.")).to_be_visible()
        press(page, keys_for(page, item))
    expect(page.get_by_text("You passed the quiz, welcome.")).to_be_visible()
    expect(page.get_by_role("heading", name=HEADING)).to_be_visible()
    expect(page.locator("#screening")).to_have_count(0)
    assert Membership.objects.get(user=labeler).accepted_at is not None
    press(page, "a b c d Enter")
    expect(page.get_by_role("heading", name="Nothing to rank right now")).to_be_visible()
    sent(page)
    assert Ranking.objects.filter(slate__purpose="training").count() == 1


def test_who_does_not_pass_is_told_kindly_and_let_in_by_a_manager(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    quiz = make_item(project, "quiz")
    make_slate(project)
    page = new_page(labeler)
    page.goto(address(project))
    press(page, keys_for(page, quiz, wrong=True))
    expect(page.get_by_role("heading", name="Thank you, that was the quiz")).to_be_visible()
    theirs = new_page(make_manager(project), width=390)
    theirs.goto(f"/projects/{project.slug}/people/")
    expect(theirs.get_by_text("did not pass")).to_be_visible()
    theirs.get_by_role("button", name="Another try lin").click()
    page.get_by_role("link", name="Look again").click()
    press(page, keys_for(page, quiz))
    expect(page.get_by_text("You passed the quiz, welcome.")).to_be_visible()


def test_without_scripts_practice_is_explained_as_well(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_item(project, "practice", (1, 2))
    page = new_page(labeler, javascript=False, width=390)
    page.goto(address(project))
    for letter, place in (("A", "1"), ("B", "2")):
        page.get_by_label(f"Rank of {letter}").select_option(place)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name=re.compile("^Practice:"))).to_be_visible()


def test_a_manager_makes_a_gold_item(project: Project, new_page: NewPage) -> None:
    prompt = make_slate(project).prompt
    page = new_page(make_manager(project))
    page.goto(f"/projects/{project.slug}/prompts/{prompt.pk}/")
    page.get_by_role("link", name="Use as an item with a known answer").click()
    page.get_by_label("Gold: mixed in unseen").check()
    for number, rank in enumerate("1233", 1):
        page.get_by_label(f"Rank of completion {number}").fill(rank)
    page.get_by_label("Why").fill("By length.")
    page.get_by_role("button", name="Make the item").click()
    expect(page.get_by_text("The item is there")).to_be_visible()
    decision = decision_of(Slate.objects.items().get())
    assert decision is not None
    assert sorted(decided(decision).values()) == [1, 2, 3, 3]


def test_who_falls_below_the_line_is_told_kindly_and_goes_on_when_resumed(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    """The next prompt is on the screen already when the server says that nothing more comes."""
    project.gold_percent, project.gold_window = 50, 3
    project.save()
    for _ in range(2):
        make_answer(make_item(project), labeler, (4, 3, 2, 1))
    last = make_item(project)
    with transaction.atomic():
        give_slot(slate=last, labeler=labeler)
    make_slate(project)
    make_slate(project)
    page = new_page(labeler)
    with page.expect_response(lambda response: "/ahead/" in response.url):
        page.goto(address(project))
    page.wait_for_timeout(200)
    press(page, keys_for(page, last, wrong=True))
    expect(page.get_by_role("heading", name="Let us look at this together")).to_be_visible()
    theirs = new_page(make_manager(project))
    theirs.goto(f"/projects/{project.slug}/people/")
    why = "0 % right on the last 3 gold items; the line is 60 %."
    expect(theirs.get_by_text(why)).to_be_visible()
    theirs.get_by_role("link", name="Answers lin").click()
    expect(theirs.get_by_role("row")).to_have_count(4)
    theirs.get_by_role("button", name="Resume lin").click()
    expect(theirs.get_by_text("works again")).to_be_visible()
    page.get_by_role("link", name="Look again").click()
    expect(page.get_by_role("heading", name=HEADING)).to_be_visible()
