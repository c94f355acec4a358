"""What a manager and a labeler do in their browsers, by clicks and keys, scripts on or off.

Knows nothing of the database: what a person can't see on a page isn't here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

PAGE_SECONDS = 60
"""For what a page shows at once, on a machine that trains meanwhile."""
WORK_SECONDS = 300
"""For what samplers and trainers have to do first."""
CHOICES = ("finetune",)
"""Fields of a plan that are chosen from a list."""


def see(what: Locator, *, seconds: float = PAGE_SECONDS) -> None:
    """Wait until it is there to be seen."""
    expect(what).to_be_visible(timeout=seconds * 1000)


AREA_OF = {
    "Prompts": "Labels",
    "People": "Team",
    "Overview": "Overview",
    "Rounds": "Training",
    "Deployments": "Training",
    "Rank": "Work",
    "My rankings": "Work",
}


def click_through(page: Page, what: Locator) -> None:
    """Click something that leads to another page."""
    with page.expect_navigation():
        what.click()


@dataclass(frozen=True, kw_only=True)
class Slate:
    """What a labeler was shown: the prompt, and the completions' texts by their letters."""

    prompt: str
    texts: Mapping[str, str]


class Person:
    """Somebody in front of a page."""

    def __init__(self, page: Page, *, scripts: bool) -> None:
        self.page, self.scripts = page, scripts

    def tab(self, name: str) -> None:
        """Go to a page of the project, by its area where it is in another one."""
        tabs = self.page.get_by_role("navigation", name="Pages of")
        link = tabs.get_by_role("link", name=name, exact=True)
        if not link.first.is_visible():
            click_through(self.page, tabs.get_by_role("link", name=AREA_OF[name], exact=True))
            if link.first.get_attribute("aria-current") == "page":
                return  # the first page of its area
        click_through(self.page, link.first)

    def press(self, name: str) -> None:
        """Press a button that leads to another page."""
        click_through(self.page, self.page.get_by_role("button", name=name, exact=True))

    def heading(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("heading", name=name)

    def reload_until(self, what: Locator, *, seconds: float = WORK_SECONDS) -> None:
        """Look again, as a person does, until it is there."""
        deadline = time.monotonic() + seconds
        while not what.is_visible():
            assert time.monotonic() < deadline, f"never saw {what}:\n{self.says()}"
            self.page.wait_for_timeout(500)
            self.page.reload()

    def says(self) -> str:
        """All that the page says."""
        return self.page.locator("main").inner_text()


class Manager(Person):
    """Sets up a project and decides."""

    def come_in(self, link: str) -> None:
        """Use the link that the product printed."""
        self.page.goto(link)
        self.press("Sign in")
        see(self.heading("Begin with a project"))

    def create_project(self, *, name: str, k: int, max_new_tokens: int) -> None:
        """On the product's own model."""
        page = self.page
        click_through(page, page.get_by_role("link", name="New project"))
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_label("Guidelines").fill("Letters early in the alphabet are better.")
        page.get_by_label("Completions per prompt").fill(str(k))
        page.locator("summary", has_text="The model, and how it samples").click()
        page.get_by_label("Longest completion, in tokens").fill(str(max_new_tokens))
        self.press("Start the project")
        see(self.heading("Add prompts"))

    def upload(self, file: Path, *, demonstrations: bool = False) -> str:
        """Add a file; what the page says of it."""
        page = self.page
        self.tab("Prompts")
        click_through(page, page.get_by_role("link", name="Add prompts").first)
        page.get_by_label("File", exact=True).set_input_files(file)
        page.get_by_label("Demonstrations" if demonstrations else "Prompts: the model").check()
        self.press("Upload")
        see(self.heading(file.name))
        return page.locator("main .notice[role=status]").inner_text()

    def invite(self, note: str) -> str:
        """A link for a labeler."""
        self.tab("People")
        self.page.get_by_label("For whom").fill(note)
        self.press("Make a link")
        return self.page.get_by_label("Link", exact=True).input_value()

    def set_plan(
        self,
        rules: Mapping[str, str | bool],
        numbers: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Rules by their labels, changes to the preset by recipe and name."""
        page = self.page
        self.tab("Overview")
        click_through(page, page.get_by_role("link", name="Plan", exact=True))
        for label, value in rules.items():
            field = page.get_by_label(label, exact=True)
            if isinstance(value, bool):
                field.set_checked(value)
            else:
                field.fill(value)
        for recipe, changes in numbers.items():
            summary = page.locator("summary").filter(has_text=re.compile(rf"^\s*{recipe}\b"))
            fold = page.locator("details").filter(has=summary)
            fold.locator("summary").click()
            for name, value in changes.items():
                field = fold.get_by_label(name, exact=True)
                if name in CHOICES:
                    field.select_option(value)
                else:
                    field.fill(str(value))
        self.press("Save")
        see(page.get_by_text("The plan is saved."))

    def start_round(self) -> None:
        self.tab("Rounds")
        click_through(self.page, self.page.get_by_role("button", name="Start a round").first)
        see(self.heading(re.compile(r"Round \d+")))

    def watch_round(self) -> dict[str, str]:
        """Stay on its page until it is over or waits: what it says of each step, by its name.

        The page follows the round by itself, without scripts by coming again every ten seconds.
        """
        badge = self.page.locator("h1 .badge")
        expect(badge).not_to_have_text("In progress", timeout=WORK_SECONDS * 1000)
        steps = self.page.locator(".step").all()
        return {
            step.locator("b").first.inner_text(): step.locator(".step-name .muted").inner_text()
            for step in steps
        }

    def deploy(self) -> str:
        """Let the policy that waits answer; its name."""
        self.press("Deploy")
        see(self.page.get_by_text("answers from now on"))
        return self.answers_now()

    def roll_back(self) -> str:
        """Go back to the policy before; its name."""
        self.tab("Deployments")
        click_through(self.page, self.page.get_by_role("button", name="Roll back to"))
        see(self.page.get_by_text("answers again"))
        return self.answers_now()

    def answers_now(self) -> str:
        return self.heading("Now:").get_by_role("link").inner_text()

    def wait_for_stock(self) -> None:
        """Until as many prompts are ready as the project keeps."""
        self.tab("Overview")
        self.reload_until(self.page.get_by_text("The stock is full."))

    def sources_of(self, prompt: str) -> dict[str, set[str]]:
        """Who wrote each text that there is for a prompt, as the prompt's page shows it."""
        page = self.page
        self.tab("Prompts")
        page.get_by_label("Text").fill(prompt)
        self.press("Show")
        click_through(page, page.get_by_role("link", name=prompt, exact=True))
        found: dict[str, set[str]] = {}
        for card in page.locator(".completion").all():
            source = card.locator("header span").first.inner_text()
            found.setdefault(text_of(card), set()).add(source)
        return found


def text_of(card: Locator) -> str:
    """A completion's text on the ranking page or on its prompt's page; empty where it is."""
    text = card.locator(".text:not(.rendered)")
    return (text.text_content() or "") if text.count() else ""


class Labeler(Person):
    """Reads and ranks."""

    def join(self, link: str, *, name: str) -> None:
        """Come in by an invitation, and read the guidelines before anything else."""
        self.page.goto(link)
        see(self.page.get_by_text("invites you as labeler"))
        self.page.get_by_label("Name", exact=True).fill(name.capitalize())
        self.page.get_by_label("User name").fill(name)
        self.page.get_by_label("Password").fill("early letters are better")
        self.press("Join")
        self.press("I have read them: to work")

    def wait_for_prompt(self) -> None:
        """Until there is something to rank; with scripts it comes by itself."""
        if not self.scripts:
            self.reload_until(self.heading("Rank these"))
        see(self.heading("Rank these"), seconds=WORK_SECONDS)

    def reads(self) -> Slate:
        """What is to be ranked."""
        cards = self.page.locator("article.completion").all()
        return Slate(
            prompt=self.page.locator(".prompt .turn.user .text").last.inner_text(),
            texts={card.get_attribute("data-letter") or "": text_of(card) for card in cards},
        )

    def ranks(self, taste: Callable[[str], float]) -> Slate:
        """Rank what is shown by `taste`, equals tied, and wait for what comes after it."""
        slate = self.reads()
        values = {letter: taste(text) for letter, text in slate.texts.items()}
        places = [
            [letter for letter in values if values[letter] == value]
            for value in sorted(set(values.values()), reverse=True)
        ]
        if self.scripts:
            self._by_keys(places)
        else:
            self._by_form(places)
        return slate

    def _by_keys(self, places: list[list[str]]) -> None:
        shown = self.page.locator("#assignment")
        slate = shown.get_attribute("data-slate") or ""
        for key in " ".join(" = ".join(letters) for letters in places).lower().split():
            self.page.keyboard.press(key)
        self.page.keyboard.press("Enter")
        expect(shown).not_to_have_attribute("data-slate", slate, timeout=PAGE_SECONDS * 1000)

    def _by_form(self, places: list[list[str]]) -> None:
        for rank, letters in enumerate(places, 1):
            for letter in letters:
                self.page.get_by_label(f"Rank of {letter}").select_option(str(rank))
        self.press("Submit")
