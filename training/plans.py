"""A project's training rules, presets and gate. Knows nothing of rounds under way."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from labeling.refusals import Refusal
from training.models import Plan
from training.run_configs import check_overrides

FIELDS = (
    "preset",
    "overrides",
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
"""What a manager may set."""


class InvalidPlan(Refusal):
    """A value that a plan cannot have; `problems` has a sentence for each field."""

    code = "plan_invalid"
    status = 400
    sentence = _("The plan cannot be saved.")

    def __init__(self, problems: dict[str, list[str]]) -> None:
        """Keep the sentences by field; the message is all of them."""
        self.problems = problems
        super().__init__(
            "; ".join(f"{field}: {' '.join(said)}" for field, said in problems.items())
        )


def plan_of(project: Project) -> Plan:
    """The project's plan, made with its defaults the first time."""
    plan, _created = Plan.objects.get_or_create(project=project)
    return plan


def update_plan(*, project: Project, **values: Any) -> Plan:
    """Set some of `FIELDS`. Raises InvalidPlan, or InvalidConfig for overrides that don't run."""
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        raise InvalidPlan({name: [str(_("There is no such setting."))] for name in unknown})
    plan = plan_of(project)
    for name, value in values.items():
        setattr(plan, name, value)
    try:
        plan.full_clean(exclude=["project"])
    except ValidationError as error:
        raise InvalidPlan(error.message_dict) from error
    check_overrides(plan.overrides, preset=plan.preset)
    with transaction.atomic():
        plan.save(update_fields=[*values])
    return plan
