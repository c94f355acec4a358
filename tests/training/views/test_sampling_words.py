"""Who has the device, in words: on the overview, and on the page of a run that lends it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_project, make_prompt
from training.models import Device
from training.views.loop import loop_of
from training.views.needs import needs
from training.views.stages import stages


@pytest.fixture
def waiting(db):
    """A project with a prompt that waits for completions."""
    project = make_project()
    make_prompt(project).sample_requests.create(k=4)
    return project


def held(holder, name="here:cpu", **fields):
    now = timezone.now()
    values = {"holder": holder, "token": uuid4(), "renewed_at": now, "sampler_seen_at": now}
    return Device.objects.create(name=name, **(values | fields))


def mark(project):
    return stages(loop_of(project))[1].mark


def test_without_a_sampler_it_says_what_to_start(waiting):
    assert mark(waiting).kind == "stuck"
    assert mark(waiting).sentence == (
        "No sampler runs: start a worker for the queue “sampling”. 1 prompt waits for completions."
    )


def test_a_missing_sampler_needs_a_person(waiting):
    (found,) = [need for need in needs(loop_of(waiting)) if need.grave]
    assert "start a worker" in found.sentence
    held("run 7")
    assert not [need for need in needs(loop_of(waiting)) if need.grave]


def test_a_sampler_that_was_seen_long_ago_does_not_run(waiting):
    Device.objects.create(name="here:cpu", sampler_seen_at=timezone.now() - timedelta(minutes=2))
    assert mark(waiting).kind == "stuck"


def test_a_sampler_with_a_free_device_is_at_work(waiting):
    Device.objects.create(name="here:cpu", sampler_seen_at=timezone.now())
    assert mark(waiting).kind == "works"
    assert mark(waiting).sentence == "The sampler is at work: 1 prompt to go."


def test_a_device_whose_holder_is_gone_is_free(waiting):
    held("run 7", renewed_at=timezone.now() - timedelta(minutes=5))
    assert mark(waiting).kind == "works"


def test_while_a_run_has_the_device_nobody_writes(waiting):
    held("run 7")
    assert mark(waiting).kind == "waits"
    assert mark(waiting).sentence == (
        "A run has the device; 1 prompt is written for once it pauses or ends."
    )


def test_a_run_that_was_asked_to_pause_is_waited_for(waiting):
    make_prompt(waiting).sample_requests.create(k=4)
    held("run 7", wanted_at=timezone.now())
    assert mark(waiting).sentence == (
        "Waits for the run on its device to pause, to write for 2 prompts."
    )


def test_whoever_asks_for_the_device_is_alive(waiting):
    held("run 7", wanted_at=timezone.now(), sampler_seen_at=None)
    assert mark(waiting).kind == "waits"


def test_another_machines_busy_device_keeps_no_sampler_from_work(waiting):
    held("run 7", name="there:cpu", sampler_seen_at=None)
    Device.objects.create(name="here:cpu", sampler_seen_at=timezone.now())
    assert mark(waiting).kind == "works"


def test_a_run_that_lends_its_device_says_that_it_is_paused(seeded, manager):
    page = reverse("run", args=[seeded.project.slug, seeded.ppo.pk])
    said = "Paused while completions are written for labelers."
    device = held(f"run {seeded.ppo.pk}", name=seeded.ppo.device)
    assert said not in manager.get(page).content.decode()
    Device.objects.filter(pk=device.pk).update(holder="sampling")
    assert said in manager.get(page).content.decode()
    found = stages(loop_of(seeded.project))[4].mark
    assert (found.kind, found.sentence) == (
        "waits",
        "PPO: 38 % · paused while completions are written",
    )
