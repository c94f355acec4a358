"""People write answers and prompts in a real browser: by keys, without scripts, offline."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from labeling.guidelines import mark_read
from labeling.models import Demonstration, FormDraft, Project, Prompt, User, WritingTask
from labeling.prompts import split_for
from labeling.scripts import measures_of
from tests.factories import make_labeler, make_project, make_prompt

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NewPage = Callable[..., Page]
NETWORK = ("ERR_FAILED", "ERR_INTERNET_DISCONNECTED", "Failed to fetch")
ANSWER = "Rain falls from *clouds*."


@pytest.fixture
def project(transactional_db: None) -> Project:
    """One that asks for demonstrations and prompts."""
    return make_project(
        name="Rain",
        guidelines="Prefer what is true.",
        asks_demonstrations=True,
        asks_prompts=True,
    )


def answers(project: Project) -> str:
    return f"/projects/{project.slug}/demonstrations/write/"


def prompts(project: Project) -> str:
    return f"/projects/{project.slug}/prompts/write/"


def tab_to(page: Page, selector: str) -> None:
    """By Tab alone, from where the focus is."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(selector)


def test_an_answer_is_written_previewed_and_sent_by_keys_alone(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    first, second = make_prompt(project, priority=1), make_prompt(project)
    page = new_page(labeler)
    page.goto(answers(project))
    expect(page.get_by_text(first.text)).to_be_visible()
    tab_to(page, "#answer")
    page.keyboard.type(ANSWER)
    expect(page.locator("#measures")).to_have_text(
        "Characters: 25 · words: 4 · tokens: about 7 of 64 · Latin letters"
    )
    expect(page.locator("#saved")).to_contain_text("saved")
    tab_to(page, "#preview-button")
    page.keyboard.press("Enter")
    expect(page.locator("#shown em")).to_have_text("clouds")
    for _ in range(2):
        page.keyboard.press("Shift+Tab")  # past the button that sends
    expect(page.locator("#answer")).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type(" **Often**.")
    expect(page.locator("#shown strong")).to_have_text("Often")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".prompt")).to_contain_text(second.text)
    expect(page.get_by_role("heading", name="Write the ideal answer")).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text("Sent: a reviewer looks at it next. Next:")
    expect(page.locator("#answer")).to_have_value("")
    expect(page.get_by_text("1 today")).to_be_visible()
    made = Demonstration.objects.get()
    assert (made.prompt, made.text) == (first, ANSWER + " **Often**.")
    assert WritingTask.objects.get(prompt=first).seconds > 0


def test_a_script_other_than_the_prompts_and_too_many_tokens_are_told(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    page = new_page(labeler)
    page.goto(answers(project))
    page.locator("#answer").fill("Идёт дождь")
    expect(page.locator('[data-warning="other-script"]')).to_have_text(
        "The prompt is written in: Latin letters. Your answer: Cyrillic letters."
    )
    expect(page.locator('[data-warning="too-long"]')).to_be_hidden()
    page.locator("#answer").fill("rain " * 60)
    expect(page.locator('[data-warning="too-long"]')).to_be_visible()
    expect(page.locator('[data-warning="other-script"]')).to_be_hidden()


def test_the_browser_measures_as_the_server_does(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    page = new_page(labeler)
    texts = [
        "",
        "It rains, often.",
        "なぜ雨が降るのか",
        "비가 온다 2 times",
        "Идёт дождь 🙂",
        "تمطر",
    ]
    page.goto(answers(project))
    for text in texts:
        page.locator("#answer").fill(text)
        live = page.locator("#measures").text_content()
        found = measures_of(text)
        assert live == " · ".join(
            [
                f"Characters: {found.characters}",
                f"words: {found.words}",
                f"tokens: about {found.tokens} of 64",
                *filter(None, [found.script_name]),
            ]
        )


def test_an_answer_is_written_without_scripts(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    first = make_prompt(project, priority=1)
    make_prompt(project)
    page = new_page(labeler, javascript=False)
    page.goto(answers(project))
    page.get_by_label("Your answer").fill(ANSWER)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#shown em")).to_have_text("clouds")
    expect(page.get_by_label("Your answer")).to_have_value(ANSWER)
    page.get_by_role("button", name="Keep as a draft").click()
    expect(page.get_by_text("Kept as a draft.")).to_be_visible()
    expect(page.get_by_label("Your answer")).to_have_value(ANSWER)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Sent: a reviewer looks at it next.")).to_be_visible()
    assert Demonstration.objects.get().prompt == first
    page.locator("summary", has_text="Skip").click()
    page.get_by_label("Why").select_option("unclear")
    page.get_by_role("button", name="Skip this prompt").click()
    expect(page.get_by_role("heading", name="Nothing to write right now")).to_be_visible()
    assert WritingTask.objects.get(state="passed").reason == "unclear"


def test_passing_on_by_script_keeps_the_text(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    page = new_page(labeler)
    page.goto(answers(project))
    page.locator("#answer").fill("Well")
    page.locator("summary", has_text="Skip").click()
    page.get_by_label("Why").select_option("unknown")
    page.get_by_role("button", name="Skip this prompt").click()
    expect(page.get_by_role("heading", name="Nothing to write right now")).to_be_focused()
    assert not Demonstration.objects.exists()
    page.get_by_role("link", name="My demonstrations").click()
    expect(page.get_by_role("heading", name="Kept, but not sent")).to_be_visible()
    expect(page.get_by_text("Well", exact=True)).to_be_visible()


def test_a_network_cut_while_writing_loses_nothing(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    page = new_page(labeler, allow=NETWORK)
    page.goto(answers(project))
    page.context.set_offline(True)
    page.locator("#answer").fill(ANSWER)
    expect(page.locator("#saved")).to_have_text("not sent, kept in this browser")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#request-problem")).to_contain_text("sent as soon as the server answers")
    more = f"{ANSWER} And more."
    page.locator("#answer").fill(more)
    page.context.set_offline(False)
    expect(page.locator("#request-problem")).to_contain_text("since you went on with it")
    assert not Demonstration.objects.exists()
    page.reload()
    expect(page.locator("#answer")).to_have_value(more)
    page.locator("#answer").press("Control+Enter")
    expect(page.get_by_role("heading", name="Nothing to write right now")).to_be_visible()
    assert Demonstration.objects.get().text == more


def test_what_was_sent_into_a_cut_network_is_sent_when_it_is_back(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    page = new_page(labeler, allow=NETWORK)
    page.goto(answers(project))
    page.locator("#answer").fill(ANSWER)
    page.context.set_offline(True)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#request-problem")).to_contain_text("sent as soon as the server answers")
    expect(page.locator("#answer")).to_have_value(ANSWER)
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="Nothing to write right now")).to_be_visible()
    expect(page.locator("#request-problem")).to_be_hidden()
    assert Demonstration.objects.get().text == ANSWER


def test_a_skip_that_could_not_be_sent_sends_no_answer(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    page = new_page(labeler, allow=NETWORK)
    page.clock.install()
    page.goto(answers(project))
    page.locator("#answer").fill("Half an ans")
    page.context.set_offline(True)
    page.locator("#answer").press("Control+Enter")
    problem = page.locator("#request-problem")
    expect(problem).to_contain_text("sent as soon as the server answers")
    page.locator("#pass summary").press("Enter")
    page.get_by_label("Why").select_option("unknown")
    page.get_by_role("button", name="Skip this prompt").press("Enter")
    expect(problem).to_contain_text("try again in a moment")
    page.context.set_offline(False)
    page.clock.run_for(12_000)
    page.wait_for_load_state("networkidle")
    assert not Demonstration.objects.exists()
    assert WritingTask.objects.get().state == "open"
    page.get_by_role("button", name="Skip this prompt").press("Enter")
    expect(page.get_by_role("heading", name="Nothing to write right now")).to_be_focused()
    assert not Demonstration.objects.exists()


def test_what_is_sent_again_is_what_was_sent_and_not_what_was_typed_meanwhile(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    page = new_page(labeler, allow=(*NETWORK, "504"))
    page.clock.install()
    page.goto(answers(project))
    page.locator("#answer").fill(ANSWER)
    waiting: list[Route] = []

    def take(route: Route) -> None:
        waiting.append(route)

    where = re.compile(r"/demonstrations/write/\d+/$")
    page.route(where, take)
    page.locator("#answer").press("Control+Enter")
    expect(page.locator("#answer")).to_have_js_property("readOnly", True)
    page.keyboard.type(" And mo")  # it goes nowhere while that is under way
    waiting.pop().fulfill(status=504)
    page.unroute_all()
    expect(page.locator("#answer")).to_have_js_property("readOnly", False)
    expect(page.locator("#answer")).to_have_value(ANSWER)
    page.clock.run_for(6_000)
    expect(page.get_by_role("heading", name="Nothing to write right now")).to_be_visible()
    assert Demonstration.objects.get().text == ANSWER


def test_a_session_that_ends_while_writing_loses_nothing(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    page = new_page(labeler, allow=("401", "Unauthorized"))
    page.goto(answers(project))
    page.context.clear_cookies(name="sessionid")
    page.locator("#answer").fill(ANSWER)
    page.locator("#answer").press("Control+Enter")
    expect(page.locator("#request-problem")).to_contain_text("You are signed out.")
    expect(page.locator("#answer")).to_have_value(ANSWER)
    new_page(labeler, context=page.context).close()  # signed in again, in another tab
    page.locator("#answer").press("Control+Enter")
    expect(page.get_by_role("heading", name="Nothing to write right now")).to_be_visible()
    assert Demonstration.objects.get().text == ANSWER


def test_what_one_person_writes_becomes_nobody_elses_draft(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    other = make_labeler(project)
    mark_read(guidelines=project.guidelines, user=other)
    hers = new_page(other)
    hers.goto(prompts(project))
    hers.get_by_label("The prompt", exact=True).fill("Hers.")
    expect(hers.locator("#saved")).to_contain_text("saved")
    page = new_page(labeler, allow=("401", "Unauthorized"))
    page.goto(prompts(project))
    new_page(other, context=page.context).close()  # on the same computer
    page.get_by_label("The prompt", exact=True).fill("His.")
    expect(page.locator("#saved")).to_contain_text("Somebody else is signed in")
    page.get_by_role("button", name="Send", exact=False).first.click()
    expect(page.locator("#request-problem")).to_contain_text("Somebody else is signed in")
    draft = FormDraft.objects.get()
    assert (draft.labeler, dict(draft.content)["text"]) == (other, "Hers.")
    assert not Prompt.objects.exists()
    new_page(labeler, context=page.context).close()
    expect(page.locator("#saved")).to_contain_text("saved")
    assert dict(FormDraft.objects.get(labeler=labeler).content)["text"] == "His."


def test_an_older_tab_is_told_and_never_overwrites(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    make_prompt(project)
    older = new_page(labeler)
    older.goto(answers(project))
    newer = new_page(labeler)
    newer.goto(answers(project))
    newer.locator("#answer").fill("newer")
    expect(newer.locator("#saved")).to_contain_text("saved")
    older.locator("#answer").fill("older")
    expect(older.locator("#saved")).to_contain_text("a newer draft is open elsewhere")
    assert WritingTask.objects.get().text == "newer"


def test_hostile_texts_are_shown_as_text(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    hostile = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)> </textarea>"
    text = next(f"{hostile} {n}" for n in range(99) if split_for(f"{hostile} {n}") == "train")
    make_prompt(project, text)
    page = new_page(labeler)
    page.goto(answers(project))
    page.locator("#answer").fill(hostile)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#shown")).to_contain_text("onerror=alert(1)")
    expect(page).to_have_title("Write demonstrations · Rain · Rankloop")
    assert page.locator("#shown img, #shown script, .prompt img").count() == 0


def test_a_prompt_of_each_kind_is_written_by_keys_alone(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = new_page(labeler)
    page.goto(prompts(project))
    tab_to(page, "[name=kind]")
    expect(page.locator(".few-shot")).to_be_hidden()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#prompt-text")).to_be_hidden()
    tab_to(page, "[name=instruction]")
    page.keyboard.type("Animal or plant?")
    for query, response in (("cat", "animal"), ("oak", "plant"), ("elm", "plant")):
        if query == "elm":
            tab_to(page, "#more")
            page.keyboard.press("Enter")
        else:
            page.keyboard.press("Tab")
        page.keyboard.type(query)
        page.keyboard.press("Tab")
        page.keyboard.type(response)
    tab_to(page, "[name=query]")
    page.keyboard.type("dog")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".notice.good")).to_have_text("Sent: the prompt is live.")
    made = Prompt.objects.get()
    assert made.text.startswith("Animal or plant?\n\nQ: cat\nA: animal")
    assert made.text.endswith("Q: elm\nA: plant\n\nQ: dog\nA:")
    expect(page.locator("[name=instruction]")).to_have_value("")
    expect(page.get_by_role("heading", name="Write a prompt")).to_be_focused()
    tab_to(page, "[name=kind]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("chat")
    tab_to(page, "#prompt-text")
    page.keyboard.type("Tell me about rain")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("2 today")).to_be_visible()
    made = Prompt.objects.latest("pk")
    assert (made.kind, made.category, made.text) == ("user-based", "chat", "Tell me about rain")


def test_a_near_duplicate_is_shown_and_changed_or_sent_all_the_same(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    there = make_prompt(project, "Explain rain to a child.")
    page = new_page(labeler, allow=("409",))
    page.goto(prompts(project))
    page.get_by_label("The prompt", exact=True).fill("Explain rain to my child.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert").first).to_contain_text("something very much like it")
    expect(page.locator(".near")).to_contain_text(there.text)
    expect(page.get_by_role("button", name="Send anyway")).to_be_focused()
    expect(page.get_by_label("The prompt", exact=True)).to_have_value("Explain rain to my child.")
    page.keyboard.press("Enter")
    expect(page.locator(".notice.good")).to_have_text("Sent: the prompt is live.")
    made = Prompt.objects.latest("pk")
    assert (made.text, made.split) == ("Explain rain to my child.", there.split)


def test_a_prompt_is_written_without_scripts(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = new_page(labeler, javascript=False, allow=("409",))
    page.goto(prompts(project))
    page.get_by_label("Few-shot").check()
    page.locator("[name=instruction]").fill("Animal or plant?")
    page.get_by_role("button", name="One more example").click()
    expect(page.locator("[name=instruction]")).to_have_value("Animal or plant?")
    for at, (query, response) in enumerate((("cat", "animal"), ("oak", "plant"), ("elm", "plant"))):
        page.locator("#examples [name=example_query]").nth(at).fill(query)
        page.locator("#examples [name=example_response]").nth(at).fill(response)
    page.locator("[name=query]").fill("dog")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".notice.good")).to_have_text("Sent: the prompt is live.")
    assert Prompt.objects.get().text.count("Q:") == 4


def test_a_prompt_survives_a_cut_network_a_reload_and_an_ended_session(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = new_page(labeler, allow=(*NETWORK, "401", "Unauthorized"))
    page.goto(prompts(project))
    page.get_by_label("Few-shot").check()
    page.locator("[name=instruction]").fill("Animal or plant?")
    page.get_by_role("button", name="One more example").click()
    page.locator("#examples [name=example_query]").nth(2).fill("elm")
    page.context.set_offline(True)
    page.locator("[name=query]").fill("dog")
    expect(page.locator("#saved")).to_contain_text("not sent, kept in this browser")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#request-problem")).to_contain_text("can't be reached")
    page.locator("[name=query]").fill("dogs")  # whoever goes on is not sent in mid-word
    page.context.set_offline(False)
    page.reload()
    expect(page.get_by_label("Few-shot")).to_be_checked()
    expect(page.locator("#examples [name=example_query]").nth(2)).to_have_value("elm")
    expect(page.locator("[name=query]")).to_have_value("dogs")
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#request-problem")).to_contain_text("You are signed out.")
    expect(page.locator("[name=query]")).to_have_value("dogs")


def test_both_pages_fit_a_phone(project: Project, labeler: User, new_page: NewPage) -> None:
    make_prompt(project)
    page = new_page(labeler, width=390, height=844)
    for address in (answers(project), prompts(project)):
        page.goto(address)
        page.get_by_role("button", name="Send", exact=False).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_prompts_draft_comes_back_in_another_browser(
    project: Project, labeler: User, new_page: NewPage
) -> None:
    page = new_page(labeler)
    page.goto(prompts(project))
    page.get_by_label("Few-shot").check()
    page.locator("[name=instruction]").fill("Animal or plant?")
    page.get_by_role("button", name="One more example").click()
    page.locator("#examples [name=example_query]").nth(2).fill("elm")
    expect(page.locator("#saved")).to_contain_text("saved")
    other = new_page(labeler)
    other.goto(prompts(project))
    expect(other.locator("#saved")).to_contain_text("draft from")
    expect(other.locator("#examples [name=example_query]").nth(2)).to_have_value("elm")
    other.get_by_label("Plain").check()
    other.get_by_label("The prompt", exact=True).fill("Explain rain.")
    other.get_by_role("button", name="Send", exact=False).first.click()
    expect(other.locator(".notice.good")).to_have_text("Sent: the prompt is live.")
    page.locator("[name=instruction]").fill("Still here")
    expect(page.locator("#saved")).to_contain_text("a newer draft is open elsewhere")
    other.reload()
    expect(other.get_by_label("The prompt", exact=True)).to_have_value("")
