"""Numbers in words and with no more digits than the data give."""

from __future__ import annotations

import math
from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

register = template.Library()

DASH = "–"


@register.filter
def percent(value: float | None) -> str:
    """0.7261 → '73 %'."""
    return DASH if value is None else f"{round(value * 100)} %"


@register.filter
def figure(value: float | None) -> str:
    """Three significant digits: 0.0412, 1.73, 512, 256,000."""
    if value is None:
        return DASH
    if not math.isfinite(value):
        return str(value)
    if value == 0 or float(value).is_integer():
        return number_format(int(value), force_grouping=abs(value) >= 10_000)
    if abs(value) < 1e-3:
        return f"{value:.2e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return number_format(round(value, digits), decimal_pos=digits if abs(value) < 1000 else 0)


@register.filter
def interval(low: float | None, high: float | None) -> str:
    """'65 to 84 %'; empty where one end is missing."""
    if low is None or high is None:
        return ""
    return _("%(low)s to %(high)s %%") % {"low": round(low * 100), "high": round(high * 100)}


@register.filter
def duration(seconds: float | None) -> str:
    """'45 s', '3 min', '2 h 10 min', '3 days'."""
    if seconds is None:
        return DASH
    whole = round(seconds)
    if whole < 60:
        return _("%(n)s s") % {"n": whole}
    minutes = round(whole / 60)
    if minutes < 60:
        return _("%(n)s min") % {"n": minutes}
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        if not rest:
            return _("%(h)s h") % {"h": hours}
        return _("%(h)s h %(m)s min") % {"h": hours, "m": rest}
    return ngettext("%(n)s day", "%(n)s days", hours // 24) % {"n": hours // 24}


@register.filter
def age(moment: datetime | None) -> SafeString | str:
    """How long ago, in one unit: '3 min ago', in a `<time>` of which scripts tell the date."""
    if moment is None:
        return ""
    seconds = (timezone.now() - moment).total_seconds()
    ago = _("just now") if seconds < 20 else _("%(time)s ago") % {"time": duration(seconds)}
    exact = moment.isoformat(timespec="seconds")
    return format_html('<time datetime="{}" data-age>{}</time>', exact, ago)


@register.filter
def until(started: datetime | None, finished: datetime | None) -> str:
    """How long it took, or has taken so far."""
    if started is None:
        return DASH
    return duration(((finished or timezone.now()) - started).total_seconds())


@register.filter
def short(sha256: str) -> str:
    """The first eight digits of a sum."""
    return sha256[:8]


STATE_CLASSES = {
    "running": "info",
    "open": "info",
    "succeeded": "good",
    "deployed": "good",
    "failed": "bad",
    "stopped": "bad",
    "waiting": "warn",
    "needs_rankings": "warn",
}


@register.filter
def state_class(state: str) -> str:
    """The badge's colour for a state of a run or a round; neutral where none fits."""
    return STATE_CLASSES.get(state, "")


METRIC_NAMES = {
    "oof_accuracy": gettext_lazy("accuracy, out of fold, unweighted"),
    "oof_low": gettext_lazy("accuracy, low"),
    "oof_high": gettext_lazy("accuracy, high"),
    "oof_log_loss": gettext_lazy("log loss, out of fold, by labelers' weights"),
    "test_accuracy": gettext_lazy("accuracy on test prompts, unweighted"),
    "test_low": gettext_lazy("accuracy on test prompts, low"),
    "test_high": gettext_lazy("accuracy on test prompts, high"),
    "labelers_accuracy": gettext_lazy("accuracy on people it has not seen"),
    "labelers_low": gettext_lazy("accuracy on people it has not seen, low"),
    "labelers_high": gettext_lazy("accuracy on people it has not seen, high"),
    "tuned_accuracy": gettext_lazy("accuracy fine-tuned, on what was kept back to judge it"),
    "tuned_low": gettext_lazy("accuracy fine-tuned, low"),
    "tuned_high": gettext_lazy("accuracy fine-tuned, high"),
    "tuned_log_loss": gettext_lazy("log loss fine-tuned"),
    "tuned_pairs": gettext_lazy("pairs kept back to judge it"),
    "probe_accuracy": gettext_lazy("accuracy of the probe on the same"),
    "probe_log_loss": gettext_lazy("log loss of the probe on the same"),
    "probe_oof_accuracy": gettext_lazy("accuracy of the probe, out of fold"),
    "probe_oof_low": gettext_lazy("accuracy of the probe, low"),
    "probe_oof_high": gettext_lazy("accuracy of the probe, high"),
    "tied_pairs": gettext_lazy("tied pairs"),
    "rankings_of_one": gettext_lazy("rankings of a single completion, left out"),
    "rankings_all_tied": gettext_lazy("rankings with everything tied"),
    "rankings_without_grades": gettext_lazy("rankings without grades, of which the order counts"),
    "empty_texts_ranked": gettext_lazy("empty completions, ranked like others"),
    "equal_texts_apart": gettext_lazy("pairs of equal texts ranked apart, left out"),
    "pairs_contradicted": gettext_lazy("pairs ordered one way and the other"),
    "ran_away_at_step": gettext_lazy("the policy ran away at step; what was best before counts"),
    "finetuned": gettext_lazy("fine-tuned (1) or probe (0)"),
    "score_mean": gettext_lazy("mean score"),
    "score_std": gettext_lazy("spread of scores"),
    "kl": gettext_lazy("KL to the base, nats"),
    "finished_share": gettext_lazy("ends by itself"),
    "distinct2": gettext_lazy("distinct-2"),
    "base_distinct2": gettext_lazy("distinct-2 of the base"),
    "judge_win_rate": gettext_lazy("win rate, development, by the judge"),
    "picked_episode": gettext_lazy("picked at episode"),
    "winners": gettext_lazy("best samples learned from"),
    "picked_winner": gettext_lazy("picked after so many of them"),
    "picked_prompt": gettext_lazy("picked after so many prompts"),
    "held_out_accuracy": gettext_lazy("accuracy on held-out rankings"),
    "win_rate": gettext_lazy("win rate over the deployed"),
    "win_low": gettext_lazy("win rate, low"),
    "win_high": gettext_lazy("win rate, high"),
    "win_sure": gettext_lazy("win rate, surely over, at this look"),
    "base_win_rate": gettext_lazy("win rate over the base"),
    "base_win_low": gettext_lazy("win rate over the base, low"),
    "base_win_high": gettext_lazy("win rate over the base, high"),
    "base_win_matched_rate": gettext_lazy("win rate over the base at matched length"),
    "base_win_matched_low": gettext_lazy("win rate at matched length, low"),
    "base_win_matched_high": gettext_lazy("win rate at matched length, high"),
    "base_win_matched_prompts": gettext_lazy("prompts with texts of matched length"),
    "best_of_win_rate": gettext_lazy("win rate of best-of-n"),
    "best_of_win_low": gettext_lazy("win rate of best-of-n, low"),
    "best_of_win_high": gettext_lazy("win rate of best-of-n, high"),
    "best_of_win_sure": gettext_lazy("win rate of best-of-n, surely over"),
    "base_win_sure": gettext_lazy("win rate over the base, surely over"),
    "base_win_matched_sure": gettext_lazy("win rate at matched length, surely over"),
    "judge_preference": gettext_lazy("judge's preference, development"),
    "deployed_kl": gettext_lazy("KL of the deployed, nats"),
    "deployed_distinct2": gettext_lazy("distinct-2 of the deployed"),
    "base_finished_share": gettext_lazy("base ends by itself"),
    "deployed_finished_share": gettext_lazy("deployed ends by itself"),
    "ridge": gettext_lazy("ridge λ"),
    "ratio_first": gettext_lazy("first ratio"),
    "validation_loss": gettext_lazy("held-out loss"),
    "reward_score": gettext_lazy("reward model's score of answers"),
    "picked_epoch": gettext_lazy("picked after epoch"),
    "micro_batch_halved": gettext_lazy("memory was short: half as much at once (1)"),
    "prompts_cut": gettext_lazy("prompts cut to fit"),
    "completions_cut": gettext_lazy("completions cut to fit"),
    "empty_completions": gettext_lazy("empty completions, left out"),
    "plain_template": gettext_lazy("plain chat template (1) or the model's own (0)"),
}


@register.filter
def metric_name(name: str) -> str:
    """A metric's name in words; one that has no words of its own loses its underscores."""
    return str(METRIC_NAMES.get(name) or name.replace("_", " "))
