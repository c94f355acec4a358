"""How much goes through a model at once changes gradients by nothing beyond rounding."""

import pytest
import torch

from tests.training.rlhf.rehearsal import messages, two_rankings
from training.configs import DpoConfig, PpoConfig, RewardConfig
from training.rlhf import dpo, likelihood, ppo_update, room, sft
from training.rlhf.demonstrations import encode_example
from training.rlhf.features import FeatureRow
from training.rlhf.layers import make_batch
from training.rlhf.ppo_update import Targets, Update, ValueTerm
from training.rlhf.precision import Compute
from training.rlhf.ranked import Demonstration
from training.rlhf.reward_model import load_reward_model
from training.rlhf.reward_tuning import RewardTuning
from training.rlhf.values import ValueFunction

pytestmark = pytest.mark.model


class Counter:
    """A control that counts the micro-batches."""

    def __init__(self):
        self.parts = 0

    def step_boundary(self):
        self.parts += 1


@pytest.fixture
def check(monkeypatch):
    """check(parameters, add, parts=n): what add(control) adds up, at once and in n parts."""

    def both(parameters, add, *, parts):
        found = []
        for share, expected in ((1.0, 1), (1e-9, parts)):
            monkeypatch.setattr(room, "_share", share)
            control = Counter()
            add(control)
            assert control.parts == expected
            found.append({name: p.grad.clone() for name, p in parameters.items()})
            for parameter in parameters.values():
                parameter.grad = None
        for name, whole in found[0].items():
            size = float(whole.abs().max())
            assert size > 0, name
            assert float((found[1][name] - whole).abs().max()) < 1e-4 * size, name

    return both


def drawn(episodes, seed):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(episodes.old.shape, generator=random) * episodes.batch.mask


def test_of_ppo_with_a_critic(check, policy, episodes, trained, tiny):
    folder = str(trained["reward"])
    critic = ValueFunction(load_reward_model(folder, tiny), folder)
    targets = Targets(
        *(drawn(episodes, seed) for seed in range(3)), ppo_update._read(critic, episodes.batch)[1]
    )
    config = PpoConfig(base="b", reward="r", entropy_coefficient=0.1)
    update = Update(config, policy, ValueTerm(critic, clip=0.2, coefficient=0.5))
    check(
        update.optimiser.parameters,
        lambda control: update._minibatch(episodes, targets, torch.arange(12), control),
        parts=12,
    )


def test_of_sft(check, policy, tiny):
    examples = [
        encode_example(
            tiny,
            Demonstration(FeatureRow(messages(f"say {n}"), "ab" * (90 - 20 * n), True), 1.0 + n),
            512,
        )
        for n in range(4)
    ]
    compute = Compute("cpu", "float32", 1)
    check(
        policy.lm.trainable(),
        lambda control: sft.add_gradients(policy.lm, examples, compute, control),
        parts=3,
    )


def test_of_pretraining_texts_and_winners(check, policy, tiny):
    batch = make_batch(tiny, [[5], [6, 7]], [[70] * 9, [71, 72], [73] * 4], [0, 1, 1])
    check(
        policy.lm.trainable(),
        lambda control: likelihood.add_gradients(policy.lm, batch, control),
        parts=3,
    )


@pytest.mark.parametrize("loss", ["dpo", "ipo", "plackett_luce"])
def test_of_dpo(check, policy, loss):
    config, data = DpoConfig(base="b", loss=loss), two_rankings(1.0, 3.0)
    check(
        policy.lm.trainable(),
        lambda control: dpo.add_gradients(policy, data, [[0], [1]], config, control),
        parts=2,
    )


def test_of_reward_fine_tuning(check, tiny, monkeypatch):
    config = RewardConfig.from_preset("paper", base="b", lora_rank=4)
    data = two_rankings(1.0, 3.0)
    tuning = RewardTuning(tiny, config, data, None, chosen=range(2), key="tune")
    with torch.no_grad():
        for parameter in tuning.lm.trainable().values():
            parameter.add_(0.01)
    monkeypatch.setattr(tuning.optimiser, "step", lambda *_, **__: 0.0)
    check(tuning.optimiser.parameters, lambda control: tuning.step(0, control), parts=2)
