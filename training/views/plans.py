"""The plan of a project: when it trains, with which numbers, what a deployment has to meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from labeling.models import Project
from labeling.refusals import Refusal
from training.forms.plans import PlanForm, override_forms, overrides_of
from training.plans import InvalidPlan, plan_of, update_plan
from training.views.access import Place, SignedIn, managed_project, place_of, signed_in

if TYPE_CHECKING:
    from training.forms.config_fields import ConfigForm


@signed_in
@require_http_methods(["GET", "POST"])
def plan(request: SignedIn, slug: str) -> HttpResponse:
    """Show the plan; a manager's POST saves it."""
    if request.method == "POST":
        return _save(request, managed_project(request, slug))
    place = place_of(request, slug)
    shown = plan_of(place.project)
    return _page(request, place, PlanForm(instance=shown), override_forms(shown))


def _save(request: SignedIn, project: Project) -> HttpResponse:
    stored = plan_of(project)
    overrides = override_forms(stored, request.POST)
    form = PlanForm(request.POST, instance=stored)
    wrong = [one for one in (form, *overrides.values()) if not one.is_valid()]
    if not wrong:
        values = {**form.cleaned_data, "overrides": overrides_of(plan_of(project), overrides)}
        try:
            update_plan(project=project, **values)
        except InvalidPlan as refusal:
            problems = {n if n in form.fields else "preset": s for n, s in refusal.problems.items()}
            form.add_error(None, ValidationError(problems))
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("The plan is saved. It holds from the next round on."))
            return redirect("plan", slug=project.slug)
    return _page(request, Place(project=project, can_act=True), form, overrides)


def _page(
    request: SignedIn, place: Place, form: PlanForm, overrides: dict[str, ConfigForm]
) -> HttpResponse:
    groups = [
        (_("When to train"), ["after_rankings", "every_hours"]),
        (_("Numbers"), ["preset"]),
        (
            _("What a deployment has to meet"),
            [
                *("deploys_by_itself", "evaluation_prompts", "kl_limit", "length_ratio"),
                *("distinct_share", "blind_slates", "blind_enough"),
            ],
        ),
    ]
    context = {
        "project": place.project,
        "can_act": place.can_act,
        "form": form,
        "groups": [(title, [form[name] for name in names]) for title, names in groups],
        "overrides": overrides,
    }
    return render(request, "training/plan.html", context, status=400 if form.is_bound else 200)
