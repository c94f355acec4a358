"""What in a project's loop only a person can do, in sentences with the way there."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.text import Truncator
from django.utils.translation import gettext as _

from training.errors import explain
from training.models import Round
from training.rounds import MIN_EVALUATION_PROMPTS
from training.rules import why_not_frozen
from training.runs import describe_error
from training.views.loop import Loop
from training.views.sampling_state import Sampling
from training.views.stages import address_in, no_sampler, why_nothing_is_ready

MOST_CHARACTERS = 400
"""Of a need that tells what a sampling process said last."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that only a person can do."""

    sentence: str
    href: str = ""
    """Where it is done; empty where no page can do it."""
    verb: str = ""
    also: tuple[tuple[str, str], ...] = ()
    """Other ways out: (verb, address)."""
    grave: bool = False


def needs(loop: Loop) -> list[Need]:
    """What waits for a person, the gravest first."""
    found = [
        Need(
            sentence=f"{run.get_kind_display()} ({run.pk}): {describe_error(run)}",
            href=address_in("run", loop, run.pk),
            verb=_("Look at the run"),
            grave=True,
        )
        for run in loop.failed_runs
    ]
    return [
        *found,
        *_need_to_sample(loop),
        *_need_to_decide(loop),
        *_need_to_go_on(loop),
        *_need_to_begin(loop),
    ]


def _need_to_sample(loop: Loop) -> list[Need]:
    if loop.requests_waiting and loop.sampling is Sampling.NOBODY:
        return [Need(sentence=no_sampler(), grave=True)]
    failed = loop.failed_request
    if failed is None:
        return []
    count = {"n": loop.requests_failed, "why": explain(failed.error_code, failed.error_values)}
    said = _("Sampling failed for %(n)s prompts in the last days. %(why)s") % count
    sentence = Truncator(said).chars(MOST_CHARACTERS)
    return [Need(sentence=sentence, href=address_in("project-settings", loop), verb=_("Settings"))]


def _need_to_decide(loop: Loop) -> list[Need]:
    last = loop.last_round
    if last is None:
        return []
    if last.state == Round.State.WAITING and loop.evaluation:
        sentence = _(
            "%(policy)s waits for a decision: the gate is not met, or deploying is by hand."
        )
        return [
            Need(
                sentence=sentence % {"policy": loop.evaluation.candidate},
                href=address_in("evaluation", loop, loop.evaluation.pk),
                verb=_("See and decide"),
            )
        ]
    if last.state == Round.State.NEEDS_RANKINGS:
        sentence = _("Round %(n)s ended early: about %(more)s more rankings are needed.")
        values = {"n": last.number, "more": last.rankings_needed or "?"}
        return [Need(sentence=sentence % values, href=address_in("rank", loop), verb=_("Rank"))]
    return []


def _need_to_go_on(loop: Loop) -> list[Need]:
    """The loop stands still, and no step of it will move it."""
    if loop.round_is_under_way:
        return _need_to_freeze(loop)
    if loop.lacks_evaluation_prompts and loop.totals.due_since is not None:
        return [
            Need(
                sentence=_(
                    "The next round takes at least %(needed)s prompts for evaluation; about one in "
                    "six that you add becomes one."
                )
                % {"needed": MIN_EVALUATION_PROMPTS},
                href=address_in("prompt-import", loop),
                verb=_("Add prompts"),
            )
        ]
    if loop.round_is_overdue:
        sentence = _("The next round is due and did not begin. Start it by hand to see why.")
        return [Need(sentence=sentence, href=address_in("round-list", loop), verb=_("Rounds"))]
    decides = loop.last_round is not None and loop.last_round.state == Round.State.WAITING
    if not loop.nothing_left or loop.totals.due_since is not None or decides:
        return []
    said = why_nothing_is_ready(loop)
    sentence = _("Add prompts, start a round, or set a rule that asks for more rankings.")
    return [
        Need(
            sentence=f"{said} {sentence}",
            href=address_in("prompt-import", loop),
            verb=_("Add prompts"),
            also=(
                (_("Start a round"), address_in("round-list", loop)),
                (_("Set a rule"), address_in("plan", loop)),
            ),
        )
    ]


def _need_to_freeze(loop: Loop) -> list[Need]:
    """A round has begun, and its datasets can't be written."""
    begun = loop.last_round
    why = why_not_frozen(begun) if begun is not None else ""
    if begun is None or not why:
        return []
    values = {"n": begun.number, "why": why}
    sentence = _("The datasets of round %(n)s can't be frozen. %(why)s") % values
    return [
        Need(
            sentence=Truncator(sentence).chars(MOST_CHARACTERS),
            href=address_in("round", loop, begun.number),
            verb=_("Look at the round"),
            grave=True,
        )
    ]


def _need_to_begin(loop: Loop) -> list[Need]:
    found = []
    if not loop.labeling.prompts:
        found.append(
            Need(
                sentence=_("The project has no prompts."),
                href=address_in("prompt-import", loop),
                verb=_("Add prompts"),
            )
        )
    if not loop.labelers:
        found.append(
            Need(
                sentence=_("Nobody is invited to rank yet; you can rank prompts, too."),
                href=address_in("project-people", loop),
                verb=_("Invite"),
            )
        )
    return found
