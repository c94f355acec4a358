"""Why a conversation does not go on, in words for the labeler. Knows nothing of when that is."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from labeling.refusals import Refusal


class ConversationRefused(Refusal):
    """This project has none."""

    code = "conversations_off"
    sentence = _("Conversations are switched off in this project. What you wrote is still below.")


class QuotaUsedUp(Refusal):
    """A turn is a ranking more, and a quota for every category is done."""

    code = "quota_used_up"
    sentence = _(
        "You have done as many rankings as you were asked for; “Rank” says when there are more."
    )


class StillWriting(Refusal):
    """Requests that somebody waits for come before all others: nobody has any number of them."""

    code = "still_writing"
    sentence = _(
        "Answers to %(most)s other things that you said are still being written. Wait for one of "
        "them, then send this again."
    )


class ConversationClosed(Refusal):
    """It is over."""

    code = "conversation_closed"
    sentence = _("This conversation is closed. Begin a new one.")


class NotYet(Refusal):
    """A turn is said after the one before was ranked."""

    code = "not_yet"
    sentence = _("Rank the answers first; the conversation goes on from the best.")


class SaidBefore(Refusal):
    """Another tab was first, with something else."""

    code = "said_before"
    sentence = _("You said something else here in another tab, and that stands.")


class NotSayable(Refusal):
    """Not a text that a prompt can hold."""

    code = "not_sayable"
    status = 400
    sentence = _("Your turn %(problem)s.")


class KeptForEvaluation(Refusal):
    """A split is for life."""

    code = "kept_for_evaluation"
    sentence = _("This opening is kept for evaluation; say it in other words.")


class TakenOut(Refusal):
    """A manager withdrew this very prompt."""

    code = "taken_out"
    sentence = _("A manager took this very prompt out of the work; say it in other words.")


class NotTheBest(Refusal):
    """The talk goes on from what was ranked best."""

    code = "not_the_best"
    sentence = _("That is not what you ranked best. Choose again.")


class NothingToGoOnFrom(Refusal):
    """An empty answer is no turn."""

    code = "nothing_to_go_on_from"
    sentence = _(
        "The answer that you ranked best is empty. Correct the ranking, write it better there, and "
        "go on."
    )


class TooLong(Refusal):
    """No prompt has more messages."""

    code = "too_long"
    sentence = _("This conversation is as long as one can be. Begin a new one.")
