"""A run's page: state, queue, numbers, texts, config, buttons; runs side by side."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from training.configs import PpoConfig
from training.models import Run, RunMetric, RunResult, RunSample


def at(name, seeded, run=None):
    return reverse(name, args=[seeded.project.slug, (run or seeded.ppo).pk])


def copy_of(run, **values):
    """Another run like it."""
    kept = ("project", "kind", "config", "base", "start", "reward", "judge")
    return Run.objects.create(**{name: getattr(run, name) for name in kept}, **values)


def test_it_shows_progress_and_the_time_left(seeded, manager):
    page = manager.get(at("run", seeded)).content.decode()
    assert "38 %" in page
    assert "step 3 of 8" in page
    assert "about 5 min left" in page


def test_it_shows_the_place_in_the_queue(seeded, manager):
    copy_of(seeded.ppo, state=Run.State.QUEUED)
    second = copy_of(seeded.ppo, state=Run.State.QUEUED)
    assert "Number 2 in the queue." in manager.get(at("run", seeded, second)).content.decode()


def test_it_polls_only_while_it_is_live(seeded, manager):
    assert 'hx-trigger="every 2s"' in manager.get(at("run", seeded)).content.decode()
    Run.objects.filter(pk=seeded.ppo.pk).update(state=Run.State.SUCCEEDED)
    assert "hx-trigger" not in manager.get(at("run", seeded)).content.decode()
    assert "hx-trigger" not in manager.get(at("run-live", seeded)).content.decode()


def test_a_poll_gets_the_state_and_the_texts(seeded, manager):
    part = manager.get(at("run-live", seeded)).content.decode()
    assert part.count('id="run-live"') == 1
    assert 'id="run-texts" class="stack" hx-swap-oob="outerMorph"' in part
    assert "<html" not in part


def test_a_failure_is_one_sentence(seeded, manager):
    failed = copy_of(
        seeded.ppo,
        state=Run.State.FAILED,
        finished_at=timezone.now(),
        error_code="too_few_rankings",
        error_values={"found": 3, "needed": 12},
    )
    page = manager.get(at("run", seeded, failed)).content.decode()
    assert "There are 3 usable rankings, and at least 12 are needed." in page
    assert f'action="{at("run-resume", seeded, failed)}"' in page


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("micro_batch_halved", "memory was short: half as much at once (1)"),
        ("prompts_cut", "prompts cut to fit"),
        ("empty_texts_ranked", "empty completions, ranked like others"),
    ],
)
def test_what_a_run_met_on_its_way_is_said_in_words(name, words, seeded, manager):
    run = copy_of(seeded.ppo, state=Run.State.SUCCEEDED, finished_at=timezone.now())
    RunResult.objects.create(run=run, name=name, value=1.0)
    assert words in manager.get(at("run", seeded, run)).content.decode()


def test_a_worker_that_is_silent_is_said(seeded, manager, settings):
    settings.RUN_LEASE_SECONDS = 5
    silent = timezone.now() - timedelta(minutes=3)
    Run.objects.filter(pk=seeded.ppo.pk).update(heartbeat_at=silent)
    assert "has not been heard for 3 min" in manager.get(at("run", seeded)).content.decode()


def test_a_text_with_markup_is_shown_as_text(seeded, manager):
    RunSample.objects.create(
        run=seeded.ppo, number=99, step=9, prompt="p", after="<script>alert(1)</script>\x07"
    )
    page = manager.get(at("run", seeded)).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert ">BEL<" in page


def test_what_differs_from_the_preset_is_marked(seeded, manager):
    page = manager.get(at("run", seeded))
    changed = {line.name: (line.value, line.preset) for line in page.context["changed"]}
    assert changed["episodes"] == ("384", str(PpoConfig.episodes))
    assert changed["learning_rate"] == ("0.0003", "0.0006")
    assert "clip" not in changed
    assert "clip" in {line.name for line in page.context["unchanged"]}


def test_the_points_after_a_step(seeded, manager):
    RunMetric.objects.filter(run=seeded.ppo).delete()
    for step, value in ((1, 0.5), (2, 0.75), (3, 1.0)):
        RunMetric.objects.create(run=seeded.ppo, name="kl", step=step, value=value)
    data = json.loads(manager.get(at("run-points", seeded), {"after": "1"}).content)
    assert data["points"] == {"kl": [[2, 0.75], [3, 1.0]]}
    assert data["panels"][0]["high"] == 10.0
    assert data["attempt"] == 1


def test_all_numbers_are_there_as_csv(seeded, manager):
    RunMetric.objects.filter(run=seeded.ppo).delete()
    RunMetric.objects.create(run=seeded.ppo, name="kl", step=1, value=0.5)
    RunMetric.objects.create(run=seeded.ppo, name="entropy", step=1, value=2.25)
    answer = manager.get(at("run-metrics.csv", seeded))
    body = b"".join(answer.streaming_content).decode()
    assert body == "step,name,value\r\n1,entropy,2.25\r\n1,kl,0.5\r\n"


def test_a_cancel_is_asked_for(seeded, manager):
    answer = manager.post(at("run-cancel", seeded), follow=True)
    seeded.ppo.refresh_from_db()
    assert seeded.ppo.cancel_requested_at is not None
    page = answer.content.decode()
    assert "Asked to stop" in page
    assert f'action="{at("run-cancel", seeded)}"' not in page


def test_a_run_that_is_over_says_why_it_cannot_be_cancelled(seeded, manager):
    Run.objects.filter(pk=seeded.ppo.pk).update(state=Run.State.SUCCEEDED)
    page = manager.post(at("run-cancel", seeded), follow=True).content.decode()
    assert "This run is over already." in page


def test_a_cancelled_run_can_be_resumed(seeded, manager):
    stopped = copy_of(seeded.ppo, state=Run.State.CANCELLED)
    manager.post(at("run-resume", seeded, stopped))
    stopped.refresh_from_db()
    assert stopped.state == Run.State.QUEUED


def test_it_runs_again_with_what_was_changed(seeded, manager):
    answer = manager.post(at("run-repeat", seeded), {"episodes": "256", "kl_target": "none"})
    again = Run.objects.latest("pk")
    assert answer.url == at("run", seeded, again)
    assert again.repeats == seeded.ppo
    assert (again.config["episodes"], again.config["kl_target"]) == (256, None)
    assert again.config["learning_rate"] == seeded.ppo.config["learning_rate"]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("episodes", "many", "Must be a whole number."),
        ("minibatches", "3", "must divide prompts_per_batch × samples_per_prompt"),
        ("kl_target", "x", "Must be a number, or the word none."),
    ],
)
def test_a_wrong_value_is_said_at_its_field(field, value, sentence, seeded, manager):
    count = Run.objects.count()
    answer = manager.post(at("run-repeat", seeded), {field: value})
    assert answer.status_code == 400
    assert answer.context["form"].errors[field] == [sentence]
    assert Run.objects.count() == count


def test_the_list_has_the_queue_first_and_filters(seeded, manager):
    url = reverse("run-list", args=[seeded.project.slug])
    page = manager.get(url, {"kind": "ppo", "state": "succeeded"})
    assert [row["run"] for row in page.context["queue"]] == [seeded.ppo]
    assert {run.kind for run in page.context["page"]} == {"ppo"}
    assert len(page.context["page"].object_list) == 2


def test_two_runs_stand_side_by_side(seeded, manager):
    other = copy_of(seeded.ppo, state=Run.State.SUCCEEDED)
    other.config = {**other.config, "episodes": 128}
    other.save()
    url = reverse("run-compare", args=[seeded.project.slug])
    page = manager.get(url, {"run": [seeded.ppo.pk, other.pk]})
    assert page.context["differences"] == [("episodes", ["384", "128"])]
    assert [one["label"] for one in page.context["chart"]["series"]] == [
        str(seeded.ppo.pk),
        str(other.pk),
    ]


def test_one_run_alone_is_not_compared(seeded, manager):
    url = reverse("run-compare", args=[seeded.project.slug])
    page = manager.get(url, {"run": [seeded.ppo.pk, "x"]}).content.decode()
    assert "Tick two to six runs" in page


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 19, "٣", "-1"])
def test_a_number_that_no_column_holds_breaks_no_page(number, seeded, manager):
    url = reverse("run-compare", args=[seeded.project.slug])
    assert manager.get(url, {"run": [number, seeded.ppo.pk]}).status_code == 200
    assert manager.get(at("run-points", seeded), {"after": number}).status_code == 200


@pytest.mark.parametrize(
    ("kind", "state", "sentence"),
    [
        ("reward", "running", "A reward model writes none."),
        ("judge", "succeeded", "A reward model writes none."),
        ("ppo", "running", "None yet; PPO writes a few at each look by the judge."),
        ("grpo", "running", "None yet; GRPO writes a few at each look by the judge."),
        ("rejection", "running", "None yet; it writes a few at each look by the judge."),
        ("sft", "queued", "None yet; a few answers before and after come at the end."),
        ("best_of", "running", "None yet; the texts of the first three prompts come here."),
        ("evaluate", "running", "None yet; the texts of the first three prompts come here."),
        ("evaluate", "failed", "This run wrote none."),
    ],
)
def test_without_texts_it_says_why_there_are_none(kind, state, sentence, seeded, manager):
    RunSample.objects.filter(run=seeded.ppo).delete()
    Run.objects.filter(pk=seeded.ppo.pk).update(kind=kind, state=state)
    assert sentence in manager.get(at("run", seeded)).content.decode()


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [("dpo", "loss", "dpo"), ("grpo", "scale", "group"), ("rejection", "samples_per_prompt", 8)],
)
def test_a_manager_starts_one_run_by_itself(seeded, manager, kind, field, value):
    address = reverse("run-list", args=[seeded.project.slug])
    assert f'value="{kind}"' in manager.get(address).content.decode()
    answer = manager.post(address, {"kind": kind}, follow=True)
    started = Run.objects.get(kind=kind)
    assert answer.redirect_chain[-1][0] == at("run", seeded, started)
    assert (started.round, started.state) == (None, Run.State.QUEUED)
    assert started.config[field] == value
    assert (started.reward is None) == (kind == "dpo")


def test_a_run_that_cannot_start_says_why(seeded, manager):
    address = reverse("run-list", args=[seeded.project.slug])
    page = manager.post(address, {"kind": "nonsense"}, follow=True).content.decode()
    assert "Choose what to run." in page
    page = manager.post(address, {"kind": "sft"}, follow=True).content.decode()
    assert "There is nothing to train on yet: this run needs demonstrations." in page
