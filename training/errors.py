"""What went wrong with a run, in words. Codes and values come from `training/records.py`.

Knows nothing of where an error arose; a code it has never heard of still makes a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from labeling.completions import storable

MOST_CHARACTERS = 4000
"""Of a value: the end of a log is the longest that a sentence names."""


def kept(values: Mapping[str, Any]) -> dict[str, str | int | float]:
    """An error's values as any database's JSON column can hold them, texts cut where too long."""
    return {storable(str(name)): _kept(value) for name, value in values.items()}


def _kept(value: object) -> str | int | float:
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return storable(str(value))[:MOST_CHARACTERS]


def explain(code: str, values: Mapping[str, Any]) -> str:
    """One sentence for people: what happened and, where there is one, the way out."""
    if not code:
        return ""
    sentences: dict[str, str] = {
        "config_invalid": _("The configuration cannot be run: %(problems)s."),
        "model_not_found": _(
            "There is no model at “%(path)s”. Name a model folder or a hub model."
        ),
        "model_unsupported": _(
            "The model at “%(path)s” has the architecture %(architecture)s, which is not one of "
            "the Llama family that Rankloop trains."
        ),
        "checkpoint_corrupt": _(
            "The checkpoint at “%(path)s” is damaged: there should be %(expected)s, and there is "
            "%(found)s. Train it again, or put the right files back."
        ),
        "checkpoint_mismatch": _(
            "The checkpoint at “%(path)s” belongs to another base model: it was made with "
            "%(expected)s, this is %(found)s."
        ),
        "data_missing": _("The run has no %(file)s: its dataset is not there."),
        "data_invalid": _("%(file)s, line %(line)s: %(problem)s."),
        "too_few_rankings": _(
            "There are %(found)s usable rankings, and at least %(needed)s are needed. Rank more, "
            "then start again."
        ),
        "spread_missing": _(
            "The reward model at “%(path)s” cannot say what it is unsure by, so that caution would "
            "take nothing off its scores. Train one with a probe (probe_layers), or set caution "
            "to 0."
        ),
        "disk_full": _("The disk is full at “%(path)s”. Make room, then resume the run."),
        "out_of_memory": _(
            "The memory was not enough at step %(step)s. Half as much at once was tried where it "
            "could help. Use shorter texts or a smaller model, then repeat the run with changes."
        ),
        "not_finite": _(
            "%(quantity)s became infinite or undefined at step %(step)s. Its batch, of %(file)s: "
            "%(rows)s (%(count)s in all). A lower learning rate usually helps."
        )
        if "rows" in values
        else _(
            "%(quantity)s became infinite or undefined at step %(step)s. A lower learning rate "
            "usually helps."
        ),
        "kl_ran_away": _(
            "At step %(step)s the policy was %(kl)s nats a completion from the base, and beyond "
            "%(most)s nothing brings it back. A lower learning rate, a higher kl_coefficient or a "
            "kl_target keeps it near; then repeat the run with changes."
        ),
        "process_died": _(
            "The process of the run ended without a result %(attempts)s times (the last time with "
            "%(exit)s). The log's last lines say more; often the machine had too little memory."
        ),
        "artifact_missing": _("The file “%(name)s” is not in the artifacts store any more."),
        "sampler_failed": _("The sampling process failed: %(message)s."),
        "sampler_silent": _(
            "The sampling process gave no answer for %(seconds)s seconds and was ended. It is "
            "started again by itself."
        ),
        "server_away": _(
            "The sampling server at “%(url)s” is away or busy: %(message)s. It is asked again by "
            "itself."
        ),
        "server_silent": _(
            "The sampling server at “%(url)s” gave no answer for %(seconds)s seconds. It is asked "
            "again by itself."
        ),
        "server_key": _(
            "The sampling server at “%(url)s” does not take the key in RANKLOOP_SAMPLING_KEY: "
            "%(message)s."
        ),
        "server_refused": _(
            "The sampling server at “%(url)s” refused with %(status)s: %(message)s."
        ),
        "server_nonsense": _(
            "What the sampling server at “%(url)s” answers is no completion: %(problem)s."
        ),
        "server_lacks_model": _(
            "The sampling server at “%(url)s” serves %(served)s, and not “%(model)s”. Start it "
            "with that model, or have it serve the model under that name."
        ),
        "server_lacks_adapter": _(
            "The sampling server at “%(url)s” cannot load the policy in “%(folder)s”: it answers "
            "%(message)s. It has to be a vLLM server that may load adapters at run time, and to "
            "see that folder."
        ),
        "internal": _("An unexpected error: %(message)s"),
    }
    sentence = sentences.get(code)
    if sentence is None:
        return _("The run failed with the code %(code)s.") % {"code": code}
    try:
        return sentence % dict(values)
    except (KeyError, TypeError):
        named = ", ".join(f"{name}: {value}" for name, value in values.items())
        return _("The run failed with the code %(code)s (%(values)s).") % {
            "code": code,
            "values": named,
        }
