"""Quotas: listed, added, removed; and what a labeler is told of those that are done."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from labeling import quotas
from labeling.forms.quotas import QuotaForm
from labeling.models import Project, Quota, Role
from labeling.refusals import Refusal
from labeling.tallies import categories_of
from labeling.views.access import SignedIn, project_for, signed_in


@signed_in
@require_http_methods(["GET", "POST"])
def quota_list(request: SignedIn, slug: str) -> HttpResponse:
    """What holds; a POST adds a quota."""
    project = project_for(request, slug, Role.MANAGER)
    form = QuotaForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            quotas.add_quota(project=project, **form.wanted())
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("The quota holds from now on."))
            return redirect("quota-list", slug)
    rows = project.quotas.select_related("labeler").order_by("category", "labeler", "pk")
    page = {
        "project": project,
        "form": form,
        "quotas": rows,
        "categories": categories_of(project),
        "timezone": timezone.get_current_timezone_name(),
    }
    return render(request, "labeling/quota_list.html", page, status=400 if form.errors else 200)


@signed_in
@require_POST
def quota_remove(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """It holds no more."""
    project = project_for(request, slug, Role.MANAGER)
    quotas.remove_quota(quota=get_object_or_404(Quota, pk=pk, project=project))
    messages.success(request, _("The quota is removed."))
    return redirect("quota-list", slug)


def used_up_sentences(request: SignedIn, project: Project) -> list[str]:
    """What the person has done in full, and when there is more; none where no quota is done."""
    left = quotas.allowance(project=project, labeler=request.user)
    return [_sentence(one) for one in left.used_up]


def _sentence(done: quotas.UsedUp) -> str:
    """One quota that is done, as a labeler reads it."""
    period, of = Quota.Period, done.quota
    known = {
        (period.DAY, False): _("You have done the %(most)s of today; more tomorrow."),
        (period.WEEK, False): _("You have done the %(most)s of this week; more on Monday."),
        (period.EVER, False): _("You have done the %(most)s that you were asked for here."),
        (period.DAY, True): _("All together have done the %(most)s of today; more tomorrow."),
        (period.WEEK, True): _("All together have done the %(most)s of this week; more on Monday."),
        (period.EVER, True): _("All together have done the %(most)s that were asked for here."),
    }
    sentence = known[period(of.period), of.shared] % {"most": of.most}
    if of.category:
        return _("“%(category)s”: %(sentence)s") % {"category": of.category, "sentence": sentence}
    return sentence
