"""axe finds nothing to complain of on any page, wide and narrow, light and dark; each page fits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from labeling.completions import fail_request
from labeling.conversations import ask_again, close, say
from labeling.guidelines import publish
from labeling.projects import update_project
from tests.browser.test_ranking_page import address, press
from tests.config.test_every_url_has_a_rule import ROUTES, RULES, Who, build_world
from tests.factories import make_labeler, make_project, make_prompt, make_slate
from tests.labeling.talks import answered, here, ranked, talk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NewPage = Callable[..., Page]
NO_PAGES = {"health", "ahead", "api-docs", "dataset-file", "run-live", "run-points", "undo"}
PAGES = [
    name
    for name, rule in RULES.items()
    if rule.get and name in ROUTES and name not in NO_PAGES
    if not name.endswith((".csv", ".jsonl"))
    if not name.startswith("api-")
]
PARTS = 4
"""Side by side they take a quarter of the time."""
WIDTHS = (360, 720, 1024, 2560)
"""720: 1,440 at 200 % zoom."""
LOOKS = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]
RICH = [
    '# Title\n\n```python\ndef f(x):\n    return "a" + 1  # why\n```',
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n> $x^2$ and [a link](https://example.org)",
    "1. one\n2. two\n\nשלום",
    "plain \u202e text",
]


def complaints(page: Page) -> list[str]:
    """What axe finds on the page as it is, a line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]}"
        for rule in found
        for node in rule["nodes"]
    ]


def misfits(page: Page) -> list[str]:
    """At which widths the page scrolls sideways, from left to right and mirrored."""
    found = []
    for direction in ("ltr", "rtl"):
        page.evaluate("way => { document.documentElement.dir = way; }", direction)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"wider than {width}, {direction}")
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_reachable_and_labelled(
    part: int, new_page: NewPage, transactional_db: None
) -> None:
    world = build_world()
    found: dict[str, list[str]] = {}
    pages: dict[Who, Page] = {}
    for name in PAGES[part::PARTS]:
        served = RULES[name].get
        who = next(one for one in (Who.MANAGER, Who.LABELER, Who.ANONYMOUS) if one in served)
        if who not in pages:
            pages[who] = new_page(world.people[who], allow=("Failed to load",))
        page = pages[who]
        page.goto(world.address(name))
        for width, scheme in (LOOKS[0], LOOKS[3]):  # each once
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of LOOKS
            if wrong := complaints(page):
                found[f"{name} {width} {scheme}"] = wrong
        if wrong := misfits(page):
            found[name] = wrong
    assert not found, "\n".join(
        f"{where}: {line}" for where, lines in found.items() for line in lines
    )


def test_so_is_the_ranking_page_with_all_that_can_open(
    new_page: NewPage, transactional_db: None
) -> None:
    project = make_project(name="Rain", guidelines="Be *kind*.")
    labeler = make_labeler(project)
    update_project(project=project, asks_likert=True)
    make_slate(project, RICH)
    page = new_page(labeler)
    page.goto(f"/projects/{project.slug}/guidelines/")
    assert complaints(page) == []
    publish(project=project, text="Be brief.")
    page.get_by_role("button", name="to work").click()
    page.get_by_role("button", name="to work").click()  # the version that came meanwhile
    press(page, "a = b c p Space Escape t Escape w Escape g s")
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of LOOKS
        assert complaints(page) == [], (width, scheme)
    page.locator("h1").focus()
    for key in ("?", "v"):
        press(page, key)
        page.wait_for_timeout(200)
        assert complaints(page) == [], key
        press(page, "Escape")
    assert page.url.endswith(address(project))
    press(page, "Escape z")
    page.get_by_role("button", name="Back to work").wait_for()
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of LOOKS
        assert complaints(page) == [], ("break", width, scheme)


def test_so_is_a_conversation_at_each_of_its_steps(
    new_page: NewPage, transactional_db: None
) -> None:
    project = make_project(name="Rain", allows_conversations=True)
    labeler = make_labeler(project)
    conversation = talk(project, labeler, RICH[0])
    page = new_page(labeler)
    where = f"/projects/{project.slug}/conversations/{conversation.pk}/"

    def look(step: str) -> None:
        page.goto(where)
        check_looks(page, step)

    look("waiting")
    fail_request(request=here(conversation).request, code="out_of_memory")
    look("failed")
    ask_again(turn=here(conversation))
    answered(conversation, RICH)
    look("to be ranked")
    ranked(conversation, RICH[0], RICH[1])
    look("tied for best")
    say(conversation=conversation, number=2, text=RICH[1])
    close(conversation=conversation)
    look("ended")


def test_so_are_the_pages_where_people_write_with_all_that_can_open(
    new_page: NewPage, transactional_db: None
) -> None:
    project = make_project(name="Rain", asks_demonstrations=True, asks_prompts=True)
    make_prompt(project, "Explain rain to a child.")
    page = new_page(make_labeler(project), allow=("409",))
    page.goto(f"/projects/{project.slug}/demonstrations/write/")
    page.locator("#answer").fill("Идёт *дождь*. " * 20)
    page.get_by_role("button", name="Preview").click()
    page.locator("#shown em").first.wait_for()
    for fold in page.locator("summary").all():
        fold.click()
    check_looks(page)
    page.goto(f"/projects/{project.slug}/prompts/write/")
    page.get_by_label("The prompt", exact=True).fill("Explain rain to my child.")
    page.get_by_role("button", name="Send").click()
    page.locator(".near").wait_for()
    check_looks(page)
    page.get_by_label("Few-shot").check()
    for fold in page.locator("summary").all():
        fold.click()
    check_looks(page)


def check_looks(page: Page, step: str = "") -> None:
    """Nothing to complain of, wide and narrow, light and dark."""
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of LOOKS
        assert complaints(page) == [], (step, width, scheme)
