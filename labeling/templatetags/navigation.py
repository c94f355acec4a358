"""The second row of every page of a project: which tabs its role and the project's settings show.

Pages of the trainer are named by their URL name only, and left out where nothing answers to it.
Showing a tab is a courtesy; what a person may do is decided in the view.
"""

from __future__ import annotations

from typing import Any, TypedDict

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from labeling.models import RANKERS, READERS, Project, Role
from labeling.views.access import role_in

register = template.Library()

EVERYONE = tuple(Role)
MANAGERS = (Role.MANAGER,)

REVIEWERS = (Role.REVIEWER, Role.MANAGER)

Page = tuple[str, Promise, tuple[Role, ...]]

AREAS: tuple[tuple[Promise, tuple[Page, ...]], ...] = (
    (_("Overview"), (("overview", _("Overview"), READERS),)),
    (
        _("Work"),
        (
            ("rank", _("Rank"), RANKERS),
            ("conversation-list", _("Conversations"), RANKERS),
            ("demonstration-write", _("Write demonstrations"), RANKERS),
            ("prompt-write", _("Write prompts"), RANKERS),
            ("my-rankings", _("My rankings"), RANKERS),
            ("my-work", _("My work"), RANKERS),
            ("guidelines", _("Guidelines"), EVERYONE),
        ),
    ),
    (
        _("Labels"),
        (
            ("prompt-list", _("Prompts"), READERS),
            ("demonstration-list", _("Demonstrations"), READERS),
            ("text-list", _("Texts"), READERS),
            ("progress", _("Progress"), READERS),
            ("quality", _("Quality"), READERS),
            ("weight-list", _("Weights"), MANAGERS),
            ("dispute-list", _("Disputes"), READERS),
            ("known-answer-list", _("Known answers"), REVIEWERS),
        ),
    ),
    (
        _("Training"),
        (
            ("round-list", _("Rounds"), READERS),
            ("run-list", _("Runs"), READERS),
            ("checkpoint-list", _("Models"), READERS),
            ("evaluation-list", _("Evaluations"), READERS),
            ("deployment-list", _("Deployments"), READERS),
            ("dataset-list", _("Datasets"), READERS),
            ("plan", _("Plan"), READERS),
        ),
    ),
    (
        _("Team"),
        (
            ("project-people", _("People"), MANAGERS),
            ("notice-list", _("Notices"), MANAGERS),
            ("quota-list", _("Quotas"), MANAGERS),
            ("payment-list", _("Payments"), MANAGERS),
        ),
    ),
    (_("Settings"), (("project-settings", _("Settings"), MANAGERS),)),
)
"""What people come for, and the pages of each: URL name, label, whose."""
WHERE_SET = {
    "demonstration-write": "asks_demonstrations",
    "prompt-write": "asks_prompts",
    "conversation-list": "allows_conversations",
}
"""Pages that a project may do without: URL name, and the setting that shows its tab."""


class Tab(TypedDict):
    """One link, as the template draws it: to a page, or to the first page of an area."""

    name: Promise
    url: str
    current: bool


def address(name: str, project: Project) -> str | None:
    """The page called `name` of `project`, or None where no app has one."""
    try:
        return reverse(name, args=[project.slug])
    except NoReverseMatch:
        return None


def is_asked_for(name: str, project: Project) -> bool:
    """Whether the project's settings show the page called `name`; most are always shown."""
    setting = WHERE_SET.get(name)
    return setting is None or bool(getattr(project, setting))


@register.inclusion_tag("labeling/_project_tabs.html", takes_context=True)
def project_tabs(context: dict[str, Any], project: Project) -> dict[str, Any]:
    """The areas of the signed-in person's role in `project`, and the pages of the one shown."""
    request = context["request"]
    role = role_in(project, request.user)
    areas = [(name, pages) for name, all_ in AREAS if (pages := _pages(all_, project, role))]
    every = [page for _name, pages in areas for page in pages]
    nearest = max(
        (page for page in every if request.path.startswith(page["url"])),
        key=lambda page: len(page["url"]),
        default=None,
    )
    if nearest is not None:
        nearest["current"] = True
    shown = next((pages for _name, pages in areas if nearest in pages), [])
    return {
        "project": project,
        "areas": [
            Tab(name=name, url=pages[0]["url"], current=pages is shown) for name, pages in areas
        ],
        "pages": shown or (areas[0][1] if len(areas) == 1 else []),
    }


def _pages(pages: tuple[Page, ...], project: Project, role: Role | None) -> list[Tab]:
    """Those that are there for `role`."""
    return [
        Tab(name=label, url=url, current=False)
        for name, label, roles in pages
        if role in roles
        and is_asked_for(name, project)
        and (url := address(name, project)) is not None
    ]


@register.simple_tag
def project_home(project: Project) -> str:
    """Where a project's name leads."""
    return reverse("project", args=[project.slug])


@register.filter
def notice_class(tag: str) -> str:
    """Our word for the level of a message of Django's."""
    return {"success": "good", "warning": "warn", "error": "bad"}.get(tag, "")
