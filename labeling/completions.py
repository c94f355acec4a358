"""Completions: asked for ahead of the labelers, taken in once, made into slates.

Knows nothing of models; a need is a `SampleRequest`, and whoever samples fulfils it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.assignments import free, keep_for
from labeling.models import (
    Assignment,
    Completion,
    Project,
    Prompt,
    Purpose,
    SampleRequest,
    Skip,
    Slate,
    Source,
    Split,
    User,
)
from labeling.prompts import SURROGATES
from labeling.refusals import Refusal
from labeling.slates import DEMOTED, open_slate

RANKED_SPLITS = (Split.TRAIN, Split.JUDGE, Split.RM_TEST)
RETRY_AFTER = timedelta(minutes=10)
"""After a failed request its prompt rests this long, and the project asks for one at a time."""


class SourceRefused(Refusal):
    """A name means one source."""

    code = "source_refused"
    sentence = _("There is another kind of source named “%(name)s” in this project.")


@dataclass(frozen=True, kw_only=True)
class NewCompletion:
    """A text as its writer hands it in. `external_id`: the writer's own name for it."""

    source: Source
    external_id: str
    text: str
    finished: bool = True
    tokens: int | None = None
    sampling: Mapping[str, object] = field(default_factory=dict)
    edited_from: int | None = None
    """The id of the completion that a labeler made it of."""


def source_for(*, project: Project, kind: Source.Kind | str, name: str) -> Source:
    """The project's source of this name, made where it is missing. Raises SourceRefused."""
    source, _created = Source.objects.get_or_create(
        project=project, name=name[:200], defaults={"kind": Source.Kind(kind)}
    )
    if source.kind != kind:
        raise SourceRefused(name=name)
    return source


def add_completions(
    *,
    prompt: Prompt,
    completions: Iterable[NewCompletion],
    request: SampleRequest | None = None,
    by: User | None = None,
) -> list[Completion]:
    """Store completions, each once: the rows in the order given, old or new.

    NUL and lone surrogates, which databases can't hold, become U+FFFD.
    """
    new = list(completions)
    rows = [
        Completion(
            prompt=prompt,
            source=item.source,
            request=request,
            external_id=item.external_id,
            text=storable(item.text),
            finished=item.finished,
            tokens=item.tokens,
            sampling=dict(item.sampling),
            labeler=by,
            edited_from_id=item.edited_from,
        )
        for item in new
    ]
    with transaction.atomic():
        Completion.objects.bulk_create(rows, ignore_conflicts=True)
        stored = {
            (row.source_id, row.external_id): row
            for row in Completion.objects.filter(
                prompt=prompt, external_id__in=[item.external_id for item in new]
            )
        }
    return [stored[item.source.pk, item.external_id] for item in new]


def storable(text: str) -> str:
    """`text` with what no database column can hold replaced by U+FFFD."""
    return SURROGATES.sub("\ufffd", text.replace("\x00", "\ufffd"))


def waiting_requests(project: Project | None = None) -> QuerySet[SampleRequest]:
    """Requests to be fulfilled: those that somebody waits for first, then the oldest.

    None: of all projects. Archived projects and withdrawn prompts have none.
    """
    requests = SampleRequest.objects.filter(
        state=SampleRequest.State.WAITING,
        prompt__project__archived_at=None,
        prompt__withdrawn_at=None,
    ).select_related("prompt__project")
    if project is not None:
        requests = requests.filter(prompt__project=project)
    return requests.order_by(F("deadline").asc(nulls_last=True), "pk")


def ready_slates(project: Project, *, at_most: int | None = None) -> int:
    """Training slates that any labeler could be given: no slot done or kept, skipped by nobody.

    A slot whose lease has lapsed is free again, be it the open one or one ahead. Slates of a former
    policy, put last by a deployment, don't count. at_most: count no further.
    """
    taken = Assignment.objects.filter(
        Q(state=Assignment.State.DONE) | ~free(), slate=OuterRef("slate")
    )
    ready = (
        Assignment.objects.filter(
            project=project,
            state=Assignment.State.OPEN,
            slot=0,
            priority__gt=DEMOTED // 2,
            slate__purpose=Purpose.TRAINING,
        )
        .exclude(Exists(taken))
        .exclude(Exists(Skip.objects.filter(slate=OuterRef("slate"))))
    )
    return ready[:at_most].count()


def request_samples(
    *, project: Project, since: datetime | None = None, anew: bool = False
) -> list[SampleRequest]:
    """Ask for as many slates as are missing from the stock; the requests made now.

    Prompts come by priority, then in shuffled order, evaluation prompts never; first those that
    were never ranked, then those whose slates are all done and older than `since`: when the
    policy that samples now was deployed, None where none ever was. `anew`: where all of them have
    newer slates by now, those with the fewest come again.
    """
    missing = 0 if project.archived_at is not None else _missing(project)
    if missing <= 0:
        return []
    chosen = _next_prompts(project, missing, since=since, anew=anew)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        asked = waiting_requests(project).filter(prompt__in=chosen)
        since_then = set(asked.values_list("prompt", flat=True))
        left = [pk for pk in chosen if pk not in since_then][: _missing(project)]
        return SampleRequest.objects.bulk_create(
            SampleRequest(prompt_id=pk, k=project.k) for pk in left
        )


def _missing(project: Project) -> int:
    """How many slates the stock lacks; after a failure one at a time."""
    waiting = waiting_requests(project).filter(deadline=None).count()
    ready = ready_slates(project, at_most=project.slates_ahead)
    missing = project.slates_ahead - ready - waiting
    return max(min(missing, 1 - waiting) if _failed(project).exists() else missing, 0)


def _failed(project: Project) -> QuerySet[SampleRequest]:
    """Requests that failed a short while ago."""
    return SampleRequest.objects.filter(
        prompt__project=project,
        state=SampleRequest.State.FAILED,
        done_at__gt=timezone.now() - RETRY_AFTER,
    ).exclude(error_code="withdrawn")


def _next_prompts(project: Project, count: int, *, since: datetime | None, anew: bool) -> list[int]:
    """The next prompts to be sampled for, by id. Takes no lock: it may read every prompt."""
    mine = {"prompt": OuterRef("pk")}
    slates = Slate.objects.filter(**mine, purpose=Purpose.TRAINING, withdrawn_at=None)
    asked = SampleRequest.objects.filter(**mine, state=SampleRequest.State.WAITING)
    free = (
        Prompt.objects.live()
        .filter(project=project, split__in=RANKED_SPLITS)
        .exclude(Exists(asked))
        .exclude(pk__in=_failed(project).values("prompt"))
        .order_by("-priority", "shuffle", "pk")
        .values_list("pk", flat=True)
    )
    chosen = list(free.exclude(Exists(slates))[:count])
    again = free.filter(Exists(slates)).exclude(Exists(_unranked_slots()))
    newer = slates if since is None else slates.filter(created_at__gte=since)
    if len(chosen) < count and since is not None:
        chosen += again.exclude(Exists(newer))[: count - len(chosen)]
    if len(chosen) < count and anew:
        made = newer.order_by().values("prompt").annotate(made=Count("pk")).values("made")
        fewest = again.filter(Exists(newer)).annotate(made=Subquery(made))
        chosen += fewest.order_by("made", "-priority", "shuffle", "pk")[: count - len(chosen)]
    return chosen


def _unranked_slots() -> QuerySet[Assignment]:
    """Of an outer prompt: open slots of slates that nobody has ranked yet.

    One that somebody ranked and that waits for a second opinion keeps its prompt from nothing: the
    second labeler may never come.
    """
    done = Assignment.objects.filter(slate=OuterRef("slate"), state=Assignment.State.DONE)
    return Assignment.objects.filter(
        slate__prompt=OuterRef("pk"),
        state=Assignment.State.OPEN,
        priority__gt=DEMOTED // 2,
        slate__purpose=Purpose.TRAINING,
    ).exclude(Exists(done))


def ask_now(*, prompt: Prompt, k: int, seconds: float) -> SampleRequest:
    """Ask for K completions that somebody waits for, at most `seconds` long."""
    return SampleRequest.objects.create(
        prompt=prompt, k=k, deadline=timezone.now() + timedelta(seconds=seconds)
    )


def record_completions(*, request: SampleRequest, results: Sequence[NewCompletion]) -> Slate | None:
    """Take in results for a request; when its K are there, make the slate and close the request.

    Results may come in parts and more than once: each is stored once, and a request makes one
    slate. None: some are still missing, or the prompt was withdrawn meanwhile. The slate of a turn
    of an open conversation has one slot, which is kept for its labeler.
    """
    with transaction.atomic():
        held = SampleRequest.objects.select_for_update().get(pk=request.pk)
        prompt = Prompt.objects.select_related("project").get(pk=held.prompt_id)
        taken = add_completions(prompt=prompt, completions=results, request=held)
        slate = Slate.objects.filter(request=held).first()
        if slate is not None:
            return slate
        rows = list({row.pk: row for row in [*held.completions.order_by("pk"), *taken]}.values())
        if len(rows) < held.k:
            return None
        if prompt.withdrawn_at is None and prompt.split != Split.EVALUATION:
            talker = User.objects.filter(
                conversations__turns__request=held, conversations__closed_at=None
            ).first()
            slate = open_slate(
                prompt=prompt,
                completions=rows[: held.k],
                request=held,
                overlap=None if talker is None else 1,
            )
            if talker is not None:
                keep_for(assignment=slate.assignments.get(), labeler=talker)
        held.state = SampleRequest.State.DONE
        SampleRequest.objects.filter(pk=held.pk).update(state=held.state, done_at=Now())
    request.state = held.state
    return slate


def fail_request(
    *, request: SampleRequest, code: str, values: Mapping[str, object] | None = None
) -> None:
    """Give a waiting request up, saying why; its prompt is asked for again later."""
    SampleRequest.objects.filter(Q(pk=request.pk), state=SampleRequest.State.WAITING).update(
        state=SampleRequest.State.FAILED,
        error_code=code[:40],
        error_values=dict(values or {}),
        done_at=Now(),
    )
