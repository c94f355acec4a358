"""Weights that the quality report suggests bring a reward model to where the good labelers would.

The product's own ridge fit, on features of which quality is a linear function, and length is one.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch

from labeling.models import Completion, RankedCompletion, Ranking
from labeling.quality.report import work_out
from labeling.quality_reports import ask_for_report
from labeling.weights import suggestions
from tests.labeling.teams import Team, simulate
from training.rlhf.probe import fit_probe
from training.rlhf.rankings import Rankings

FEATURES = 40
FRESH = 4000
"""Completions that nobody ranked, to measure on."""


def features_of(quality, lengths, chance):
    """Features of which quality is a linear function that no single one of them gives away."""
    weight = np.ones(FEATURES) / np.sqrt(FEATURES)
    drawn = chance.normal(size=(len(quality), FEATURES))
    drawn += np.outer(quality - drawn @ weight, weight)
    return torch.tensor(np.column_stack([drawn, lengths]))


def accuracies(team: Team, weights: dict[int, float], seed: int) -> tuple[float, float, float]:
    """On the gold score of fresh pairs: all alike, weighted, the good labelers alone."""
    chance = np.random.default_rng(seed)
    pks = sorted(team.quality)
    row = {pk: number for number, pk in enumerate(pks)}
    texts = dict(Completion.objects.filter(pk__in=pks).values_list("pk", "text"))
    quality = np.array([team.quality[pk] for pk in pks])
    lengths = np.array([len(texts[pk]) for pk in pks]) / 100
    features = features_of(quality, lengths, chance)
    ranks = defaultdict(list)
    for ranking, completion, rank in RankedCompletion.objects.order_by("pk").values_list(
        "ranking_id", "completion_id", "rank"
    ):
        ranks[ranking].append((row[completion], rank))
    said = list(Ranking.objects.order_by("pk").values_list("pk", "slate_id", "labeler_id"))
    fresh = chance.normal(size=FRESH)
    apart = features_of(fresh, chance.uniform(0.6, 4.0, size=FRESH), chance)

    def accuracy(weigh) -> float:
        kept = [one for one in said if weigh(one[2]) > 0]
        found = fit_probe(
            features,
            Rankings(
                rows=[[item[0] for item in ranks[pk]] for pk, _slate, _who in kept],
                ranks=[[item[1] for item in ranks[pk]] for pk, _slate, _who in kept],
                prompts=[str(slate) for _pk, slate, _who in kept],
                weights=[weigh(who) for _pk, _slate, who in kept],
            ),
            {"all": range(FEATURES + 1)},
            folds=3,
            seed=0,
        )
        scores = (apart @ found.weight).numpy()
        one, other = np.arange(0, FRESH, 2), np.arange(1, FRESH, 2)
        right = (scores[one] > scores[other]) == (fresh[one] > fresh[other])
        return float(right.mean())

    return (
        accuracy(lambda who: 1.0),
        accuracy(lambda who: weights[who]),
        accuracy(lambda who: float(who not in team.odd)),
    )


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_suggested_weights_bring_the_gold_accuracy_to_that_of_the_good_ones(seed):
    team = simulate(slates=250, overlap=3, seed=seed)
    report = work_out(ask_for_report(team.project))
    weights = {one.labeler.pk: one.weight for one in suggestions(report)}
    alike, weighted, good = accuracies(team, weights, seed)
    print(f"all alike {alike:.3f}, weighted {weighted:.3f}, the good alone {good:.3f}")
    assert alike < weighted
    assert abs(good - weighted) < (good - alike) / 2
