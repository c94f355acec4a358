"""Learning rates by hand, and the KL controller against a simulated policy."""

import math
import random

import pytest

from training.rlhf.schedules import KlController, cosine, kl_target_from, warmed_up


def test_the_warm_up_starts_at_a_tenth_and_ends_at_the_peak():
    shares = [warmed_up(step, warmup=10) for step in (0, 5, 10, 500)]
    assert shares == pytest.approx([0.1, 0.55, 1.0, 1.0])


def test_without_a_warm_up_the_peak_holds_from_the_first_step():
    assert warmed_up(0, warmup=0) == 1.0


def test_annealed_it_falls_in_a_straight_line():
    plain = [warmed_up(step, warmup=0, anneal_over=4) for step in range(4)]
    assert plain == [1.0, 0.75, 0.5, 0.25]
    both = [warmed_up(step, warmup=2, anneal_over=4) for step in range(4)]
    assert both == pytest.approx([0.1, 0.55 * 0.75, 0.5, 0.25])


def test_the_cosine_falls_from_the_peak_to_a_tenth():
    shares = [cosine(step, total=100) for step in (0, 50, 100, 130)]
    assert shares == pytest.approx([1.0, 0.55, 0.1, 0.1])


def test_the_cosine_rises_first():
    assert cosine(0, total=100, warmup=4) == pytest.approx(0.2)
    assert cosine(4, total=100, warmup=4) == pytest.approx(1.0)


class Policy:
    """A policy under PPO, its numbers taken from the trials in docs/experiments.md.

    It moves at 0.45 √nat a batch at most, drawn by the reward's pull less the penalty's, with
    Adam's momentum; its KL is half the square of the way, measured with 10 % of noise.
    """

    def __init__(self, *, pull, seed=0):
        self.way, self.speed, self.pull = 0.0, 0.0, pull
        self.random = random.Random(seed)

    def batch(self, beta):
        force = self.pull - beta * self.way + self.random.gauss(0, 0.1)
        self.speed += 0.34 * (0.45 * math.tanh(2 * force) - self.speed)
        self.way = max(0.0, self.way + self.speed)
        return self.way**2 / 2 * self.random.gauss(1, 0.1)


def stepwise(beta, kl, target):
    """The rule of lm-human-preferences with a horizon short enough to act within 500 episodes."""
    return beta * (1 + max(-0.2, min(0.2, kl / target - 1)) * 64 / 100)


@pytest.mark.parametrize("pull", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("target", [4.0, 6.0, 10.0])
def test_the_controller_holds_its_target_without_a_crash(pull, target):
    controller, policy, seen = KlController(target=target, start=0.1), Policy(pull=pull), []
    for _ in range(80):
        kl = policy.batch(controller.beta)
        controller = controller.measured(kl, episodes=64)
        seen.append(kl)
    late = seen[40:]
    assert max(seen) < 2.1 * target
    assert 0.85 * target < sum(late) / len(late) < 1.2 * target
    assert min(late) > 0.6 * target


class QuickPolicy:
    """One under a ridge critic, by the trial in docs/experiments.md that swung from 0.6 to 18 nats.

    √KL grows by what is learned from a batch, up to `pull`, and shrinks by 3.2·β of itself.
    """

    def __init__(self, *, pull, seed=0):
        self.root, self.batches, self.pull = 0.05, 0, pull
        self.random = random.Random(seed)

    def batch(self, beta):
        self.batches += 1
        learned = 0.9 * self.pull * min(1.0, self.batches / 5)
        self.root = max(0.05, self.root + learned - 3.2 * beta * max(self.root, 0.3))
        return self.root**2 * math.exp(self.random.gauss(0, 0.12))


@pytest.mark.parametrize("pull", [0.7, 1.2, 2.1])
@pytest.mark.parametrize("target", [5.0, 8.0])
def test_it_holds_a_policy_that_learns_fast(pull, target):
    controller, policy, seen = KlController(target=target, start=0.1), QuickPolicy(pull=pull), []
    for _ in range(32):
        kl = policy.batch(controller.beta)
        controller = controller.measured(kl, episodes=64)
        seen.append(kl)
    assert max(seen) < 2.2 * target
    assert min(seen[8:]) > 0.3 * target


def test_it_swings_less_than_the_stepwise_rule():
    def swing(run):
        return max(run[16:]) - min(run[16:])

    ours, theirs = Policy(pull=0.8), Policy(pull=0.8)
    controller, beta, held, stepped = KlController(target=6.0, start=0.1), 0.1, [], []
    for _ in range(60):
        held.append(ours.batch(controller.beta))
        controller = controller.measured(held[-1], episodes=64)
        stepped.append(theirs.batch(beta))
        beta = stepwise(beta, stepped[-1], 6.0)
    assert swing(held) < 0.7 * swing(stepped)


def test_on_target_it_leaves_beta_alone():
    controller = KlController(target=4.0, start=0.1, root=2.0, arrived=True)
    assert controller.measured(4.0, episodes=64).beta == pytest.approx(0.1)


def test_on_the_way_to_the_target_beta_stays_where_it_started():
    controller = KlController(target=6.0, start=0.1)
    for kl in (0.0, 0.2, 0.6, 1.2, 2.0):
        controller = controller.measured(kl, episodes=64)
        assert controller.beta == 0.1


def test_where_the_penalty_keeps_it_from_its_target_beta_falls():
    controller = KlController(target=6.0, start=0.1)
    for _ in range(10):
        controller = controller.measured(2.0, episodes=64)
    assert controller.beta < 0.07


def test_above_the_target_beta_rises_at_once():
    controller = KlController(target=6.0, start=0.1, smoothing=1.0, arrived=True, root=2.4)
    assert controller.measured(12.0, episodes=64).beta > 0.2


def test_a_run_aims_at_a_step_beyond_where_it_starts_and_never_beyond_the_target():
    for start, step, expected in ((0.0, 5.0, 5.0), (2.5, 5.0, 7.5), (6.0, 5.0, 8.0)):
        assert kl_target_from(start, target=8.0, step=step) == expected
    assert kl_target_from(-0.1, target=8.0, step=5.0) == 5.0
    assert kl_target_from(0.0, target=8.0, step=None) == 8.0


@pytest.mark.parametrize(
    ("excess", "target"), [(0.0, 8.0), (1.0, 8.0), (1.25, 6.4), (2.0, 4.0), (float("inf"), 4.0)]
)
def test_after_a_look_beyond_the_limits_it_aims_lower(excess, target):
    assert KlController(target=8.0, start=0.1).aiming_lower(excess).target == pytest.approx(target)


def test_it_never_aims_below_one_nat():
    assert KlController(target=1.2, start=0.1).aiming_lower(2.0).target == 1.0
