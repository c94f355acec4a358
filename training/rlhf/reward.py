"""The recipe `reward`: rankings in, a reward model out. `python -m training.rlhf.reward RUN_DIR`.

A ridge probe on the frozen base's states, its accuracy measured out of fold; then, where asked
for, fine-tuning from there, K-wise with InstructGPT's loss, kept only where it predicts held-out
rankings better. Knows nothing of policies.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from training.configs import RewardConfig
from training.records import Split
from training.rlhf.conversations import room_for_each
from training.rlhf.durable import RunError
from training.rlhf.encoding import cut_to_fit
from training.rlhf.features import (
    VISIBLE_FEATURES,
    FeatureRow,
    feature_count,
    pooled_features,
)
from training.rlhf.labeler_folds import scores_across_labelers
from training.rlhf.models import LanguageModel, load_language_model
from training.rlhf.precision import choose_compute
from training.rlhf.probe import (
    calibration,
    fit_probe,
    fold_numbers,
    log_loss,
)
from training.rlhf.process import Control, Stopped, run_recipe
from training.rlhf.ranked import RankedRows, read_demonstrations, read_rankings
from training.rlhf.rankings import Rankings
from training.rlhf.reward_model import RewardModel, check_saved
from training.rlhf.reward_quality import (
    HeldOut,
    breakdown,
    margins,
    quality,
    quality_across_labelers,
    test_quality,
    trial_quality,
)
from training.rlhf.reward_tuning import RewardTuning, tuning_steps
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.uncertainty import posterior

logger = logging.getLogger(__name__)

CHUNK_ROWS = 128
"""Completions between two rows of metrics while features are computed."""
FEATURE_SAVES = 20
"""States saved while features are computed, at most: each holds all of them so far."""
VISIBLE_FREEDOM = 5.0
"""Of what is visible (`fit_probe`): a λ that holds 2,304 states back would flatten the curve."""
FEWEST_SAMPLES = 8
"""Of the base's samples that a scale can be measured on; with fewer, all completions count."""


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Train a reward model on the run's rankings. Returns what people need to judge it by."""
    config = directory.config
    if not isinstance(config, RewardConfig):
        raise TypeError(type(config).__name__)
    compute = choose_compute(directory)

    # 1. The rankings: those to learn from, those kept back for a test, what people would say.
    split: Split = "judge" if config.role == "judge" else "train"
    fit = read_rankings(directory, split, grade_margin=config.grade_margin)
    test = read_rankings(directory, "rm_test")
    demonstrations = [item.row for item in read_demonstrations(directory)]
    check_enough(fit.rankings, config.folds)
    oddities = fit.oddities()
    rows = [*fit.rows, *test.rows, *demonstrations]

    # 2. The frozen base, and where an interrupted run stood.
    base = load_language_model(config.base, device=compute.device, precision=compute.precision)
    config = replace(config, max_tokens=room_for_each(base, config.max_tokens))
    oddities |= cut_to_fit(base, rows, config.max_tokens, control)
    run = RewardRun(directory, control, config, base, rows, rankings=fit.rankings)

    logger.info("noticed in the data: %s", oddities or "nothing odd")

    # 3. Features of the frozen layers, and the ridge fit on them: scores are log-odds from here.
    seconds = time.monotonic()
    features = run.features()
    metrics: ResultMetrics = {"seconds_features": round(time.monotonic() - seconds, 2)}
    seconds = time.monotonic()
    probe, held_out, spread = None, None, None
    samples = base_samples([*fit.sources, *test.sources], config.base_source)
    if run.layers:
        columns = probe_columns(base.width, run.layers)
        ranked, freedom = features[: len(fit.rows)], probe_freedom(features.shape[1])
        found = fit_probe(
            ranked, fit.rankings, columns, freedom=freedom, folds=config.folds, seed=config.seed
        )
        used, ridge = columns[found.columns], found.ridge
        scale, _ = calibration(found.out_of_fold, fit.rankings)
        run.score_unit = scale
        probe = found.weight * scale
        held_out = HeldOut(found.out_of_fold.nan_to_num() * scale, fit.rankings)
        metrics |= {"columns": found.columns, "ridge": found.ridge}
        logger.info("probe on %s with λ = %g", found.columns, found.ridge)
        directory.write_rows("margins", margins(held_out, fit.ids))
        center = features[samples].mean(0)
        spread = posterior(
            ranked, fit.rankings, used, ridge=ridge, freedom=freedom, center=center
        ).scaled(scale)
        across = scores_across_labelers(
            ranked,
            fit.rankings,
            used,
            ridge=ridge,
            freedom=freedom,
            folds=config.folds,
            seed=config.seed,
        )
        metrics |= quality_across_labelers(config, across)
        run.probe_fitted()
    metrics["seconds_probe"] = round(time.monotonic() - seconds, 2)

    # 4. Fine-tuning from there: without one fold first, to see whether that one is judged better.
    seconds = time.monotonic()
    tuned, odds = None, 1.0
    if config.finetune != "never":
        trial = run.trial(fit, held_out)
        odds = odds_of(config, trial)
        trial = replace(trial, scores=trial.scores * odds)
        metrics |= trial_quality(config, trial, held_out)
        if config.finetune == "always" or held_out is None or improves(trial, held_out):
            tuned = run.tuning(fit, held_out, range(len(fit.rankings)), "tune")
            run.train(tuned, before=run.ahead_of_tuning)
            held_out = trial
    metrics["seconds_finetune"] = round(time.monotonic() - seconds, 2)
    if held_out is None:
        raise ValueError("neither a probe nor fine-tuning: the config does not allow that")

    # 5. Raw scores of everything, and the scale: mean 0, variance 1 over the base's samples.
    if tuned is not None and probe is not None and spread is not None:
        probe, spread = probe * odds, spread.scaled(odds)
    model = RewardModel(
        base if tuned is None else tuned.lm,
        base,
        run.layers,
        probe,
        None if tuned is None else tuned.head.detach() * odds,
        max_tokens=config.max_tokens,
        spread=spread,
    )
    raw = features.double() @ probe if probe is not None else torch.zeros(len(rows)).double()
    if tuned is not None:
        raw += replace(model, layers=(), probe=None).score(rows, control=control).double()
    shown = raw[len(fit.rows) + len(test.rows) :] if demonstrations else raw[samples]
    model = replace(model, mean=float(shown.mean()), std=max(float(raw[samples].std()), 1e-6))

    # 6. Save it, load it again, compare its scores; then say how good it is.
    folder = directory.checkpoint_folder()
    model.save(folder)
    check_saved(model, folder, rows[:8])
    directory.publish_checkpoint(folder)
    directory.write_rows("breakdown", breakdown(held_out, config))
    metrics |= quality(config, held_out, fit.rankings)
    metrics |= test_quality(config, raw[len(fit.rows) : len(fit.rows) + len(test.rows)], test)
    return metrics | {
        **oddities,
        "finetuned": int(tuned is not None),
        "score_mean": model.mean,
        "score_std": model.std,
    }


class RewardRun:
    """The parts of a run that take long, each in steps that a resumed run does not repeat.

    Steps are numbered through: chunks of features, the probe, the trial's steps, then the final
    tuning's. All that may come are counted from the start: progress never goes backwards.
    """

    def __init__(
        self,
        directory: RunDirectory,
        control: Control,
        config: RewardConfig,
        base: LanguageModel,
        rows: Sequence[FeatureRow],
        *,
        rankings: Rankings,
    ) -> None:
        """rows: all that get features. rankings: to learn from."""
        self.directory, self.control, self.config = directory, control, config
        self.base, self.rows = base, rows
        self.layers = tuple(sorted({base.layer_at(depth) for depth in config.probe_layers}))
        self.chunks = math.ceil(len(rows) / CHUNK_ROWS) if self.layers else 0
        self.folds = fold_numbers(rankings.groups, config.folds, config.seed)
        self.ahead_of_trial = self.chunks + (1 if self.layers else 0)
        self.ahead_of_tuning = self.total = self.ahead_of_trial
        if config.finetune != "never":
            prompts = rankings.prompts
            kept = {prompt for prompt, fold in zip(prompts, self.folds, strict=True) if fold > 0}
            self.ahead_of_tuning += tuning_steps(config, len(kept))
            self.total = self.ahead_of_tuning + tuning_steps(config, len(set(prompts)))
        self.score_unit = 1.0
        """Of a step of worth, in log-odds: a probe's is what it is multiplied by."""
        self.state = directory.load_state()
        self.done = self.state.step if self.state else 0
        self.tensors = dict(self.state.tensors) if self.state else {}

    def features(self) -> Tensor:
        """(rows, f) float32 features of all rows; (rows, 0) where no probe is asked for."""
        if not self.layers:
            return torch.zeros(len(self.rows), 0)
        features = torch.zeros(len(self.rows), feature_count(self.base, self.layers))
        have = self.tensors.get("features")
        if have is not None:
            features[: len(have)] = have
        every = max(1, self.chunks // FEATURE_SAVES)
        for chunk in range(min(self.done, self.chunks), self.chunks):
            start, end = chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, len(self.rows))
            try:
                features[start:end] = pooled_features(
                    self.base,
                    self.rows[start:end],
                    self.layers,
                    max_tokens=self.config.max_tokens,
                    control=self.control,
                )
            except Stopped:
                self._save(chunk, {"features": features[:start]})
                raise
            self.directory.log_metrics(chunk + 1, self.total, features=end / len(self.rows))
            if (chunk + 1) % every == 0 or chunk + 1 == self.chunks:
                self._save(chunk + 1, {"features": features[:end]})
        self.tensors["features"] = features
        return features

    def probe_fitted(self) -> None:
        """Count the probe as done; a resumed run that had gone on from there said so before."""
        if self.done < self.ahead_of_trial:
            self.directory.log_metrics(self.ahead_of_trial, self.total)

    def tuning(
        self, fit: RankedRows, held_out: HeldOut | None, chosen: Sequence[int], key: str
    ) -> RewardTuning:
        """A fresh fine-tuning beside the probe's scores. Those are out of fold: a probe flatters
        the rankings that it was fitted on, and nothing would be left to learn from them."""
        offsets = None if held_out is None else held_out.scores
        return RewardTuning(
            self.base, self.config, fit, offsets, chosen=chosen, key=key, unit=self.score_unit
        )

    def trial(self, fit: RankedRows, held_out: HeldOut | None) -> HeldOut:
        """Fine-tune without the first fold's rankings; what that says of them."""
        judged = [number for number, fold in enumerate(self.folds) if fold == 0]
        if "trial_scores" not in self.tensors:
            kept = [number for number, fold in enumerate(self.folds) if fold > 0]
            tuning = self.tuning(fit, held_out, kept, "trial")
            self.train(tuning, before=self.ahead_of_trial)
            self.tensors["trial_scores"] = tuning.scores(judged)
            self._save(self.ahead_of_tuning, {})
        return HeldOut(self.tensors["trial_scores"], fit.rankings.subset(judged))

    def train(self, tuning: RewardTuning, *, before: int) -> None:
        """Take all steps of a fine-tuning; `before` steps of the run come ahead of it."""
        first = max(0, self.done - before)
        if first:
            tuning.load(self.tensors)
        for number in range(first, tuning.steps):
            try:
                stats = tuning.step(number, self.control, before=before)
            except Stopped:
                self._save(before + number, tuning.tensors() if number else {})
                raise
            self.directory.log_metrics(before + number + 1, self.total, **stats._asdict())
            last = number + 1 == tuning.steps
            if (number + 1) % self.config.save_every == 0 and not last:
                self._save(before + number + 1, tuning.tensors())
        self.tensors = {n: t for n, t in self.tensors.items() if not n.startswith("tuning.")}

    def _save(self, step: int, tensors: dict[str, Tensor]) -> None:
        self.directory.save_state(step, {**self.tensors, **tensors}, {})


def check_enough(rankings: Rankings, folds: int) -> None:
    """Raises RunError("too_few_rankings"): each fold needs a group where someone preferred one."""
    found = len({rankings.groups[number] for number in rankings.with_a_pair})
    if found < folds:
        raise RunError("too_few_rankings", found=found, needed=folds)


def probe_columns(width: int, layers: Sequence[int]) -> dict[str, list[int]]:
    """Candidates for what the probe may use: what is visible alone, one depth with it, everything.

    Follows the order of features.py: a mean for each depth, the last token's state, the visible.
    """
    states = (len(layers) + 1) * width
    visible = list(range(states, states + VISIBLE_FEATURES))
    columns = {"visible": visible}
    for index, layer in enumerate(layers):
        columns[f"layer {layer}"] = [*range(index * width, (index + 1) * width), *visible]
    if len(layers) > 1:
        columns["all layers"] = [*range(states), *visible]
    return columns


def probe_freedom(features: int) -> Tensor:
    """How freely the fit may use each feature: the few visible ones more than the states' many."""
    freedom = torch.ones(features, dtype=torch.float64)
    freedom[-VISIBLE_FEATURES:] = VISIBLE_FREEDOM
    return freedom


def odds_of(config: RewardConfig, trial: HeldOut) -> float:
    """What a fine-tuning's scores are multiplied by to be log-odds again, by what it says unseen.

    Margins and smoothing ask for other differences than the labels' odds; without them it is 1.
    """
    if not (config.grade_margin or config.label_smoothing):
        return 1.0
    return calibration(trial.scores, trial.rankings)[0] or 1.0


def improves(trial: HeldOut, probe: HeldOut) -> bool:
    """Whether fine-tuning predicts the rankings that it was judged on better than the probe."""
    return log_loss(trial.scores, trial.rankings) < log_loss(probe.scores, trial.rankings)


def base_samples(sources: Sequence[str], base_source: str | None) -> list[int]:
    """Which completions the scale is measured on: the base's, or all where those are too few."""
    own = [row for row, source in enumerate(sources) if source == base_source]
    return own if len(own) >= FEWEST_SAMPLES else list(range(len(sources)))


if __name__ == "__main__":
    sys.exit(run_recipe(main, "reward"))
