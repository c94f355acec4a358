"""Devices of this machine, and who may use them: one holder at a time, by a lease in the database.

A device is named after its machine, so that all containers of one machine mean the same one.
Knows nothing of torch: GPUs are counted by nvidia-smi, or by their device files.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from training.models import Device

WANT_SECONDS = 30
"""A want that was not repeated for this long is forgotten: whoever wanted it is gone."""
ALIVE_SECONDS = 60
"""A sampler that was not seen for this long is not waited for."""
SERVER = ":server"
"""Where a device's name says cpu or cuda:0: no device, but an outside server."""


@dataclass(frozen=True)
class Lease:
    """The right to use `device` until it lapses; renewed and given back by its token."""

    device: str
    token: uuid.UUID


@functools.cache
def count_gpus() -> int:
    """How many NVIDIA GPUs this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() not in ("", "-1")])
    if shutil.which("nvidia-smi"):
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=20, check=False
        )
        if listed.returncode == 0:
            return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def for_training() -> tuple[str, ...]:
    """Names of the devices on which a run may be put: the GPUs, or the CPU where there is none."""
    asked = settings.DEVICE
    if asked == "cpu" or (asked == "auto" and not count_gpus()):
        return (f"{settings.MACHINE}:cpu",)
    if asked.startswith("cuda:"):
        return (f"{settings.MACHINE}:{asked}",)
    return tuple(f"{settings.MACHINE}:cuda:{number}" for number in range(max(count_gpus(), 1)))


def for_sampling() -> tuple[str, ...]:
    """Devices in the order in which sampling tries them: the last GPU first, the CPU at the end.

    An outside server has a name of its own, under which its asker is seen; nobody leases it.
    """
    if settings.SAMPLING_URL:
        return (f"{settings.MACHINE}{SERVER}",)
    own = tuple(reversed(for_training()))
    cpu = f"{settings.MACHINE}:cpu"
    return own if cpu in own or settings.DEVICE != "auto" else (*own, cpu)


def environment(device: str) -> dict[str, str]:
    """Environment variables that show a process this device and no other."""
    _machine, _colon, kind = device.partition(":")
    if kind == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    number = int(kind.rpartition(":")[2])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    ids = visible.split(",") if visible else []
    return {"CUDA_VISIBLE_DEVICES": ids[number].strip() if number < len(ids) else str(number)}


def _unheld() -> Q:
    """Nobody holds it, or its holder has not renewed in time."""
    limit = Now() - timedelta(seconds=settings.RUN_LEASE_SECONDS)
    return Q(token=None) | Q(renewed_at=None) | Q(renewed_at__lt=limit)


def _unwanted() -> Q:
    """Nobody asks for it, or whoever asked is gone."""
    limit = Now() - timedelta(seconds=WANT_SECONDS)
    return Q(wanted_at=None) | Q(wanted_at__lt=limit)


def any_free() -> bool:
    """Whether some device could be taken now; also where none was ever used."""
    known = Device.objects.exclude(name__endswith=SERVER)
    return known.filter(_unheld() & _unwanted()).exists() or not known.exists()


def lease(device: str, *, holder: str) -> Lease | None:
    """Take `device` if nobody holds it, or its holder has not renewed in time."""
    Device.objects.get_or_create(name=device)
    token = uuid.uuid4()
    taken = Device.objects.filter(_unheld(), name=device).update(
        holder=holder, token=token, renewed_at=Now(), leased_at=Now()
    )
    return Lease(device, token) if taken else None


def renew(held: Lease) -> bool:
    """Keep it; False where it is no longer ours."""
    mine = Device.objects.filter(name=held.device, token=held.token)
    return bool(mine.update(renewed_at=Now()))


def relabel(held: Lease, *, holder: str) -> None:
    """Say what the device is used for now."""
    Device.objects.filter(name=held.device, token=held.token).update(holder=holder)


def release(held: Lease) -> None:
    """Give it back. Nothing happens where it is no longer ours."""
    Device.objects.filter(name=held.device, token=held.token).update(
        holder="", token=None, renewed_at=None
    )


def want(device: str) -> None:
    """Ask the holder to pause and lend it. Repeat it while waiting."""
    Device.objects.filter(name=device).update(wanted_at=Now())


def unwant(device: str) -> None:
    """The want is over: the holder may go on."""
    Device.objects.filter(name=device).update(wanted_at=None)


def is_wanted(device: str) -> bool:
    """Whether someone asks its holder to pause, and is still there."""
    limit = Now() - timedelta(seconds=WANT_SECONDS)
    return Device.objects.filter(name=device, wanted_at__gte=limit).exists()


def seen_by_sampler(device: str) -> None:
    """A sampler that would use this device is there and looks for work."""
    Device.objects.get_or_create(name=device)
    Device.objects.filter(name=device).update(sampler_seen_at=Now())


def has_sampler(device: str) -> bool:
    """Whether a sampler that would use this device is alive."""
    limit = Now() - timedelta(seconds=ALIVE_SECONDS)
    return Device.objects.filter(name=device, sampler_seen_at__gte=limit).exists()


def held_for(device: str) -> timedelta | None:
    """How long its present holder has had it; None where nobody holds it."""
    found = Device.objects.filter(name=device, token__isnull=False).first()
    if found is None or found.leased_at is None:
        return None
    return timezone.now() - found.leased_at
