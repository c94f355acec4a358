"""The plan's form: rules, preset and gate, and one config form a recipe for the overrides."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from training.forms.config_fields import ConfigForm, config_form, default_values
from training.models import Plan, Run
from training.run_configs import RECIPES, editable_fields

OVERRIDABLE = (
    *(Run.Kind.SFT, Run.Kind.REWARD, Run.Kind.PPO, Run.Kind.GRPO, Run.Kind.REJECTION),
    *(Run.Kind.DPO, Run.Kind.EVALUATE),
)
"""The judge follows the reward model's settings, best-of the evaluation's."""

AT_HOME_ELSEWHERE = frozenset({"seed", "kl_limit", "prompts", "max_new_tokens", "temperature"})
"""Set by the round, by another field of the plan, or by the project."""


class PlanForm(forms.ModelForm[Plan]):
    """Rules, preset and gate."""

    class Meta:
        model = Plan
        fields = (
            "preset",
            "after_rankings",
            "every_hours",
            "evaluation_prompts",
            "deploys_by_itself",
            "kl_limit",
            "length_ratio",
            "distinct_share",
            "blind_slates",
            "blind_enough",
        )
        help_texts = {
            "preset": _("Numbers that every run starts from; changes to them stand below."),
            "after_rankings": _("Empty: not by the number of rankings."),
            "every_hours": _("Empty: not by the clock."),
            "evaluation_prompts": _("More prompts make narrower intervals and longer evaluations."),
            "deploys_by_itself": _("Else a policy that passes waits for a manager."),
            "kl_limit": _("Per completion. A policy further from the base is not picked."),
            "length_ratio": _(
                "1.5: between two thirds of the base's length and half as much again."
            ),
            "distinct_share": _("Distinct-2 falls when answers become alike."),
            "blind_slates": _("0: only the judge compares. Labelers don't see which is which."),
            "blind_enough": _(
                "The labelers' vote decides, not the judge's, once all comparisons are answered, "
                "where there are at least this many."
            ),
        }


def override_forms(plan: Plan, data: Any = None) -> dict[str, ConfigForm]:
    """A config form for each recipe, over the preset's numbers."""
    made = {}
    for kind in OVERRIDABLE:
        config_class = RECIPES[kind]
        names = [name for name in editable_fields(kind) if name not in AT_HOME_ELSEWHERE]
        made[config_class.recipe] = config_form(
            config_class,
            names,
            defaults=default_values(config_class, plan.preset),
            changed=plan.overrides.get(config_class.recipe),
            data=data,
            prefix=config_class.recipe,
        )
    return made


def overrides_of(plan: Plan, forms_by_recipe: dict[str, ConfigForm]) -> dict[str, Any]:
    """The plan's overrides with what was typed; what no field shows stays as it was."""
    overrides = {recipe: dict(values) for recipe, values in plan.overrides.items()}
    for recipe, form in forms_by_recipe.items():
        kept = {n: v for n, v in overrides.get(recipe, {}).items() if n not in form.fields}
        overrides[recipe] = {**kept, **form.changes()}
    return {recipe: values for recipe, values in overrides.items() if values}
