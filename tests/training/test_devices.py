"""One holder a device at a time; sampling may ask the holder to pause."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from training import devices
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
    settings.DEVICE = "auto"
    monkeypatch.setattr(devices, "count_gpus", lambda: 0)
    assert devices.for_training() == (f"{devices.host()}:cpu",)
    assert devices.for_sampling() == (f"{devices.host()}:cpu",)


def test_sampling_tries_the_last_gpu_first_and_the_cpu_at_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEVICE = "auto"
    monkeypatch.setattr(devices, "count_gpus", lambda: 2)
    host = devices.host()
    assert devices.for_training() == (f"{host}:cuda:0", f"{host}:cuda:1")
    assert devices.for_sampling() == (f"{host}:cuda:1", f"{host}:cuda:0", f"{host}:cpu")


def test_a_process_sees_its_device_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.environment("x:cpu") == {"CUDA_VISIBLE_DEVICES": ""}
    assert devices.environment("x:cuda:1") == {"CUDA_VISIBLE_DEVICES": "1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert devices.environment("x:cuda:1") == {"CUDA_VISIBLE_DEVICES": "7"}


def test_a_forced_device_is_used_for_everything(settings: Settings) -> None:
    settings.DEVICE = "cuda:3"
    assert devices.for_training() == devices.for_sampling() == (f"{devices.host()}:cuda:3",)
