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

GROUPS: tuple[tuple[tuple[str, Promise, tuple[Role, ...]], ...], ...] = (
    (
        ("overview", _("Overview"), READERS),
        ("progress", _("Progress"), READERS),
        ("rank", _("Rank"), RANKERS),
        ("my-rankings", _("My rankings"), RANKERS),
        ("my-work", _("My work"), RANKERS),
        ("conversation-list", _("Conversations"), RANKERS),
        ("demonstration-write", _("Write demonstrations"), RANKERS),
        ("prompt-write", _("Write prompts"), RANKERS),
        ("prompt-list", _("Prompts"), READERS),
        ("demonstration-list", _("Demonstrations"), READERS),
        ("quality", _("Quality"), READERS),
        ("dispute-list", _("Disputes"), READERS),
    ),
    (
        ("round-list", _("Rounds"), READERS),
        ("run-list", _("Runs"), READERS),
        ("checkpoint-list", _("Models"), READERS),
        ("evaluation-list", _("Evaluations"), READERS),
        ("deployment-list", _("Deployments"), READERS),
        ("dataset-list", _("Datasets"), READERS),
    ),
    (
        ("guidelines", _("Guidelines"), EVERYONE),
        ("known-answer-list", _("Known answers"), (Role.REVIEWER, Role.MANAGER)),
        ("project-people", _("People"), MANAGERS),
        ("notice-list", _("Notices"), MANAGERS),
        ("quota-list", _("Quotas"), MANAGERS),
        ("payment-list", _("Payments"), MANAGERS),
        ("project-settings", _("Settings"), MANAGERS),
    ),
)
"""What is ranked, what is trained, what is set up: URL name, label, whose."""
WHERE_SET = {
    "demonstration-write": "asks_demonstrations",
    "prompt-write": "asks_prompts",
    "conversation-list": "allows_conversations",
}
"""Pages that a project may do without: URL name, and the setting that shows its tab."""


class Tab(TypedDict):
    """One tab, as the template draws it."""

    name: Promise
    url: str
    current: bool
    first: bool
    """Of its group."""


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
    """The tabs that the signed-in person's role has in `project`."""
    request = context["request"]
    role = role_in(project, request.user)
    tabs: list[Tab] = []
    for group in GROUPS:
        first = True
        for name, label, roles in group:
            url = address(name, project)
            if role in roles and url is not None and is_asked_for(name, project):
                tabs.append(Tab(name=label, url=url, current=False, first=first and bool(tabs)))
                first = False
    path = request.path
    nearest = max(
        (tab for tab in tabs if path.startswith(tab["url"])),
        key=lambda tab: len(tab["url"]),
        default=None,
    )
    if nearest is not None:
        nearest["current"] = True
    return {"tabs": tabs, "project": project}


@register.simple_tag
def project_home(project: Project) -> str:
    """Where a project's name leads."""
    return reverse("project", args=[project.slug])


@register.filter
def notice_class(tag: str) -> str:
    """Our word for the level of a message of Django's."""
    return {"success": "good", "warning": "warn", "error": "bad"}.get(tag, "")
