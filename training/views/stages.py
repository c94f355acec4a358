"""The stations of the drawn line: sentences over the loop's facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.models import Split
from training.models import Round, Run
from training.rounds import MIN_EVALUATION_PROMPTS
from training.run_configs import REWARDED
from training.templatetags.training_numbers import duration, interval, percent
from training.views.loop import Loop
from training.views.run_page import share_done
from training.views.sampling_state import Sampling

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


def address_in(name: str, loop: Loop, *args: object) -> str:
    """A page of the loop's project."""
    return reverse(name, args=[loop.project.slug, *args])


def _prompts(loop: Loop) -> Stage:
    counts, mark = loop.labeling.prompts_by_split, None
    if not loop.labeling.prompts:
        mark = Mark(
            kind="stuck",
            sentence=_("Nothing can begin without prompts."),
            href=address_in("prompt-import", loop),
        )
    elif loop.lacks_evaluation_prompts:
        sentence = _("A round takes %(needed)s prompts for evaluation: add more.")
        mark = Mark(
            kind="waits",
            sentence=sentence % {"needed": MIN_EVALUATION_PROMPTS},
            href=address_in("prompt-import", loop),
        )
    return Stage(
        name=_("Prompts"),
        count=f"{loop.labeling.prompts:,}",
        unit=_("%(n)s for evaluation") % {"n": counts[Split.EVALUATION]},
        moment=loop.labeling.newest_prompt_at,
        href=address_in("prompt-list", loop),
        mark=mark,
    )


def _completions(loop: Loop) -> Stage:
    return Stage(
        name=_("Completions"),
        count=f"{loop.labeling.completions:,}",
        unit=ngettext("%(n)s prompt ready", "%(n)s prompts ready", loop.slates_ready)
        % {"n": loop.slates_ready_said},
        moment=loop.labeling.newest_completion_at,
        mark=_sampling_mark(loop),
    )


def _sampling_mark(loop: Loop) -> Mark | None:
    if loop.requests_waiting:
        return _waiting_mark(loop)
    if loop.slates_ready >= loop.project.slates_ahead:
        return Mark(kind="rests", sentence=_("The stock is full."))
    if loop.labeling.prompts and loop.sampling is Sampling.NOBODY:
        return Mark(kind="stuck", sentence=no_sampler())
    return None


def no_sampler() -> str:
    """Completions are asked for and nobody writes them: what to do."""
    return _("No sampler runs: start a worker for the queue “sampling”.")


def _waiting_mark(loop: Loop) -> Mark:
    """What becomes of the prompts for which completions are asked for."""
    n = loop.requests_waiting
    if loop.sampling is Sampling.NOBODY:
        waiting = ngettext(
            "%(n)s prompt waits for completions.", "%(n)s prompts wait for completions.", n
        )
        return Mark(kind="stuck", sentence=f"{no_sampler()} {waiting % {'n': n}}")
    if loop.sampling is Sampling.WAITS_FOR_PAUSE:
        sentence = ngettext(
            "Waits for the run on its device to pause, to write for %(n)s prompt.",
            "Waits for the run on its device to pause, to write for %(n)s prompts.",
            n,
        )
        return Mark(kind="waits", sentence=sentence % {"n": n})
    if loop.sampling is Sampling.WAITS_FOR_DEVICE:
        sentence = ngettext(
            "A run has the device; %(n)s prompt is written for once it pauses or ends.",
            "A run has the device; %(n)s prompts are written for once it pauses or ends.",
            n,
        )
        return Mark(kind="waits", sentence=sentence % {"n": n})
    sentence = ngettext(
        "The sampler is at work: %(n)s prompt to go.",
        "The sampler is at work: %(n)s prompts to go.",
        n,
    )
    return Mark(kind="works", sentence=sentence % {"n": n})


def _rankings(loop: Loop) -> Stage:
    mark, ready = None, loop.slates_ready
    if ready:
        sentence = ngettext(
            "%(n)s prompt waits for labelers.", "%(n)s prompts wait for labelers.", ready
        )
        mark = Mark(
            kind="waits",
            sentence=sentence % {"n": loop.slates_ready_said},
            href=address_in("rank", loop),
        )
    elif loop.labeling.prompts:
        mark = Mark(kind="waits", sentence=why_nothing_is_ready(loop))
    return Stage(
        name=_("Rankings"),
        count=f"{loop.labeling.rankings:,}",
        unit=_("%(n)s since the last round") % {"n": loop.totals.new_rankings},
        moment=loop.labeling.newest_ranking_at,
        mark=mark,
    )


def why_nothing_is_ready(loop: Loop) -> str:
    """Where no slate is ready: what it waits for, or that it waits for nothing."""
    if loop.in_hands:
        return _("What is left is with labelers, was skipped, or waits for a second opinion.")
    if not loop.nothing_left:
        return _("Nothing to rank until completions are written.")
    if loop.labeling.prompts == loop.labeling.prompts_by_split[Split.EVALUATION]:
        return _("All prompts are for evaluation: none is ranked.")
    return _("All prompts are ranked by this policy.")


def _reward(loop: Loop) -> Stage:
    version = loop.reward
    return Stage(
        name=_("Reward model"),
        count=str(version.version) if version else "–",
        unit=_("version") if version else _("none yet"),
        moment=version.created_at if version else None,
        href=address_in("checkpoint", loop, version.pk) if version else "",
        mark=_work(loop, BEFORE_POLICY) or _freezing_mark(loop) or _next_round_mark(loop),
    )


def _policy(loop: Loop) -> Stage:
    version = loop.policy
    return Stage(
        name=_("Policy"),
        count=str(version.version) if version else "–",
        unit=_("version") if version else _("none yet"),
        moment=version.created_at if version else None,
        href=address_in("checkpoint", loop, version.pk) if version else "",
        mark=_work(loop, (*REWARDED, Run.Kind.DPO)),
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
        href=address_in("evaluation", loop, found.pk) if found else "",
        mark=_work(loop, (Run.Kind.EVALUATE,)),
    )


def _deployment(loop: Loop) -> Stage:
    now = loop.deployment
    mark = None
    if loop.last_round and loop.last_round.state == Round.State.WAITING and loop.evaluation:
        sentence = _("%(policy)s waits for a yes.") % {"policy": loop.evaluation.candidate}
        href = address_in("evaluation", loop, loop.evaluation.pk)
        mark = Mark(kind="waits", sentence=sentence, href=href)
    return Stage(
        name=_("Deployed"),
        count=str(now.checkpoint.version) if now else "–",
        unit=str(now.checkpoint.get_kind_display()) if now else _("nothing yet"),
        moment=now.deployed_at if now else None,
        href=address_in("deployment-list", loop),
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
            return Mark(kind="stuck", sentence=sentence, href=address_in("run", loop, run.pk))
    return None


def _live_mark(loop: Loop, run: Run) -> Mark:
    href = address_in("run", loop, run.pk)
    kind = run.get_kind_display()
    if run.state == Run.State.RUNNING:
        share = share_done(run)
        sentence = (
            f"{kind}: {percent(share)}"
            if share is not None
            else _("%(kind)s begins.") % {"kind": kind}
        )
        if run.device in loop.lent_devices:
            sentence += " · " + _("paused while completions are written")
            return Mark(kind="waits", sentence=sentence, href=href)
        if run.seconds_left is not None:
            sentence += " · " + _("about %(time)s left") % {"time": duration(run.seconds_left)}
        return Mark(kind="works", sentence=sentence, href=href)
    if not loop.trainer_seen and timezone.now() - run.created_at > PATIENCE:
        return Mark(kind="stuck", sentence=_("No trainer is running."), href=href)
    return Mark(kind="waits", sentence=_("%(kind)s is queued.") % {"kind": kind}, href=href)


def _freezing_mark(loop: Loop) -> Mark | None:
    """A round's first step is no run: it is over within moments, or it cannot be taken."""
    begun = loop.last_round
    if begun is None or not begun.is_freezing:
        return None
    stuck = bool(begun.freeze_problem)
    return Mark(
        kind="stuck" if stuck else "works",
        sentence=_("The datasets can't be frozen.") if stuck else _("Datasets are being frozen."),
        href=address_in("round", loop, begun.number),
    )


def _next_round_mark(loop: Loop) -> Mark | None:
    """When the next round begins, where none is under way."""
    if loop.round_is_under_way:
        return None
    href = address_in("round-list", loop)
    if loop.plan.after_rankings is not None:
        return _counted_mark(loop, href)
    if loop.plan.every_hours is not None:
        sentence = _("Trains every %(n)s hours.") % {"n": loop.plan.every_hours}
        return Mark(kind="rests", sentence=sentence, href=href)
    return Mark(kind="waits", sentence=_("Rounds start by hand."), href=href)


def _counted_mark(loop: Loop, href: str) -> Mark:
    """How far the rankings are to the number that begins a round."""
    missing = max(loop.plan.after_rankings or 0, 1) - loop.totals.new_rankings
    if missing > 0:
        sentence = ngettext(
            "Waits for %(n)s more ranking.", "Waits for %(n)s more rankings.", missing
        )
        return Mark(kind="waits", sentence=sentence % {"n": missing}, href=href)
    if loop.lacks_evaluation_prompts:
        sentence = _("The next round waits for more prompts for evaluation.")
        return Mark(kind="stuck", sentence=sentence, href=address_in("prompt-import", loop))
    if loop.round_is_overdue:
        return Mark(kind="stuck", sentence=_("The next round is due and did not begin."), href=href)
    return Mark(kind="works", sentence=_("The next round is about to begin."), href=href)
