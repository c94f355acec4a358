"""A reward model: completions in, scores out. On disk a head, its scale, and perhaps an adapter.

Two parts, either of which may be missing: a linear probe on pooled features of the frozen base,
and a linear head on the last token's state of a fine-tuned copy (an adapter on the shared base, or
a whole model). Their sum is a log-odds: σ(a − b) is how likely a labeler prefers a to b.
Knows nothing of rankings or of PPO.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.rlhf.adapters import SETTINGS
from training.rlhf.decoding import Rollout
from training.rlhf.durable import (
    RunError,
    disk_errors,
    verify_manifest,
    write_atomically,
)
from training.rlhf.encoding import encoded_batches
from training.rlhf.features import (
    VISIBLE_FEATURES,
    FeatureRow,
    feature_count,
    features_from_rollout,
    pooled_features,
    visible_so_far,
)
from training.rlhf.layers import (
    Batch,
    Hidden,
    final_norm,
    hidden_states,
    predicting,
    states_after,
)
from training.rlhf.masks import last_index
from training.rlhf.models import (
    LanguageModel,
    load_adapter,
    load_language_model,
    merged_tensors,
    save_adapter,
)
from training.rlhf.precision import Precision
from training.rlhf.process import Control
from training.rlhf.uncertainty import Spread

HEAD, SETTINGS_FILE = "head.safetensors", "reward.json"
SPREAD = "spread."
"""How the names of the probe's posterior begin in head.safetensors."""
Progress = Callable[[int, int], None]


class Scored(NamedTuple):
    """What a reward model says of n completions, both (n,) float32 on the CPU, in its own units."""

    scores: Tensor
    spread: Tensor
    """Standard deviation of what the probe says; 0 where it is not known."""


@dataclass(frozen=True, eq=False)
class RewardModel:
    """Scores completions; mean 0 and variance 1 over the base's samples that it was scaled on."""

    lm: LanguageModel
    """The base, with this reward model's adapter where it has one; or its own whole model."""
    base: LanguageModel
    """The shared frozen base, whose states the probe reads."""
    layers: tuple[int, ...]
    """Layer counts after which the probe's features are taken; empty: there is no probe."""
    probe: Tensor | None
    """(features,) float64: log-odds per feature."""
    head: Tensor | None
    """(d,) float32: log-odds per unit of the tuned model's last state (after the final norm)."""
    bias: float = 0.0
    mean: float = 0.0
    """Of the raw scores, log-odds: what becomes 0."""
    std: float = 1.0
    """Of the raw scores, log-odds: what becomes 1, so also the log-odds of one unit of score."""
    max_tokens: int = 1024
    spread: Spread | None = None
    """How unsure the probe is, log-odds; None: nobody worked it out."""

    @property
    def shared_layers(self) -> tuple[int, ...]:
        """Layer counts whose states, as the frozen base computes them, spare computing anything."""
        tuned = () if self.lm.adapter is None else (self.lm.adapter.first,)
        return tuple(sorted({*self.layers, *tuned}))

    @property
    def owns_model(self) -> bool:
        """Whether this is a whole fine-tuned model of its own."""
        return self.head is not None and self.lm.adapter is None

    def scaled(self, raw: Tensor) -> Tensor:
        """Raw log-odds to scores of mean 0 and variance 1. Any shape."""
        return ((raw - self.mean) / self.std).float()

    def preference(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """How likely a labeler prefers ours. Scores, same shape. Probabilities."""
        return torch.sigmoid((ours - theirs) * self.std)

    def score(
        self,
        rows: Sequence[FeatureRow],
        *,
        progress: Progress | None = None,
        control: Control | None = None,
    ) -> Tensor:
        """Scores of texts, (rows,) float32 on the CPU."""
        raw = torch.full((len(rows),), self.bias, dtype=torch.float64)
        if self.probe is not None:
            features = pooled_features(
                self.base,
                rows,
                self.layers,
                max_tokens=self.max_tokens,
                progress=progress,
                control=control,
            )
            raw += features.double() @ self.probe
        if self.head is not None:
            for chosen, batch in encoded_batches(self.lm, rows, max_tokens=self.max_tokens):
                if control is not None:
                    control.step_boundary()
                with torch.no_grad():
                    raw[chosen] += last_scores(self.lm, self.head, batch).double().cpu()
        return self.scaled(raw)

    def score_rollout(self, rollout: Rollout) -> Scored:
        """Scores of sampled completions, and how unsure the probe is of them.

        `rollout.hidden` may hold states after `shared_layers` as the frozen base computes them;
        what is missing there is computed.
        """
        batch, hidden = rollout.batch, dict(rollout.hidden)
        wanted = set(self.shared_layers)
        with torch.no_grad():
            if not wanted <= hidden.keys():
                hidden = hidden_states(self.base.with_adapter(None), batch, wanted)
            raw = torch.full((len(batch.ids),), self.bias, dtype=torch.float64)
            unsure = torch.zeros_like(raw)
            if self.probe is not None:
                seen = dataclasses.replace(rollout, hidden=hidden)
                features = features_from_rollout(seen, self.layers, self.base.spelling).cpu()
                raw += features.double() @ self.probe
                unsure = unsure if self.spread is None else self.spread.of(features)
            if self.head is not None:
                first = self.lm.adapter.first if self.lm.adapter else 0
                start = hidden.get(first) if self.lm.adapter else None
                raw += last_scores(self.lm, self.head, batch, start, first).double().cpu()
        return Scored(self.scaled(raw), (unsure / self.std).float())

    def scores_so_far(self, rollout: Rollout) -> Tensor:
        """Scores of what there is before each token, (n, t) float32 on the base's device.

        `rollout.hidden`: as for `score_rollout`.
        """
        batch, hidden = rollout.batch, dict(rollout.hidden)
        with torch.no_grad():
            if not set(self.shared_layers) <= hidden.keys():
                hidden = hidden_states(self.base.with_adapter(None), batch, self.shared_layers)
            raw = self.probe_so_far(hidden, batch)
            if self.head is not None:
                first = self.lm.adapter.first if self.lm.adapter else 0
                start = hidden.get(first) if self.lm.adapter else None
                after = states_after(self.lm, batch, start, first)
                ahead = final_norm(self.lm, predicting(after, batch)).float()
                raw = raw + ahead @ self.head.to(ahead.device)
        return self.scaled(raw)

    def probe_so_far(self, states: Mapping[int, Hidden], batch: Batch) -> Tensor:
        """The probe on what there is before each token, (n, t) log-odds; without one the bias.

        states: of the frozen base after each of `layers`.
        """
        raw = torch.full(batch.ids.shape, self.bias, device=batch.ids.device)
        if self.probe is None:
            return raw
        weights = self.probe.float().to(raw.device)
        width = self.base.width
        counts = torch.arange(1, batch.ids.shape[1] + 1, device=raw.device)
        parts = torch.split(weights[: width * (len(self.layers) + 1)], width)
        for layer, weight in zip(self.layers, parts, strict=False):
            read = predicting(states[layer], batch) @ weight
            raw = raw + read.cumsum(1) / counts
        raw = raw + predicting(states[self.layers[-1]], batch) @ parts[-1]
        visible = visible_so_far(batch, self.base.spelling)[:, :-1]
        total: Tensor = raw + visible @ weights[-VISIBLE_FEATURES:-1]
        return total

    def save(self, folder: Path) -> None:
        """Write the checkpoint: reward.json, head.safetensors, an adapter or a whole model.

        A whole model without a probe also loads with AutoModelForSequenceClassification; its
        logit is this score but for scale and constant.
        """
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if self.lm.adapter is not None:
                save_adapter(self.lm, folder)
            elif self.head is not None:
                _save_classifier(self.lm, self.head, folder)
            parts = {"probe": self.probe, "head": self.head}
            if self.spread is not None:
                parts |= {SPREAD + name: part for name, part in self.spread.tensors().items()}
            save_file(
                {n: t.detach().cpu().contiguous() for n, t in parts.items() if t is not None},
                folder / HEAD,
            )
        settings = {
            "base_sha256": self.base.sha256,
            "layers": list(self.layers),
            "pooling": "last" if self.probe is None else "mean",
            "bias": self.bias,
            "mean": self.mean,
            "std": self.std,
            "max_tokens": self.max_tokens,
        }
        write_atomically(folder / SETTINGS_FILE, json.dumps(settings, indent=2))


def load_reward_model(folder: str | Path, base: LanguageModel) -> RewardModel:
    """Read a checkpoint onto a base that is loaded already (its adapter, if any, plays no part).

    Raises RunError: model_not_found, checkpoint_corrupt (a sum is wrong, a file unreadable),
    checkpoint_mismatch (made for another base).
    """
    path, base = Path(folder), base.with_adapter(None)
    if not (path / SETTINGS_FILE).is_file():
        raise RunError("model_not_found", path=str(path / SETTINGS_FILE))
    verify_manifest(path)
    try:
        settings = json.loads((path / SETTINGS_FILE).read_text(encoding="utf-8"))
        tensors = load_file(path / HEAD)
        expected = str(settings["base_sha256"])
        numbers = {name: float(settings[name]) for name in ("bias", "mean", "std")}
        layers = tuple(int(layer) for layer in settings["layers"])
        max_tokens = int(settings["max_tokens"])
        _check_numbers([*numbers.values(), *tensors.values()], numbers["std"], max_tokens)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise RunError(
            "checkpoint_corrupt", path=str(path), expected="a reward model", found=str(error)[:500]
        ) from error
    if expected != base.sha256:
        raise RunError("checkpoint_mismatch", path=str(path), expected=expected, found=base.sha256)
    lm, head, probe = base, tensors.get("head"), tensors.get("probe")
    spread = _spread_in(tensors)
    _check_shapes(path, base, layers, probe, head)
    _check_spread(path, spread, feature_count(base, layers))
    if head is not None and (path / SETTINGS).is_file():
        lm = base.with_adapter(load_adapter(base, path))
    elif head is not None:
        precision: Precision = "bfloat16" if base.dtype == torch.bfloat16 else "float32"
        lm = load_language_model(path, device=str(base.device), precision=precision)
    return RewardModel(
        lm=lm,
        base=base,
        layers=layers,
        probe=probe,
        head=None if head is None else head.to(base.device),
        max_tokens=max_tokens,
        spread=spread,
        **numbers,
    )


def _spread_in(tensors: Mapping[str, Tensor]) -> Spread | None:
    parts = {name: tensors.get(SPREAD + name) for name in ("center", "prior", "known")}
    found = {name: part for name, part in parts.items() if part is not None}
    return Spread(**found) if len(found) == len(parts) else None


def _check_numbers(numbers: Sequence[float | Tensor], std: float, max_tokens: int) -> None:
    """Raises ValueError for what no score can be computed with."""
    if not all(torch.as_tensor(number).isfinite().all() for number in numbers):
        raise ValueError("numbers that are not finite")
    if std <= 0 or max_tokens <= 0:
        raise ValueError(f"std is {std}, max_tokens is {max_tokens}; both must be above 0")


def _check_shapes(
    path: Path,
    base: LanguageModel,
    layers: Sequence[int],
    probe: Tensor | None,
    head: Tensor | None,
) -> None:
    """Raises RunError("checkpoint_corrupt") where the parts don't belong to this base."""

    def unless(holds: bool, expected: str, found: object) -> None:
        if not holds:
            raise RunError(
                "checkpoint_corrupt", path=str(path), expected=expected, found=str(found)
            )

    known = list(layers) == sorted(set(layers)) and all(0 < one <= base.layers for one in layers)
    unless(known and bool(layers) == (probe is not None), "layers of its probe", list(layers))
    if probe is not None:
        count = feature_count(base, layers)
        unless(probe.shape == (count,), f"weights for {count} features", list(probe.shape))
    if head is not None:
        unless(head.shape == (base.width,), f"a head of {base.width} weights", list(head.shape))


def _check_spread(path: Path, spread: Spread | None, features: int) -> None:
    """Raises RunError("checkpoint_corrupt") where the posterior is of other features."""
    if spread is None:
        return
    shapes = [list(part.shape) for part in spread.tensors().values()]
    if [shape[:1] for shape in shapes] != [[features]] * 3 or len(shapes[-1]) != 2:
        raise RunError(
            "checkpoint_corrupt",
            path=str(path),
            expected=f"a posterior over {features} features",
            found=str(shapes),
        )


def last_scores(
    lm: LanguageModel,
    head: Tensor,
    batch: Batch,
    hidden: Hidden | None = None,
    first: int = 0,
) -> Tensor:
    """The tuned part's raw scores, (completions,) float32, with their gradients.

    head: (d,). hidden: the residual stream after `first` layers; None: computed from the tokens.
    """
    after = states_after(lm, batch, hidden, first)
    rows = torch.arange(len(batch.ids), device=batch.ids.device)
    last = after.completion[rows, last_index(batch.mask)]
    return final_norm(lm, last).float() @ head


def check_saved(model: RewardModel, folder: Path, rows: Sequence[FeatureRow]) -> None:
    """Load what was saved and compare its scores. Raises RunError("checkpoint_corrupt")."""
    again = load_reward_model(folder, model.base)
    gap = float((again.score(rows) - model.score(rows)).abs().max()) if rows else 0.0
    if not gap < 0.05:
        raise RunError(
            "checkpoint_corrupt",
            path=str(folder),
            expected="the same scores after saving",
            found=f"a difference of {gap:.3g}",
        )


def _save_classifier(lm: LanguageModel, head: Tensor, folder: Path) -> None:
    """The fine-tuned model as transformers' sequence classification, and as a language model."""
    tensors = merged_tensors(lm)
    tensors["score.weight"] = head.detach().to(lm.dtype).unsqueeze(0)
    save_file(
        {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    lm.tokenizer.save_pretrained(folder)
    config = lm.model.config.to_dict()
    config["architectures"] = [
        lm.model.config.architectures[0].replace("ForCausalLM", "ForSequenceClassification")
    ]
    config |= {"id2label": {"0": "score"}, "label2id": {"score": 0}, "pad_token_id": lm.pad_id}
    write_atomically(folder / "config.json", json.dumps(config, indent=2))


def kept_layers(models: Collection[RewardModel], first: int) -> list[int]:
    """Which layers a sampler should keep for these models: a policy changes those above `first`."""
    wanted = {layer for model in models for layer in model.shared_layers}
    return sorted(layer for layer in wanted if layer <= first)
