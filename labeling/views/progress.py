"""Progress: what is done and open, by category, labeler and day, and how long the rest takes."""

from __future__ import annotations

import math

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from labeling.models import READERS, Tally
from labeling.progress import Pace, categories_in, labelers_of, pace_of, rankings_by_day
from labeling.tallies import tallies_of
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.bars import bars

DAYS = 28
FAR = 400
"""Days beyond which no number of days is said: a pace of a week does not reach so far."""


@signed_in
@require_GET
def progress(request: SignedIn, slug: str) -> HttpResponse:
    """How far the work is."""
    project = project_for(request, slug, *READERS)
    found = tallies_of(project)
    done, open_ = found.total(Tally.Measure.DONE), found.total(Tally.Measure.OPEN)
    pace = pace_of(project, open_slots=open_)
    page = {
        "project": project,
        "done": done,
        "open": open_,
        "share": math.floor(100 * done / (done + open_)) if done + open_ else 0,
        "pace": pace,
        "rest": rest_sentence(pace),
        "categories": categories_in(found),
        "labelers": labelers_of(project),
        "bars": bars(rankings_by_day(project, days=DAYS)),
        "counted_at": found.counted_at if found.kept else None,
    }
    return render(request, "labeling/progress.html", page)


def rest_sentence(pace: Pace) -> str:
    """How long what is open takes, as far as that can be said."""
    if not pace.open:
        return _("Nothing is open.")
    if not pace.begun:
        return _("Nobody has ranked yet, so there is no pace.")
    if not pace.over_days:
        return _("Work began today: a pace can be told from tomorrow on.")
    if pace.days_left is None:
        return ngettext(
            "Nobody ranked in the last day: at this pace it is never done.",
            "Nobody ranked in the last %(days)s days: at this pace it is never done.",
            pace.over_days,
        ) % {"days": pace.over_days}
    if pace.days_left > FAR:
        return _("More than a year at this pace.")
    days = round(pace.days_left)
    if days < 1:
        return _("Less than a day at this pace.")
    return ngettext(
        "About %(days)s day at this pace.", "About %(days)s days at this pace.", days
    ) % {"days": days}
