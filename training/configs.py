"""What a recipe is told: frozen dataclasses that validate themselves. Standard library only.

One half of the contract between Django and the trainer; the other half is `training/records.py`.
Knows nothing of the database, of torch, or of where a run directory lies.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self, get_args, get_type_hints

Preset = Literal["small", "paper"]
Advantage = Literal["rloo", "gae"]
Critic = Literal["ridge", "network"]
Finetune = Literal["never", "if_better", "always"]

PRESETS: tuple[str, ...] = get_args(Preset)


class ConfigError(ValueError):
    """A config that cannot be run. `problems` holds every one of them, with what would be right."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Problems:
    """Collects what is wrong with a config, so that all of it is reported at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def unless(self, holds: bool, message: str) -> None:
        if not holds:
            self.found.append(message)

    def positive(self, config: object, *names: str) -> None:
        for name in names:
            value = getattr(config, name)
            self.unless(value > 0, f"{name}: must be above 0, is {value}")

    def within(self, config: object, low: float, high: float, *names: str) -> None:
        for name in names:
            value = getattr(config, name)
            self.unless(low <= value <= high, f"{name}: must be {low} to {high}, is {value}")

    def one_of(self, config: object, name: str, allowed: tuple[str, ...]) -> None:
        value = getattr(config, name)
        self.unless(value in allowed, f"{name}: must be one of {', '.join(allowed)}, is {value!r}")

    def raise_if_any(self) -> None:
        if self.found:
            raise ConfigError(self.found)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every recipe needs to know."""

    recipe: ClassVar[str]
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    base: str
    """Folder of the base model (safetensors, tokenizer), or a hub name."""
    preset: Preset = "small"
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: measured once at the start and then kept in the state."""
    threads: int = 0
    """CPU threads; 0: one per core. Chosen once and then kept in the state."""

    def __post_init__(self) -> None:
        problems = Problems()
        self.check(problems)
        problems.raise_if_any()

    def check(self, problems: Problems) -> None:
        """Add to `problems` whatever makes this config impossible."""
        problems.unless(bool(self.base), "base: must name a model folder or a hub model")
        problems.one_of(self, "preset", PRESETS)
        problems.one_of(self, "precision", ("auto", "float32", "bfloat16"))
        problems.unless(self.threads >= 0, f"threads: must be 0 or more, is {self.threads}")
        problems.unless(
            0 <= self.seed < 2**63, f"seed: must be 0 to 9223372036854775807, is {self.seed}"
        )

    @classmethod
    def from_preset(cls, preset: Preset, **values: Any) -> Self:
        """The preset's numbers, with `values` over them."""
        return cls(**{**cls.presets.get(preset, {}), "preset": preset, **values})

    def to_json(self) -> str:
        """One JSON object with the recipe's name and every field."""
        return json.dumps({"recipe": self.recipe, **dataclasses.asdict(self)}, indent=2)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from parsed JSON. Raises ConfigError naming every unknown or mistyped field."""
        problems: list[str] = []
        known = {item.name for item in fields(cls)}
        hints = get_type_hints(cls)
        for name in sorted(set(values) - known - {"recipe"}):
            problems.append(f"{name}: no such field; known are {', '.join(sorted(known))}")
        for name in sorted(set(values) & known):
            if not _fits(values[name], hints[name]):
                problems.append(f"{name}: must be {_spell(hints[name])}, is {values[name]!r}")
        if problems:
            raise ConfigError(problems)
        return cls(**{name: value for name, value in values.items() if name in known})


def _fits(value: object, hint: Any) -> bool:
    """True when a JSON value can stand for `hint` (numbers, strings, literals, optional ones)."""
    options = get_args(hint)
    if hint in (int, float):
        number = isinstance(value, int if hint is int else int | float)
        return number and not isinstance(value, bool) and math.isfinite(float(str(value)))
    if hint in (str, bool, type(None)):
        return isinstance(value, hint)
    if str(hint).startswith("typing.Literal"):
        return value in options
    if getattr(hint, "__origin__", None) in (list, tuple):
        inner = options[0]
        return isinstance(value, list | tuple) and all(_fits(item, inner) for item in value)
    return any(_fits(value, option) for option in options)


def _spell(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if not get_args(hint) else str(hint)


@dataclass(frozen=True, kw_only=True)
class SftConfig(RunConfig):
    """Supervised fine-tuning on demonstrations. The result is a whole model: the new base."""

    recipe: ClassVar[str] = "sft"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {"epochs": 16, "learning_rate": 9.65e-6, "batch": 32, "lora_rank": 0},
    }

    epochs: int = 3
    batch: int = 8
    learning_rate: float = 3e-4
    """Peak; cosine decay to a tenth of it (InstructGPT, appendix C.1)."""
    warmup_share: float = 0.03
    max_tokens: int = 512
    lora_rank: int = 16
    """0: full fine-tuning."""
    lora_scale: float = 2.0
    lora_top_share: float = 1.0
    validation_share: float = 0.1
    gradient_clip: float = 1.0
    save_every: int = 20
    """Steps between training states."""

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.positive(self, "epochs", "batch", "learning_rate", "max_tokens", "save_every")
        problems.within(self, 0, 1, "warmup_share", "validation_share")
        problems.within(self, 0.01, 1, "lora_top_share")
        problems.unless(self.lora_rank >= 0, f"lora_rank: 0 or more, is {self.lora_rank}")


@dataclass(frozen=True, kw_only=True)
class RewardConfig(RunConfig):
    """A reward model from rankings (InstructGPT, eq. 1): a ridge probe, then perhaps tuning."""

    recipe: ClassVar[str] = "reward"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {
            "finetune": "always",
            "lora_rank": 0,
            "epochs": 1,
            "learning_rate": 9e-6,
            "batch": 64,
            "probe_layers": [],
        },
    }

    role: Literal["reward", "judge"] = "reward"
    """A judge is fitted on the judge prompts' rankings and never gives a reward."""
    base_source: str | None = None
    """`source` of the base's completions, whose scores get mean 0 and variance 1; None: all."""
    probe_layers: list[float] = field(default_factory=lambda: [2 / 30, 10 / 30, 20 / 30])
    """Depths (shares of all layers) whose mean over the completion's tokens the probe sees."""
    folds: int = 5
    """Out-of-fold accuracy; folds are over prompts."""
    finetune: Finetune = "if_better"
    """if_better: kept only where its held-out log loss is lower than the probe's."""
    epochs: int = 1
    batch: int = 8
    """Prompts per step; all pairs of one prompt are one batch element."""
    learning_rate: float = 3e-4
    lora_rank: int = 16
    lora_scale: float = 2.0
    lora_top_share: float = 1 / 3
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    max_tokens: int = 1024
    save_every: int = 10
    bootstrap: int = 1000

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.one_of(self, "role", ("reward", "judge"))
        problems.one_of(self, "finetune", get_args(Finetune))
        problems.positive(self, "epochs", "batch", "learning_rate", "max_tokens", "save_every")
        problems.within(self, 3, 20, "folds")
        problems.within(self, 0.01, 1, "lora_top_share")
        problems.unless(
            all(0 < depth <= 1 for depth in self.probe_layers),
            f"probe_layers: shares of the depth, above 0 and up to 1, are {self.probe_layers}",
        )
        problems.unless(
            bool(self.probe_layers) or self.finetune == "always",
            "probe_layers: empty only where finetune is always",
        )


@dataclass(frozen=True, kw_only=True)
class PpoConfig(RunConfig):
    """PPO against a reward model, with a KL penalty to the base and optionally PPO-ptx."""

    recipe: ClassVar[str] = "ppo"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {
            "critic": "network",
            "gae_lambda": 0.95,
            "episodes": 256_000,
            "prompts_per_batch": 512,
            "samples_per_prompt": 1,
            "epochs": 1,
            "minibatches": 8,
            "learning_rate": 9e-6,
            "kl_coefficient": 0.02,
            "kl_target": None,
            "kl_step": None,
            "ptx_coefficient": 27.8,
            "ema": 0.992,
            "lora_rank": 0,
            "lora_top_share": 1.0,
            "warmup_steps": 10,
            "missing_eos": "replace",
            "missing_eos_min_share": 0.0,
        },
    }

    reward: str = ""
    """Folder of the reward model's checkpoint."""
    judge: str | None = None
    """Folder of the judge's checkpoint; it picks the checkpoint along the run."""
    adapter: str | None = None
    """Folder of the policy to start from; None: the base. The KL reference is always the base."""
    advantage: Advantage = "gae"
    """Per token from a critic (gae), or a whole completion's against the prompt's others (rloo)."""
    critic: Critic = "ridge"
    """For gae: a regression of the returns of the batches so far on a few plain numbers, or a
    network that starts from the reward model and learns along with the policy, as in the paper."""
    episodes: int = 1024
    prompts_per_batch: int = 16
    samples_per_prompt: int = 4
    epochs: int = 2
    minibatches: int = 2
    max_new_tokens: int = 40
    temperature: float = 1.0
    learning_rate: float = 6e-4
    warmup_steps: int = 0
    """Steps over which the learning rate rises from a tenth of its peak."""
    adam_beta2: float = 0.95
    adam_epsilon: float = 1e-5
    gradient_clip: float = 1.0
    clip: float = 0.2
    value_clip: float = 0.2
    value_coefficient: float = 0.1
    gamma: float = 1.0
    gae_lambda: float = 0.6
    kl_coefficient: float = 0.1
    """β at the start, on the normalised reward's scale, per nat."""
    kl_target: float | None = 8.0
    """Nats a completion that the controller holds, before averaging; None: β is fixed."""
    kl_step: float | None = 5.0
    """The target is at most this many nats beyond the policy that the run starts from: the reward
    model has seen no text further out. None: the target alone counts. Without a target: unused."""
    kl_limit: float = 10.0
    """No checkpoint above this many nats a completion is picked."""
    missing_eos: Literal["subtract", "replace"] = "subtract"
    missing_eos_penalty: float = 1.0
    missing_eos_min_share: float = 0.8
    """Below this share of the base's samples that end by themselves there is no penalty."""
    lora_rank: int = 16
    """0: full fine-tuning."""
    lora_scale: float = 2.0
    lora_top_share: float = 1 / 3
    ptx_coefficient: float = 0.0
    ptx_texts_per_episode: float = 8.0
    ema: float | None = 0.7
    """Decay of the averaged weights, per batch, which are what a run results in; None: the last."""
    evaluate_every: int = 256
    """Episodes between looks by the judge on development prompts."""
    development_samples: int = 64
    distinct_share: float = 0.85
    """No checkpoint is picked that would have less than this share of the base's distinct-2 in an
    evaluation; a look, with fewer texts, holds it to a stricter one."""
    save_every: int = 1
    """Batches between training states."""
    max_prompt_tokens: int = 512

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.unless(bool(self.reward), "reward: must name a reward model's checkpoint folder")
        problems.one_of(self, "advantage", get_args(Advantage))
        problems.one_of(self, "critic", get_args(Critic))
        problems.one_of(self, "missing_eos", ("subtract", "replace"))
        problems.positive(
            self,
            *("episodes", "prompts_per_batch", "samples_per_prompt", "epochs", "minibatches"),
            *("max_new_tokens", "temperature", "learning_rate", "clip", "evaluate_every"),
            *("development_samples", "save_every", "max_prompt_tokens", "kl_limit"),
        )
        problems.within(
            self, 0, 1, "gamma", "gae_lambda", "missing_eos_min_share", "distinct_share"
        )
        problems.within(self, 0.01, 1, "lora_top_share")
        problems.unless(
            self.advantage == "gae" or self.samples_per_prompt >= 2,
            "samples_per_prompt: leave-one-out advantages (rloo) need at least 2",
        )
        problems.unless(
            self.kl_target is None or self.kl_target > 0, "kl_target: above 0, or null to fix β"
        )
        problems.unless(
            self.kl_step is None or self.kl_step > 0, "kl_step: above 0, or null for no limit"
        )
        problems.unless(
            self.ema is None or 0 < self.ema < 1, f"ema: between 0 and 1, or null, is {self.ema}"
        )
        problems.unless(
            (self.prompts_per_batch * self.samples_per_prompt) % self.minibatches == 0,
            "minibatches: must divide prompts_per_batch × samples_per_prompt",
        )


@dataclass(frozen=True, kw_only=True)
class SampleConfig(RunConfig):
    """Completions for the prompts of data/prompts.jsonl, as a batch run or behind --serve."""

    recipe: ClassVar[str] = "sample"

    adapter: str | None = None
    samples_per_prompt: int = 4
    max_new_tokens: int = 64
    temperature: float = 1.0
    max_prompt_tokens: int = 1024
    batch: int = 64

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.positive(
            self,
            *("samples_per_prompt", "max_new_tokens", "temperature", "max_prompt_tokens", "batch"),
        )


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(RunConfig):
    """One sample per evaluation prompt from candidate, deployed and base, compared by the judge."""

    recipe: ClassVar[str] = "evaluate"

    judge: str | None = None
    reward: str | None = None
    """Best-of-n by this reward model against the base under the judge; None: not measured."""
    candidate: str | None = None
    """Adapter folder; None: the base itself."""
    deployed: str | None = None
    """Adapter folder, or a whole model's; None: the base is what is deployed."""
    deployed_base: str | None = None
    """Where the deployed adapter belongs to another base (before an SFT): that; None: the base."""
    best_of: int = 0
    """0: compare policies. Above: only compare best-of-n of the base with the base (before PPO)."""
    prompts: int = 200
    max_new_tokens: int = 40
    temperature: float = 1.0
    max_prompt_tokens: int = 1024
    look: int = 1
    """The k-th look of a project at a policy uses α = alpha / (k (k + 1))."""
    alpha: float = 0.05
    bootstrap: int = 2000
    batch: int = 64

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.positive(
            self,
            *("prompts", "max_new_tokens", "temperature", "max_prompt_tokens", "batch", "look"),
            "bootstrap",
        )
        problems.within(self, 1e-6, 0.5, "alpha")
        problems.unless(self.best_of >= 0, f"best_of: 0 or more, is {self.best_of}")
        problems.unless(
            self.best_of == 0 or (bool(self.reward) and bool(self.judge)),
            "best_of: needs both a reward model and a judge",
        )


CONFIGS: dict[str, type[RunConfig]] = {
    config.recipe: config
    for config in (SftConfig, RewardConfig, PpoConfig, SampleConfig, EvaluateConfig)
}


def parse_config(text: str) -> RunConfig:
    """Read a config.json. Raises ConfigError, saying what would be right."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"config.json: line {error.lineno} is not JSON: {error.msg}"
        raise ConfigError([message]) from error
    if not isinstance(values, dict) or values.get("recipe") not in CONFIGS:
        raise ConfigError([f"recipe: must be one of {', '.join(CONFIGS)}"])
    return CONFIGS[values["recipe"]].from_dict(values)
