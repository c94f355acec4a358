"""The stations of the drawn line, and what needs a person: sentences over the loop's facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.models import Split
from training.errors import explain
from training.models import Round, Run
from training.runs import describe_error
from training.templatetags.training_numbers import duration, interval, percent
from training.views.loop import Loop
from training.views.run_page import share_done

BEFORE_POLICY = (Run.Kind.SFT, Run.Kind.REWARD, Run.Kind.JUDGE, Run.Kind.BEST_OF)
PATIENCE = timedelta(seconds=60)
"""A run that is queued for longer than this while no trainer works waits for nobody."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Why a station stands still, or that it works. kind: works, waits, stuck or rests."""

    kind: str
    sentence: str
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A station of the loop."""

    name: str
    count: str
    unit: str
    newest: str = ""
    moment: datetime | None = None
    href: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that only a person can do."""

    sentence: str
    href: str
    verb: str
    grave: bool = False


def stages(loop: Loop) -> list[Stage]:
    """The seven stations, in the order in which the loop turns."""
    return [
        _prompts(loop),
        _completions(loop),
        _rankings(loop),
        _reward(loop),
        _policy(loop),
        _evaluation(loop),
        _deployment(loop),
    ]


def _to(name: str, loop: Loop, *args: object) -> str:
    return reverse(name, args=[loop.project.slug, *args])


def _prompts(loop: Loop) -> Stage:
    mark = None
    if not loop.labeling.prompts:
        mark = Mark(
            kind="stuck",
            sentence=_("Nothing can begin without prompts."),
            href=_to("prompt-import", loop),
        )
    elif not loop.labeling.prompts_by_split[Split.EVALUATION]:
        mark = Mark(kind="waits", sentence=_("None of them is for evaluation: add more."))
    return Stage(
        name=_("Prompts"),
        count=f"{loop.labeling.prompts:,}",
        unit=_("%(n)s for evaluation") % {"n": loop.labeling.prompts_by_split[Split.EVALUATION]},
        moment=loop.newest_prompt,
        href=_to("prompt-list", loop),
        mark=mark,
    )


def _completions(loop: Loop) -> Stage:
    return Stage(
        name=_("Completions"),
        count=f"{loop.completions:,}",
        unit=ngettext("%(n)s prompt ready", "%(n)s prompts ready", loop.labeling.slates_ready)
        % {"n": loop.labeling.slates_ready},
        moment=loop.newest_completion,
        mark=_sampling_mark(loop),
    )


def _sampling_mark(loop: Loop) -> Mark | None:
    waiting = {"n": loop.requests_waiting}
    if loop.requests_waiting and not loop.sampler_seen:
        sentence = _("No sampler is running; %(n)s prompts wait for completions.")
        return Mark(kind="stuck", sentence=sentence % waiting)
    if loop.requests_waiting:
        return Mark(kind="works", sentence=_("Writing for %(n)s prompts.") % waiting)
    if loop.labeling.slates_ready >= loop.project.slates_ahead:
        return Mark(kind="rests", sentence=_("The stock is full."))
    if loop.labeling.prompts and not loop.sampler_seen:
        return Mark(kind="stuck", sentence=_("No sampler is running."))
    return None


def _rankings(loop: Loop) -> Stage:
    mark, ready = None, loop.labeling.slates_ready
    if ready:
        sentence = ngettext(
            "%(n)s prompt waits for labelers.", "%(n)s prompts wait for labelers.", ready
        )
        mark = Mark(kind="waits", sentence=sentence % {"n": ready}, href=_to("rank", loop))
    elif loop.labeling.prompts:
        mark = Mark(kind="waits", sentence=_("Nothing to rank until completions are written."))
    return Stage(
        name=_("Rankings"),
        count=f"{loop.labeling.rankings:,}",
        unit=_("%(n)s since the last round") % {"n": loop.new_rankings},
        moment=loop.labeling.newest_ranking_at,
        mark=mark,
    )


def _reward(loop: Loop) -> Stage:
    version = loop.reward
    return Stage(
        name=_("Reward model"),
        count=str(version.version) if version else "–",
        unit=_("version") if version else _("none yet"),
        moment=version.created_at if version else None,
        href=_to("checkpoint", loop, version.pk) if version else "",
        mark=_work(loop, BEFORE_POLICY) or _next_round_mark(loop),
    )


def _policy(loop: Loop) -> Stage:
    version = loop.policy
    return Stage(
        name=_("Policy"),
        count=str(version.version) if version else "–",
        unit=_("version") if version else _("none yet"),
        moment=version.created_at if version else None,
        href=_to("checkpoint", loop, version.pk) if version else "",
        mark=_work(loop, (Run.Kind.PPO,)),
    )


def _evaluation(loop: Loop) -> Stage:
    found = loop.evaluation
    return Stage(
        name=_("Evaluation"),
        count=percent(found.win_rate) if found else "–",
        unit=_("wins, %(interval)s") % {"interval": interval(found.win_low, found.win_high)}
        if found and found.win_low is not None
        else _("none yet"),
        newest=f"{found.candidate} : {found.deployed}" if found else "",
        moment=found.created_at if found else None,
        href=_to("evaluation", loop, found.pk) if found else "",
        mark=_work(loop, (Run.Kind.EVALUATE,)),
    )


def _deployment(loop: Loop) -> Stage:
    now = loop.deployment
    mark = None
    if loop.last_round and loop.last_round.state == Round.State.WAITING and loop.evaluation:
        sentence = _("%(policy)s waits for a yes.") % {"policy": loop.evaluation.candidate}
        href = _to("evaluation", loop, loop.evaluation.pk)
        mark = Mark(kind="waits", sentence=sentence, href=href)
    return Stage(
        name=_("Deployed"),
        count=str(now.checkpoint.version) if now else "–",
        unit=str(now.checkpoint.get_kind_display()) if now else _("nothing yet"),
        moment=now.deployed_at if now else None,
        href=_to("deployment-list", loop),
        mark=mark,
    )


def _work(loop: Loop, kinds: tuple[str, ...]) -> Mark | None:
    """What a live or a failed run of these kinds means for its station."""
    for run in loop.live_runs:
        if run.kind in kinds:
            return _live_mark(loop, run)
    for run in loop.failed_runs:
        if run.kind in kinds and run.round_id:
            sentence = _("Stopped: %(run)s failed.") % {"run": run.get_kind_display()}
            return Mark(kind="stuck", sentence=sentence, href=_to("run", loop, run.pk))
    return None


def _live_mark(loop: Loop, run: Run) -> Mark:
    href = _to("run", loop, run.pk)
    kind = run.get_kind_display()
    if run.state == Run.State.RUNNING:
        share = share_done(run)
        sentence = (
            f"{kind}: {percent(share)}"
            if share is not None
            else _("%(kind)s begins.") % {"kind": kind}
        )
        if run.seconds_left is not None:
            sentence += " · " + _("about %(time)s left") % {"time": duration(run.seconds_left)}
        return Mark(kind="works", sentence=sentence, href=href)
    if not loop.trainer_seen and timezone.now() - run.created_at > PATIENCE:
        return Mark(kind="stuck", sentence=_("No trainer is running."), href=href)
    return Mark(kind="waits", sentence=_("%(kind)s is queued.") % {"kind": kind}, href=href)


def _next_round_mark(loop: Loop) -> Mark | None:
    """When the next round begins, where none is under way."""
    last = loop.last_round
    if last and last.state in (Round.State.OPEN, Round.State.STOPPED):
        return None
    href = _to("round-list", loop)
    if loop.plan.after_rankings is not None:
        missing = max(loop.plan.after_rankings - loop.new_rankings, 0)
        sentence = (
            ngettext("Waits for %(n)s more ranking.", "Waits for %(n)s more rankings.", missing)
            % {"n": missing}
            if missing
            else _("The next round is about to begin.")
        )
        return Mark(kind="waits" if missing else "works", sentence=sentence, href=href)
    if loop.plan.every_hours is not None:
        sentence = _("Trains every %(n)s hours.") % {"n": loop.plan.every_hours}
        return Mark(kind="rests", sentence=sentence, href=href)
    return Mark(kind="waits", sentence=_("Rounds start by hand."), href=href)


def needs(loop: Loop) -> list[Need]:
    """What waits for a person, the gravest first."""
    found = [
        Need(
            sentence=f"{run.get_kind_display()} ({run.pk}): {describe_error(run)}",
            href=_to("run", loop, run.pk),
            verb=_("Look at the run"),
            grave=True,
        )
        for run in loop.failed_runs
    ]
    return [*found, *_need_to_sample(loop), *_need_to_decide(loop), *_need_to_begin(loop)]


def _need_to_sample(loop: Loop) -> list[Need]:
    if not loop.request_error:
        return []
    # A failed request keeps its code only; what the sentence names is the project's.
    values = {
        "path": loop.project.base_model or settings.MODEL,
        "message": _("the sampling process's log says more"),
    }
    count = {"n": loop.requests_failed, "why": explain(loop.request_error, values)}
    sentence = _("Sampling failed for %(n)s prompts in the last days. %(why)s") % count
    return [Need(sentence=sentence, href=_to("project-settings", loop), verb=_("Settings"))]


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
                href=_to("evaluation", loop, loop.evaluation.pk),
                verb=_("See and decide"),
            )
        ]
    if last.state == Round.State.NEEDS_RANKINGS:
        sentence = _("Round %(n)s ended early: about %(more)s more rankings are needed.")
        values = {"n": last.number, "more": last.rankings_needed or "?"}
        return [Need(sentence=sentence % values, href=_to("rank", loop), verb=_("Rank"))]
    return []


def _need_to_begin(loop: Loop) -> list[Need]:
    found = []
    if not loop.labeling.prompts:
        found.append(
            Need(
                sentence=_("The project has no prompts."),
                href=_to("prompt-import", loop),
                verb=_("Add prompts"),
            )
        )
    if not loop.labelers:
        found.append(
            Need(
                sentence=_("Nobody is invited to rank yet; you can rank yourself."),
                href=_to("project-people", loop),
                verb=_("Invite"),
            )
        )
    return found
