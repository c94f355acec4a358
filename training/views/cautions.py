"""What a run's numbers say, in words: cautions a person should read before trusting it.

Rules of thumb over the stored metrics and results; knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from django.utils.translation import gettext as _

from training.models import Run

Points = Mapping[str, Sequence[Sequence[float]]]


def cautions(run: Run, points: Points, results: Mapping[str, float]) -> list[str]:
    """Sentences, the gravest first; an empty list where nothing stands out."""
    if run.kind in (Run.Kind.PPO, Run.Kind.GRPO):
        found = [*_over_optimising(points), *_kl_limit(run, points), *_text_health(points)]
        return [*found, *_step_health(run, points)]
    if run.kind in (Run.Kind.REWARD, Run.Kind.JUDGE):
        return _reward_model(results)
    return []


def _values(points: Points, name: str) -> list[float]:
    return [point[1] for point in points.get(name, ())]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Means of the two halves of the last two thirds: what came before and what is now."""
    tail = values[len(values) // 3 :]
    middle = len(tail) // 2
    return fmean(tail[:middle]), fmean(tail[middle:])


def _over_optimising(points: Points) -> list[str]:
    kl, score = _values(points, "kl"), _values(points, "score") or _values(points, "reward")
    if len(kl) < 6 or len(score) < 6:
        return []
    (kl_before, kl_now), (score_before, score_now) = _ends(kl), _ends(score)
    gained = score_now - score_before
    spent = kl_now - kl_before
    if spent > 1.0 and gained < 0.1 * max(abs(score_before), 0.5):
        return [
            _(
                "KL grows faster than reward: probably over-optimising. "
                "KL went from %(a).1f to %(b).1f nats while the score stood still."
            )
            % {"a": kl_before, "b": kl_now}
        ]
    return []


def _kl_limit(run: Run, points: Points) -> list[str]:
    kl, limit = _values(points, "kl"), run.config.get("kl_limit")
    if not kl or not isinstance(limit, int | float) or kl[-1] <= limit:
        return []
    return [
        _("KL is %(kl).1f nats, above the limit of %(limit)g: no checkpoint is picked from here.")
        % {"kl": kl[-1], "limit": limit}
    ]


def _text_health(points: Points) -> list[str]:
    found = []
    entropy, length = _values(points, "entropy"), _values(points, "length")
    if len(entropy) >= 4 and entropy[0] > 0 and entropy[-1] < entropy[0] / 2:
        found.append(
            _("Entropy fell to %(share)d %% of its start: answers become alike.")
            % {"share": round(entropy[-1] / entropy[0] * 100)}
        )
    if len(length) >= 4 and length[0] > 0:
        ratio = length[-1] / length[0]
        if ratio < 1 / 1.5:
            found.append(
                _("Completions shrank from %(a).0f to %(b).0f tokens: read some before deploying.")
                % {"a": length[0], "b": length[-1]}
            )
        elif ratio > 1.5:
            found.append(
                _("Completions grew from %(a).0f to %(b).0f tokens: read some before deploying.")
                % {"a": length[0], "b": length[-1]}
            )
    return found


def _step_health(run: Run, points: Points) -> list[str]:
    found = []
    clip, first = _values(points, "clip_share"), _values(points, "ratio_first")
    if len(clip) >= 3 and fmean(clip[-3:]) > 0.4:
        found.append(
            _("%(share)d %% of tokens are clipped: the learning rate is probably too high.")
            % {"share": round(fmean(clip[-3:]) * 100)}
        )
    if first and abs(first[-1] - 1) > 0.05:
        found.append(
            _("The first ratio is %(ratio).3f, not 1: old and new log-probabilities disagree.")
            % {"ratio": first[-1]}
        )
    explained = _values(points, "explained_variance")
    if run.config.get("advantage") == "gae" and len(explained) >= 10 and fmean(explained[-3:]) < 0:
        found.append(_("Explained variance is below 0: the value function does not help yet."))
    return found


def _reward_model(results: Mapping[str, float]) -> list[str]:
    found = []
    low, accuracy = results.get("oof_low"), results.get("oof_accuracy")
    if low is not None and low <= 0.5:
        found.append(_("Its accuracy can't be told from chance: more rankings are needed."))
    test = results.get("test_accuracy")
    high = results.get("test_high")
    if accuracy is not None and test is not None and high is not None and high < accuracy:
        found.append(
            _("On the test prompts it is right on %(test)d %%, less than out of fold: overfitted?")
            % {"test": round(test * 100)}
        )
    return found
