"""Real workers, killed and told twice: a run is carried out once, resumes, and leaves no orphan."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.installation import Installation, trainers

pytestmark = [pytest.mark.kill, pytest.mark.model, pytest.mark.timeout(900)]

STEPS = 40
"""Of the run that is killed, of eight episodes each."""
SET_UP = """
from labeling.models import Project
from tests import factories
from training import checkpoints, datasets, runs
from training.models import Run
project = factories.make_project(base_model={model!r}, k=2, max_new_tokens=8)
labeler = factories.make_labeler(project)
for _ in range(24):
    factories.make_prompt(project)
for split, count in (("train", 12), ("rm_test", 4), ("evaluation", 4)):
    for _ in range(count):
        prompt = factories.make_prompt(project, split=split)
        if split == "train":
            factories.make_slate(project, ["some text here", "a b c"], prompt=prompt)
for _ in range(12):
    factories.make_ranking(project, labeler)
base = checkpoints.base_checkpoint(project)
frozen = [datasets.freeze_rankings(project=project),
          datasets.freeze_prompts(project=project, evaluation_prompts=4)]
small = {{"folds": 3, "finetune": "never", "bootstrap": 20, "threads": 1}}
run = runs.create_run(project=project, kind="reward", changes=small,
                      inputs=runs.Inputs(base=base, datasets=frozen[:1]))
print(run.pk)
"""
PPO = """
from training import runs
from training.models import Checkpoint, Dataset, Run
reward = Checkpoint.objects.get(kind="reward")
changes = {{"episodes": {episodes}, "prompts_per_batch": 4, "samples_per_prompt": 2,
            "evaluate_every": 100000, "development_samples": 4, "threads": 1,
            "precision": "float32", "seed": 7}}
inputs = runs.Inputs(base=reward.base, reward=reward,
                     datasets=Dataset.objects.filter(kind="prompts"))
run = runs.create_run(project=reward.project, kind="ppo", changes=changes, inputs=inputs)
print(run.pk)
"""


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, redis_server: str
) -> Iterator[Installation]:
    """An installation with a finished reward model."""
    data = tmp_path_factory.mktemp("installation")
    installation = Installation(data, redis_server)
    reward = int(installation.shell(SET_UP.format(model=str(tiny_model))))
    installation.start_worker()
    installation.nudge()
    installation.wait(
        "the reward model", lambda: installation.run_field(reward, "state") == "succeeded"
    )
    installation.stop()
    yield installation
    assert trainers(data) == [], "a process has outlived its worker"


@pytest.fixture(autouse=True)
def no_worker_is_left(installation: Installation) -> Iterator[None]:
    yield
    installation.stop()


def make_ppo(installation: Installation, *, episodes: int) -> int:
    return int(installation.shell(PPO.format(episodes=episodes)))


def test_a_run_whose_worker_is_killed_resumes_once_and_ends_the_same(
    installation: Installation,
) -> None:
    installation.start_worker()
    run = make_ppo(installation, episodes=8 * STEPS)
    installation.nudge()
    # Its own file, since rows follow seconds later: on a fast machine it would be over by then.
    metrics = installation.data / "runs" / str(run) / "metrics.jsonl"
    installation.wait("some steps", lambda: metrics.is_file() and len(metrics.read_bytes()) > 0)
    installation.workers[-1].send_signal(signal.SIGKILL)
    took = installation.wait("no orphan", lambda: not trainers(installation.data), seconds=30)
    assert took < 30
    assert installation.run_field(run, "state") == "running", "nobody could say so"

    # Two workers, and the message delivered more than once: one of them takes it up, once.
    installation.start_worker()
    installation.start_worker()
    time.sleep(7)  # the claim lapses
    installation.nudge(times=4)
    seen: set[int] = set()

    def over() -> bool:
        at_work = trainers(installation.data)
        assert len(at_work) <= 1, "two processes on one run"
        seen.update(at_work)
        return str(installation.run_field(run, "state")) == "succeeded"

    installation.wait("the run", over, seconds=240)
    assert installation.run_field(run, "attempt") == 2
    assert len(seen) == 1
    steps = installation.query(
        "SELECT COUNT(*), COUNT(DISTINCT step), MAX(step) FROM training_runmetric "
        "WHERE run_id = ? AND name = 'reward'",
        run,
    )
    assert steps == (STEPS, STEPS, STEPS), "no step is missing, none is there twice"

    # Never interrupted, the same run ends with the same bits.
    again = int(
        installation.shell(
            "from training import runs\nfrom training.models import Run\n"
            f"print(runs.repeat_run(run=Run.objects.get(pk={run}), changes={{}}, by=None).pk)"
        )
    )
    installation.nudge()
    installation.wait(
        "the repetition",
        lambda: installation.run_field(again, "state") == "succeeded",
        seconds=240,
    )
    sums = [
        installation.query("SELECT sha256 FROM training_checkpoint WHERE run_id = ?", one)[0]
        for one in (run, again)
    ]
    assert sums[0] == sums[1]


def test_a_cancel_is_obeyed_within_half_a_minute(installation: Installation) -> None:
    installation.start_worker()
    run = make_ppo(installation, episodes=100_000)
    installation.nudge()
    installation.wait("some steps", lambda: installation.run_field(run, "step") >= 2)
    cancel(installation, run)
    took = installation.wait(
        "the cancel",
        lambda: (
            installation.run_field(run, "state") == "cancelled" and not trainers(installation.data)
        ),
        seconds=30,
    )
    assert took < 30


def test_a_worker_that_is_told_to_end_gives_its_run_back(installation: Installation) -> None:
    worker = installation.start_worker()
    run = make_ppo(installation, episodes=100_000)
    installation.nudge()
    installation.wait("some steps", lambda: installation.run_field(run, "step") >= 2)
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=40)
    assert not trainers(installation.data)
    state, attempt = installation.run_field(run, "state", "attempt")
    assert (state, attempt) == ("queued", 1)
    cancel(installation, run)


SAMPLE = """
import threading
from labeling.models import Project
from training import sampling
sampling.TRAINING_SLICE = 1.0
project = Project.objects.get()
asked = len(sampling.ask_for_stock(project))
filler = sampling.Filler(threading.Event())
done = 0
while done < asked:
    done += filler.fill(linger=2)
filler.close()
print(asked, done)
"""


def test_a_low_stock_is_filled_while_training_is_paused(installation: Installation) -> None:
    installation.start_worker()
    run = make_ppo(installation, episodes=100_000)
    installation.nudge()
    installation.wait("some steps", lambda: installation.run_field(run, "step") >= 2)
    seen: list[tuple[str, bool]] = []
    paused = installation.data / "runs" / str(run) / "paused"
    sampling = installation.start_shell(SAMPLE)
    while sampling.poll() is None:
        before = paused.exists()
        holder = installation.query("SELECT holder FROM training_device")[0]
        if before == paused.exists():
            seen.append((holder, before))
        time.sleep(0.02)
    assert sampling.stdout is not None
    asked, done = map(int, sampling.stdout.read().split()[-2:])
    assert asked == done == 24
    assert ("sampling", True) in seen
    assert ("sampling", False) not in seen, "never two at a time"

    step = installation.run_field(run, "step")
    installation.wait("it goes on", lambda: installation.run_field(run, "step") > step + 1)
    assert installation.query("SELECT holder FROM training_device")[0] == f"run {run}"
    state, attempt = installation.run_field(run, "state", "attempt")
    assert (state, attempt) == ("running", 1)
    cancel(installation, run)


def cancel(installation: Installation, run: int) -> None:
    installation.shell(
        "from training import runs\nfrom training.models import Run\n"
        f"runs.cancel_run(run=Run.objects.get(pk={run}))"
    )
