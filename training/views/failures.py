"""A failed run's code and values as one clear sentence: what happened and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

SENTENCES = {
    "config_invalid": gettext_lazy("The config cannot be run: %(problems)s."),
    "model_not_found": gettext_lazy(
        "No model lies at %(path)s. Correct the project's base model, then resume."
    ),
    "model_unsupported": gettext_lazy(
        "The model at %(path)s has the architecture %(architecture)s; models laid out like Llama, "
        "Mistral or Qwen can be trained."
    ),
    "checkpoint_corrupt": gettext_lazy(
        "The files of the checkpoint at %(path)s have changed since they were saved "
        "(sum %(found)s instead of %(expected)s). Train it again, or roll back to an earlier one."
    ),
    "checkpoint_mismatch": gettext_lazy(
        "The checkpoint at %(path)s belongs to another base model "
        "(%(expected)s; this run has %(found)s)."
    ),
    "data_missing": gettext_lazy("The run's data lack %(file)s. Run it again."),
    "data_invalid": gettext_lazy("%(file)s, line %(line)s: %(problem)s."),
    "too_few_rankings": gettext_lazy(
        "%(found)s rankings are too few to learn from; %(needed)s are needed. "
        "Rank more, then resume."
    ),
    "disk_full": gettext_lazy(
        "The disk is full at %(path)s. Free some space, then resume: nothing saved is lost."
    ),
    "out_of_memory": gettext_lazy(
        "Memory ran out at step %(step)s (micro-batch %(micro_batch)s). "
        "Run it again with smaller batches."
    ),
    "not_finite": gettext_lazy(
        "%(quantity)s was not a finite number at step %(step)s. "
        "Run it again with a lower learning rate."
    ),
    "internal": gettext_lazy("The trainer stopped with an error of its own: %(message)s"),
}


class _Known(dict[str, Any]):
    """Values by name; one that is missing is shown as a question mark instead of failing."""

    def __missing__(self, name: str) -> str:
        return "?"


def failure_sentence(code: str, values: Mapping[str, Any]) -> str:
    """What a failed run's page says. An unknown code is shown as it is, with its values."""
    if not code:
        return ""
    if code in SENTENCES:
        return str(SENTENCES[code]) % _Known(values)
    details = ", ".join(f"{name} {value}" for name, value in values.items())
    return _("The run failed (%(code)s). %(details)s") % {"code": code, "details": details}
