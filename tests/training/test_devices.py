"""One holder a device at a time; sampling may ask the holder to pause."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from training import devices, sampling, work
from training.models import Device

pytestmark = pytest.mark.django_db
CPU = "here:cpu"


def test_one_holder_at_a_time() -> None:
    held = devices.lease(CPU, holder="training")
    assert held is not None
    assert devices.lease(CPU, holder="sampling") is None
    devices.release(held)
    assert devices.lease(CPU, holder="sampling") is not None


def test_a_holder_that_died_is_followed_by_the_next() -> None:
    held = devices.lease(CPU, holder="training")
    assert held is not None
    Device.objects.update(renewed_at=timezone.now() - timedelta(hours=1))
    assert devices.lease(CPU, holder="sampling") is not None
    assert not devices.renew(held)
    devices.release(held)
    assert Device.objects.get(name=CPU).holder == "sampling", "a former holder frees nothing"


def test_a_want_that_is_not_repeated_is_forgotten() -> None:
    devices.lease(CPU, holder="training")
    assert not devices.is_wanted(CPU)
    devices.want(CPU)
    assert devices.is_wanted(CPU)
    Device.objects.update(wanted_at=timezone.now() - timedelta(minutes=5))
    assert not devices.is_wanted(CPU)
    devices.want(CPU)
    devices.unwant(CPU)
    assert not devices.is_wanted(CPU)


def test_where_there_is_no_gpu_both_use_the_cpu(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEVICE, settings.MACHINE = "auto", "here"
    monkeypatch.setattr(devices, "count_gpus", lambda: 0)
    assert devices.for_training() == devices.for_sampling() == (CPU,)


def test_sampling_tries_the_last_gpu_first_and_the_cpu_at_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEVICE, settings.MACHINE = "auto", "here"
    monkeypatch.setattr(devices, "count_gpus", lambda: 2)
    assert devices.for_training() == ("here:cuda:0", "here:cuda:1")
    assert devices.for_sampling() == ("here:cuda:1", "here:cuda:0", CPU)


def test_a_process_sees_its_device_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.environment("x:cpu") == {"CUDA_VISIBLE_DEVICES": ""}
    assert devices.environment("x:cuda:1") == {"CUDA_VISIBLE_DEVICES": "1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert devices.environment("x:cuda:1") == {"CUDA_VISIBLE_DEVICES": "7"}


def test_a_forced_device_is_used_for_everything(settings: Settings) -> None:
    settings.DEVICE, settings.MACHINE = "cuda:3", "here"
    assert devices.for_training() == devices.for_sampling() == ("here:cuda:3",)


def test_containers_of_one_machine_lease_the_same_device_under_names_of_their_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEVICE, settings.MACHINE = "cpu", "here"
    monkeypatch.setattr(socket, "gethostname", lambda: "container-1")
    (samples_on,) = devices.for_sampling()
    devices.seen_by_sampler(samples_on)
    held = devices.lease(samples_on, holder="sampling")
    first = work.worker_name()
    monkeypatch.setattr(socket, "gethostname", lambda: "container-2")
    (trains_on,) = devices.for_training()
    assert held is not None
    assert devices.lease(trains_on, holder="training") is None
    assert devices.has_sampler(trains_on), "training knows whom to wait for"
    assert work.worker_name() != first, "process ids repeat from container to container"


def test_a_machine_of_another_name_has_devices_of_its_own(settings: Settings) -> None:
    settings.DEVICE, settings.MACHINE = "cpu", "here"
    devices.lease(*devices.for_training(), holder="training")
    settings.MACHINE = "there"
    assert devices.lease(*devices.for_training(), holder="training") is not None


def test_sampling_takes_the_gpu_while_no_run_holds_it_and_else_the_cpu(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEVICE, settings.MACHINE = "auto", "here"
    monkeypatch.setattr(devices, "count_gpus", lambda: 1)
    filler = sampling.Filler(threading.Event())
    free = filler._lease([])
    assert free is not None
    assert free.device == "here:cuda:0"
    devices.release(free)
    devices.lease("here:cuda:0", holder="run 1")
    beside = filler._lease([])
    assert beside is not None
    assert beside.device == CPU
