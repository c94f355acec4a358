"""From a plan to the frozen config of a run. Knows the config dataclasses, not the trainer.

A stored config names no path: which checkpoints a run uses stands in its relations. While it is
validated, and until the launcher fills in folders, a path reads like "checkpoint:12".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from labeling.refusals import Refusal
from training.configs import (
    CONFIGS,
    ConfigError,
    DpoConfig,
    EvaluateConfig,
    GrpoConfig,
    PolicyConfig,
    PpoConfig,
    RejectionConfig,
    RewardConfig,
    RewardedConfig,
    RunConfig,
    SftConfig,
)
from training.models import Checkpoint, Plan, Run

if TYPE_CHECKING:
    from labeling.models import Project

RECIPES: dict[str, type[RunConfig]] = {
    Run.Kind.SFT: SftConfig,
    Run.Kind.REWARD: RewardConfig,
    Run.Kind.JUDGE: RewardConfig,
    Run.Kind.BEST_OF: EvaluateConfig,
    Run.Kind.PPO: PpoConfig,
    Run.Kind.GRPO: GrpoConfig,
    Run.Kind.REJECTION: RejectionConfig,
    Run.Kind.DPO: DpoConfig,
    Run.Kind.EVALUATE: EvaluateConfig,
}
REWARDED = tuple(kind for kind, recipe in RECIPES.items() if issubclass(recipe, RewardedConfig))
"""Kinds that make a policy against a reward model."""
PATHS = ("base", "reward", "judge", "adapter", "candidate", "deployed", "deployed_base")
"""Config fields that hold a folder; filled in from the run's relations."""
JUDGE_SEED = 1_000_003
"""Added to the reward model's seed, so that judge and reward model never share one."""
MOST_BEST_OF_PROMPTS = 48
"""Each costs nine samples of the base; the check need only tell a reward model from chance."""


class InvalidConfig(Refusal):
    """A config that cannot be run; `problems` says what would be right."""

    code = "config_invalid"
    status = 400
    sentence = _("The configuration cannot be run.")

    def __init__(self, problems: list[str]) -> None:
        """Keep the problems one by one; the message is all of them."""
        self.problems = problems
        super().__init__("; ".join(problems))


def editable_fields(kind: str) -> list[str]:
    """Names of the config fields that a person may change for a run of `kind`."""
    fixed = {*PATHS, "preset", "role", "best_of", "look", "device"}
    return [item.name for item in dataclasses.fields(RECIPES[kind]) if item.name not in fixed]


def run_config(
    *,
    plan: Plan,
    project: Project,
    kind: str,
    seed: int,
    look: int = 1,
    base_source: str | None = None,
    has_texts: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The stored config of a run: preset, then the plan's overrides, then `changes`.

    look: the number of an evaluation among its project's, which sets its α. base_source: the name
    under which the base's completions stand in the data, for the scale of a reward model's scores.
    has_texts: whether its data hold texts; without any, a preset's PPO-ptx is left out.
    seed: a judge's is another one, whatever the plan says of reward models.

    Raises InvalidConfig with every problem at once.
    """
    recipe = RECIPES[kind].recipe
    values: dict[str, Any] = {"seed": seed, **_from_project(plan, project, kind)}
    values |= plan.overrides.get(recipe, {})
    if kind == Run.Kind.PPO and not has_texts:
        values["ptx_coefficient"] = 0.0
    if kind == Run.Kind.JUDGE:
        values["seed"] = (values["seed"] + JUDGE_SEED) % 2**63
    if kind != recipe:
        values |= plan.overrides.get(kind, {})
    if kind == Run.Kind.EVALUATE:
        values["look"] = look
    if kind in (Run.Kind.REWARD, Run.Kind.JUDGE):
        values["base_source"] = base_source
    return _validated(kind, plan.preset, values, changes or {})


def changed_config(
    *, kind: str, config: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """An earlier run's stored config with `changes` over it. Raises InvalidConfig."""
    values = {name: value for name, value in config.items() if name not in ("recipe", "preset")}
    return _validated(kind, str(config.get("preset", "small")), values, changes)


def check_overrides(overrides: Mapping[str, Any], *, preset: str) -> None:
    """Raises InvalidConfig where a plan's overrides name no recipe, or make no valid config."""
    known = set(RECIPES) | set(CONFIGS)
    problems = [
        f"{name}: no such recipe; known are {', '.join(sorted(known))}"
        for name in overrides
        if name not in known
    ]
    for kind, config in RECIPES.items():
        for name in dict.fromkeys((config.recipe, str(kind))):
            values = overrides.get(name, {})
            if not isinstance(values, Mapping):
                problems.append(f"{name}: must be an object of fields, is {values!r}")
                continue
            fixed = sorted(set(values) & (set(PATHS) | {"preset", "role", "best_of", "look"}))
            problems += [f"{name}.{field}: is set by the round" for field in fixed]
            try:
                _build(kind, preset, dict(values))
            except ConfigError as error:
                problems += [f"{name}.{problem}" for problem in error.problems]
    if problems:
        raise InvalidConfig(list(dict.fromkeys(problems)))


def with_folders(run: Run, folder_of: Mapping[int, str]) -> RunConfig:
    """The config that the recipe reads: `folder_of` gives a checkpoint's folder by its id.

    Raises ConfigError.
    """
    values = {name: value for name, value in run.config.items() if name != "recipe"}
    for name, checkpoint in path_relations(run).items():
        if checkpoint is not None:
            values[name] = folder_of[checkpoint.pk]
    return RECIPES[run.kind].from_dict(values)


def path_relations(run: Run) -> dict[str, Checkpoint | None]:
    """Which checkpoint each of the config's folders is; None: the base itself."""
    relations: dict[str, Checkpoint | None] = {"base": run.base}
    if run.kind == Run.Kind.SFT:
        relations |= {"reward": run.reward}
    elif run.kind in REWARDED:
        relations |= {"reward": run.reward, "judge": run.judge, "adapter": _adapter(run.start)}
    elif run.kind == Run.Kind.DPO:
        relations |= {"judge": run.judge, "adapter": _adapter(run.start)}
    elif run.kind == Run.Kind.BEST_OF:
        relations |= {"reward": run.reward, "judge": run.judge}
    elif run.kind == Run.Kind.EVALUATE:
        relations |= {
            "judge": run.judge,
            "candidate": _adapter(run.start),
            **_deployed(run),
        }
    return relations


def _deployed(run: Run) -> dict[str, Checkpoint | None]:
    """What is deployed, which an SFT may have left on a former base."""
    deployed = run.deployed
    if deployed is None or deployed.pk == run.base_id:
        return {"deployed": None, "deployed_base": None}
    other = deployed.base is not None and deployed.base_id != run.base_id
    return {"deployed": deployed, "deployed_base": deployed.base if other else None}


def _adapter(checkpoint: Checkpoint | None) -> Checkpoint | None:
    """A policy is an adapter on the base; the base itself needs none."""
    if checkpoint is None or checkpoint.kind == Checkpoint.Kind.BASE:
        return None
    return checkpoint


def _from_project(plan: Plan, project: Project, kind: str) -> dict[str, Any]:
    """What the project decides: how it samples, and its limits."""
    if issubclass(RECIPES[kind], PolicyConfig):
        return {
            "max_new_tokens": project.max_new_tokens,
            "temperature": project.temperature,
            "kl_limit": plan.kl_limit,
            "distinct_share": plan.distinct_share,
        }
    if kind in (Run.Kind.EVALUATE, Run.Kind.BEST_OF):
        most = MOST_BEST_OF_PROMPTS if kind == Run.Kind.BEST_OF else plan.evaluation_prompts
        return {
            "max_new_tokens": project.max_new_tokens,
            "prompts": min(plan.evaluation_prompts, most),
        }
    return {}


def _validated(
    kind: str, preset: str, values: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    allowed = set(editable_fields(kind))
    problems = [
        f"{name}: can't be changed, or no such field; can be changed: {', '.join(sorted(allowed))}"
        for name in changes
        if name not in allowed
    ]
    if problems:
        raise InvalidConfig(problems)
    try:
        config = _build(kind, preset, {**values, **changes})
    except ConfigError as error:
        raise InvalidConfig(error.problems) from error
    stored = dataclasses.asdict(config)
    return {"recipe": config.recipe} | {
        name: value for name, value in stored.items() if name not in PATHS
    }


def _build(kind: str, preset: str, values: dict[str, Any]) -> RunConfig:
    """Build the dataclass with stand-ins for its folders. Raises ConfigError."""
    config = RECIPES[kind]
    values = {**config.presets.get(preset, {}), "preset": preset, "base": "checkpoint", **values}
    if kind in (*REWARDED, Run.Kind.BEST_OF):
        values |= {"reward": "checkpoint", "judge": "checkpoint"}
    if kind == Run.Kind.JUDGE:
        values["role"] = "judge"
    if kind == Run.Kind.BEST_OF:
        values.setdefault("best_of", 8)
    return config.from_dict(values)
