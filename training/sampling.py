"""Completions ahead of the labelers: waiting requests are fulfilled in batches, device by device.

About half of the K completions of a request come from the deployed policy, the rest from the base
and from earlier policies on the same base. What somebody waits for comes first, by itself, and from
the deployed policy alone: it is what they talk with. Where training holds the only device it is
asked to pause once the stock runs low; an outside server, where there is one, needs no device of
ours. Knows nothing of ranking.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count

from labeling.apart import apart
from labeling.completions import (
    NewCompletion,
    fail_request,
    ready_slates,
    record_completions,
    request_samples,
    waiting_requests,
)
from labeling.models import Project, SampleRequest
from training import deployments, devices, rules, work
from training.blinding import secret_order
from training.database import TROUBLE, mend
from training.errors import explain, kept
from training.launcher import CannotLaunch, checkpoint_location
from training.models import Checkpoint, Deployment
from training.runs import claimable
from training.sampler import Sampler, SamplerError
from training.served_sampler import PromptRefused, ServedSampler

FIRST_BATCH = 4
"""Requests in a batch while a project's stock is empty: the first labeler waits for it."""
BATCH = 24
"""Requests in a batch otherwise."""
LOW_STOCK = 0.34
"""Below this share of its stock a project's labelers come before training."""
TRAINING_SLICE = 60.0
"""Seconds that training has the device before stock may interrupt it (again)."""
URGENT_SLICE = 5.0
"""The same where somebody waits for the answer."""
PAUSE_SECONDS = 90.0
"""How long a want for the device is upheld; a run pauses between two minibatches."""
COURTESY = 3.0
"""Seconds in which a run that may start gets the device before sampling takes it again."""
LINGER = 12.0
"""Seconds for which `fill` goes on looking after there was nothing to do."""
LOOK_SECONDS = 1.0
SEEN_SECONDS = 15.0
"""Between two signs of life; well below devices.ALIVE_SECONDS."""
FORMER_POLICIES = 2
"""Earlier deployed policies that share the second half of a slate with the base."""
HOLDER = "sampling"
"""Who has a device while completions are written on it."""

logger = logging.getLogger(__name__)


class Interrupted(Exception):  # noqa: N818  # a state of affairs, not a fault
    """The worker stops, its lease of the device is gone, or another policy answers by now."""


def ask_for_stock(project: Project) -> list[SampleRequest]:
    """Ask for as many slates as the project keeps ready and has not.

    Where the next round waits for more rankings than the prompts have given, they come again.
    """
    deployed = deployments.current_or_first(project)
    return request_samples(
        project=project, since=deployed.policy_since, anew=rules.wants_rankings(project)
    )


def ask_for_all_stocks() -> None:
    """`ask_for_stock` for every project that is not archived and whose stock is not full.

    Looked at first without the lock that asking takes.
    """
    for project in Project.objects.open():
        with apart("asking for stock", project):
            there = ready_slates(project) + waiting_requests(project).count()
            if there < project.slates_ahead:
                ask_for_stock(project)


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A checkpoint that writes completions."""

    checkpoint: Checkpoint
    base: Checkpoint

    @property
    def adapter(self) -> Checkpoint | None:
        """None for the base itself."""
        return None if self.checkpoint.pk == self.base.pk else self.checkpoint


def writers_of(project: Project, k: int, *, awaited: bool = False) -> list[Writer]:
    """Who writes each of a slate's K completions: the deployed policy half, then base and former.

    A base that is deployed writes all of them. awaited: somebody waits for the deployed policy's
    answer, and gets no other's.
    """
    deployed = deployments.current_or_first(project).checkpoint
    base = deployed if deployed.base is None else deployed.base
    ours = Writer(checkpoint=deployed, base=base)
    if deployed.base is None or awaited:
        return [ours] * k
    former = (
        Checkpoint.objects.with_files()
        .filter(project=project, base=base, kind=Checkpoint.Kind.POLICY)
        .filter(deployments__isnull=False, version__lt=deployed.version)
        .distinct()
        .order_by("-version")[:FORMER_POLICIES]
    )
    others = [Writer(checkpoint=one, base=base) for one in (base, *former)]
    half = (k + 1) // 2
    return [ours] * half + [others[index % len(others)] for index in range(k - half)]


class Filler:
    """Owns this worker's sampling process, and fulfils requests with it."""

    def __init__(self, stopping: threading.Event) -> None:
        """`stopping` ends the work at the next second."""
        self._stopping = stopping
        self._busy = threading.Lock()
        self._sampler: Sampler | None = None
        self._emptied_at: dict[int, float] = {}
        self._seen_at = -SEEN_SECONDS

    def fill(self, *, linger: float = LINGER) -> int:
        """Fulfil what waits, and what comes to wait within `linger` seconds. Requests fulfilled.

        A second call while one is at work returns at once.
        """
        if not self._busy.acquire(blocking=False):
            return 0
        try:
            return self._fill(linger)
        finally:
            self._busy.release()

    def close(self) -> None:
        """End the sampling process."""
        if self._sampler is not None:
            self._sampler.close()
        self._sampler = None

    def _fill(self, linger: float) -> int:
        done, quiet_since = 0, time.monotonic()
        while not self._stopping.is_set():
            try:
                self._be_seen()
                batch = self._next_batch()
                fulfilled = self._fulfil(batch) if batch else 0
            except TROUBLE:
                logger.warning("sampling: the database does not answer", exc_info=True)
                mend()
                fulfilled = 0
            if fulfilled:
                done += fulfilled
                quiet_since = time.monotonic()
                self._be_courteous()
                continue
            self._unload_when_idle()
            if time.monotonic() - quiet_since >= linger:
                break
            self._stopping.wait(LOOK_SECONDS)
        return done

    def _be_seen(self) -> None:
        """Tell training that there is a sampler to wait for."""
        if time.monotonic() - self._seen_at >= SEEN_SECONDS:
            for device in devices.for_sampling():
                devices.seen_by_sampler(device)
            self._seen_at = time.monotonic()

    def _next_batch(self) -> list[SampleRequest]:
        """Requests of one project: where somebody waits, else where the stock is emptiest.

        Nobody waits for the stock to be written beside what they asked for.
        """
        first = waiting_requests().first()
        if first is None:
            return []
        project = first.prompt.project
        if first.deadline is not None:
            return list(waiting_requests(project).filter(deadline__isnull=False)[:BATCH])
        counts = dict(
            waiting_requests()
            .order_by()
            .values_list("prompt__project")
            .annotate(waiting=Count("pk"))
        )
        projects = Project.objects.filter(pk__in=counts).order_by("pk")
        project = max(projects, key=lambda one: counts[one.pk] / one.slates_ahead)
        size = BATCH
        if not ready_slates(project):
            before = self._emptied_at.get(project.pk, -TRAINING_SLICE)
            if time.monotonic() - before >= TRAINING_SLICE:
                size = FIRST_BATCH
                self._emptied_at[project.pk] = time.monotonic()
        return list(waiting_requests(project)[:size])

    def _fulfil(self, batch: Sequence[SampleRequest]) -> int:
        """Take a device, sample, give it back. How many requests were fulfilled or given up.

        With an outside server there is no device to take.
        """
        lease = None if settings.SAMPLING_URL else self._lease(batch)
        if lease is None and not settings.SAMPLING_URL:
            return 0
        try:
            return self._sample(batch, lease)
        except Interrupted:
            return 0
        finally:
            if lease is not None:
                devices.unwant(lease.device)
                devices.release(lease)

    def _lease(self, batch: Sequence[SampleRequest]) -> devices.Lease | None:
        """A device that is free, or that training lends us; None: another time."""
        names = devices.for_sampling()
        for name in names:
            lease = devices.lease(name, holder=HOLDER)
            if lease is not None:
                return lease
        name = names[0]
        if not self._may_interrupt(name, batch):
            return None
        deadline = time.monotonic() + PAUSE_SECONDS
        while time.monotonic() < deadline and not self._stopping.is_set():
            self._be_seen()
            devices.want(name)
            lease = devices.lease(name, holder=HOLDER)
            if lease is not None:
                return lease
            self._stopping.wait(LOOK_SECONDS / 4)
        devices.unwant(name)
        return None

    def _may_interrupt(self, device: str, batch: Sequence[SampleRequest]) -> bool:
        """Whether labelers are about to run dry, and training has had its slice of time."""
        held = devices.held_for(device)
        if held is None:
            return False
        if batch[0].deadline is not None:
            return held.total_seconds() >= URGENT_SLICE
        project = batch[0].prompt.project
        low = ready_slates(project) < project.slates_ahead * LOW_STOCK
        return low and held.total_seconds() >= TRAINING_SLICE

    def _be_courteous(self) -> None:
        """Leave a run whose turn it is the time to take the device."""
        if settings.SAMPLING_URL:
            return
        device = devices.for_sampling()[0]
        if claimable().exists() and work.may_start(device):
            self._stopping.wait(COURTESY)

    def _sample(self, batch: Sequence[SampleRequest], lease: devices.Lease | None) -> int:
        """Sample a batch of one project's requests, writer by writer."""

        def keep_lease() -> None:
            self._be_seen()
            lost = lease is not None and not devices.renew(lease)
            if lost or self._stopping.is_set():
                self.close()
                raise Interrupted

        sampler = self._sampler_on(lease.device) if lease is not None else _outside()
        project = batch[0].prompt.project
        by_id = {str(request.pk): request for request in batch}
        deployed = deployments.current_or_first(project)
        written: list[tuple[Writer, list[Any]]] = []
        try:
            for writer, count, some in _shares(project, batch):
                rows = sampler.sample(
                    base=checkpoint_location(writer.base),
                    adapter=checkpoint_location(writer.adapter) if writer.adapter else None,
                    prompts=[{"id": str(one.pk), "messages": one.prompt.messages} for one in some],
                    samples=count,
                    max_new_tokens=project.max_new_tokens,
                    temperature=project.temperature,
                    seed=writer.checkpoint.pk,
                    meanwhile=keep_lease,
                )
                keep_lease()
                written.append((writer, rows))
        except (SamplerError, CannotLaunch) as error:
            message = explain(error.code, error.values)
            logger.error("sampling for %s failed: %s", project.slug, message)  # noqa: TRY400  # said
            blamed = [by_id[error.prompt]] if isinstance(error, PromptRefused) else batch
            for request in blamed:
                fail_request(request=request, code=error.code, values=kept(error.values))
            return len(blamed)
        _take_in(written, by_id, deployed)
        return len(batch)

    def _sampler_on(self, device: str) -> Sampler:
        """The sampling process, moved to `device` if it was elsewhere."""
        if self._sampler is None or self._sampler.device != device:
            self.close()
            self._sampler = Sampler(device)
        return self._sampler

    def _unload_when_idle(self) -> None:
        """Free the memory of a model that nobody has asked for lately."""
        sampler = self._sampler
        if sampler is None or not sampler.running:
            return
        if time.monotonic() - sampler.used_at > settings.SAMPLER_IDLE_SECONDS:
            logger.info("the sampling process on %s is idle: unloaded", sampler.device)
            self.close()


def _outside() -> ServedSampler:
    """The server that the settings name."""
    return ServedSampler(settings.SAMPLING_URL, settings.SAMPLING_KEY)


def _shares(
    project: Project, batch: Sequence[SampleRequest]
) -> Iterator[tuple[Writer, int, list[SampleRequest]]]:
    """(writer, completions a request, requests): what is sampled together."""
    groups: dict[tuple[int, int], list[SampleRequest]] = defaultdict(list)
    writers: dict[int, Writer] = {}
    for request in batch:
        chosen = writers_of(project, request.k, awaited=request.deadline is not None)
        writers |= {writer.checkpoint.pk: writer for writer in chosen}
        for pk, count in Counter(writer.checkpoint.pk for writer in chosen).items():
            groups[pk, count].append(request)
    for (pk, count), some in groups.items():
        yield writers[pk], count, some


def _take_in(
    written: Sequence[tuple[Writer, Sequence[Any]]],
    by_id: dict[str, SampleRequest],
    deployed: Deployment,
) -> None:
    """Hand the texts to labeling, request by request, each request's in a secret order.

    Raises Interrupted once something else than `deployed` answers: what is left waits on for it.
    """
    by_request: dict[str, list[NewCompletion]] = defaultdict(list)
    for writer, rows in written:
        for row in rows:
            by_request[row["prompt"]].append(_new_completion(row, writer, deployed.project))
    for identity, results in by_request.items():
        ordered = secret_order(results, key=f"request-{identity}")
        with transaction.atomic():
            if not deployments.hold(deployed):
                raise Interrupted
            record_completions(request=by_id[identity], results=ordered)


def _new_completion(row: Any, writer: Writer, project: Project) -> NewCompletion:
    source = writer.checkpoint.source
    assert source is not None, "bases and policies have a source"
    return NewCompletion(
        source=source,
        external_id=f"request-{row['prompt']}-{row['sample']}",
        text=row["text"],
        finished=row["finished"],
        tokens=row["tokens"],
        sampling={
            "temperature": project.temperature,
            "max_new_tokens": project.max_new_tokens,
            "seed": row["seed"],
        },
    )
