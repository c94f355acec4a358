"""What can be wrong, or noteworthy, with a completion or with a prompt."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class CompletionFlag(models.TextChoices):
    """The metadata that InstructGPT's labelers gave for each completion (its table 3)."""

    FAILS_TASK = "fails-task", _("Fails to follow the instruction")
    NOT_FOR_CUSTOMERS = "not-for-customers", _("Inappropriate for a customer assistant")
    HALLUCINATION = "hallucination", _("Hallucination")
    KEEPS_CONSTRAINT = "keeps-constraint", _("Follows the explicit constraint")
    SEXUAL = "sexual", _("Sexual content")
    VIOLENT = "violent", _("Violent content")
    ENCOURAGES_HARM = "encourages-harm", _("Encourages violence, abuse or self-harm")
    DENIGRATES = "denigrates", _("Denigrates a protected class")
    HARMFUL_ADVICE = "harmful-advice", _("Gives harmful advice")
    OPINION = "opinion", _("Expresses an opinion")
    MORAL_JUDGEMENT = "moral-judgement", _("Expresses a moral judgement")


class PromptFlag(models.TextChoices):
    """Why a prompt should be looked at by a manager."""

    PERSONAL_DATA = "personal-data", _("Personal data")
    UNCLEAR = "unclear", _("Unclear")
    OTHER_LANGUAGE = "other-language", _("Not in my language")
    NOTHING_TO_RANK = "nothing-to-rank", _("Nothing to rank")


PASS_REASONS = [
    ("unknown", _("I don't know the answer")),
    ("unclear", _("It is not clear what is asked")),
    ("harmful", _("It is harmful or upsetting")),
    ("language", _("I don't write this language")),
    ("long", _("It would take too long")),
]
"""Why a labeler writes no answer to a prompt."""

SKIP_REASONS = [
    *PromptFlag.choices,
    ("cannot judge", _("I can't judge this")),
    ("harmful", _("It is harmful or upsetting")),
    ("broken", _("The completions are broken")),
]
"""Why a labeler passes on a prompt; programs may say it in words of their own."""
