"""What sampling does at this moment, read from the rows of the devices.

Knows nothing of requests: whether anything is to be written is the caller's to know.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from training.devices import ALIVE_SECONDS, WANT_SECONDS
from training.models import Device, Run
from training.sampling import HOLDER


class Sampling(enum.Enum):
    """What becomes of a request that waits."""

    NOBODY = "nobody"
    """No sampler gives a sign of life."""
    AT_WORK = "at work"
    """It has a device, or one is free for it."""
    WAITS_FOR_PAUSE = "waits for pause"
    """A run was asked to pause and to lend its device."""
    WAITS_FOR_DEVICE = "waits for device"
    """Runs have the devices, and it isn't sampling's turn yet."""


def sampling_now(devices: Iterable[Device]) -> Sampling:
    """What the samplers behind these devices do."""
    alive = [device for device in devices if _has_sampler(device)]
    if not alive:
        return Sampling.NOBODY
    if any(is_sampling(device) or not _is_held(device) for device in alive):
        return Sampling.AT_WORK
    if any(_within(device.wanted_at, WANT_SECONDS) for device in alive):
        return Sampling.WAITS_FOR_PAUSE
    return Sampling.WAITS_FOR_DEVICE


def is_sampling(device: Device) -> bool:
    """Whether completions are written on it."""
    return _is_held(device) and device.holder == HOLDER


def is_paused(run: Run) -> bool:
    """Whether a running run has lent its device to sampling."""
    if run.state != Run.State.RUNNING or not run.device:
        return False
    device = Device.objects.filter(name=run.device).first()
    return device is not None and is_sampling(device)


def _has_sampler(device: Device) -> bool:
    return (
        is_sampling(device)
        or _within(device.sampler_seen_at, ALIVE_SECONDS)
        or _within(device.wanted_at, WANT_SECONDS)
    )


def _is_held(device: Device) -> bool:
    return device.token is not None and _within(device.renewed_at, settings.RUN_LEASE_SECONDS)


def _within(moment: datetime | None, seconds: float) -> bool:
    return moment is not None and timezone.now() - moment < timedelta(seconds=seconds)
