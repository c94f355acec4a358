"""What pretraining is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from training.configs.base import Problems, RunConfig


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """A causal language model on texts. The result is a whole model: a base for any recipe."""

    recipe: ClassVar[str] = "pretrain"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {  # GPT-3 (arXiv 2005.14165, table 2.1 and appendix B): its smallest model
            "layers": 12,
            "hidden": 768,
            "heads": 12,
            "kv_heads": 12,
            "intermediate": 3072,
            "vocabulary": 50_257,
            "context": 2048,
            "window": 2048,
            "batch": 256,
            "epochs": 1,
        },
    }

    base: str = ""
    """The model to continue (a folder or a hub name); empty where `start` is scratch."""
    start: Literal["base", "scratch"] = "base"
    """Go on with the base; or random weights and a tokenizer trained on the texts."""
    layers: int = 8
    """This and what follows up to `tied` is the architecture (Llama) from scratch."""
    hidden: int = 256
    heads: int = 8
    kv_heads: int = 4
    """Key and value heads; each serves as many query heads."""
    intermediate: int = 0
    """Width of the gated layer; 0: 8/3 of `hidden`, up to the next multiple of 64."""
    vocabulary: int = 8192
    """Tokens of the tokenizer, at most: fewer where the texts give no more."""
    context: int = 2048
    """The longest sequence that the model is made for."""
    tied: bool = True
    """Whether the output matrix is the embeddings."""

    window: int = 512
    """Tokens of a packed row. Longer texts go on in another row."""
    batch: int = 16
    """Rows a step."""
    epochs: int = 1
    learning_rate: float = 6e-4
    """Peak; cosine decay to a tenth of it."""
    warmup_share: float = 0.03
    adam_beta2: float = 0.95
    weight_decay: float = 0.1
    """Of matrices; norms and biases have none."""
    gradient_clip: float = 1.0
    validation_share: float = 0.05
    """Of the texts; they are measured and not learned."""
    evaluate_every: int = 100
    """Steps between measurements of the texts that are kept back."""
    save_every: int = 50
    """Steps between training states."""

    @property
    def gated_width(self) -> int:
        """Width of the gated layer, worked out where it is not given."""
        return self.intermediate or -(-8 * self.hidden // 3 // 64) * 64

    def check(self, problems: Problems) -> None:
        if self.start == "base":
            super().check(problems)
        else:
            _check_all_but_base(self, problems)
            _check_architecture(self, problems)
        problems.one_of(self, "start", ("base", "scratch"))


def _check_all_but_base(config: PretrainConfig, problems: Problems) -> None:
    others = Problems()
    RunConfig.check(config, others)
    problems.found += [problem for problem in others.found if not problem.startswith("base:")]


def _check_architecture(config: PretrainConfig, problems: Problems) -> None:
    if config.heads > 0 and config.kv_heads > 0:
        problems.unless(
            config.hidden % (2 * config.heads) == 0,
            f"hidden: must be a multiple of twice the heads ({2 * config.heads}), "
            f"is {config.hidden}",
        )
        problems.unless(
            config.heads % config.kv_heads == 0,
            f"kv_heads: must divide the heads ({config.heads}), is {config.kv_heads}",
        )
    problems.unless(
        config.window <= config.context,
        f"window: must be at most the context ({config.context}), is {config.window}",
    )
