"""What labelers decide: rankings when they submit, corrections after.

Append-only, and nothing that was sent is lost: a submission that comes too late stays as a draft.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter

from django.db import IntegrityError, connection, transaction
from django.db.models import Max, Q, UUIDField
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling import gold, overlap, screening
from labeling.assignments import LeaseExpired, refuse_strangers
from labeling.completions import NewCompletion, add_completions, source_for
from labeling.decisions import decided, decision_of, right_share
from labeling.demonstrations import propose_demonstration
from labeling.drafts import keep_draft
from labeling.guidelines import last_read
from labeling.judgements import Judgement, checked, judgement_of
from labeling.models import (
    KNOWN_ANSWERS,
    LIKE_TRAINING,
    SCREENING,
    Assignment,
    Completion,
    Draft,
    FlaggedCompletion,
    FlaggedPrompt,
    Guidelines,
    Purpose,
    RankedCompletion,
    Ranking,
    SlateCompletion,
    Source,
    User,
)
from labeling.prepared import Given, Prepared, PreparedUpdate
from labeling.refusals import Refusal
from labeling.work import count_work, gone_since, left_of_today, paid_seconds

WRITERS_LOCK = 0x52_4B_4C_50
"""PostgreSQL advisory lock: shared by whoever writes a ranking, exclusive for `mark`."""
PEOPLE = "people"
"""The source of what labelers wrote."""
_TEXTS = Prepared(
    lambda: SlateCompletion.objects.filter(slate=Given("slate")).values_list(
        "completion_id", "completion__text"
    )
)
_CLOSING = PreparedUpdate(
    lambda: Assignment.objects.filter(
        Q(labeler=Given("labeler")) | Q(labeler=None, lease_token=Given("token", UUIDField())),
        pk=Given("assignment"),
        state__in=[Assignment.State.OPEN, Assignment.State.WITHDRAWN],
    ),
    lambda: {
        "labeler": Given("labeler"),
        "state": Assignment.State.DONE,
        "completed_at": Now(),
    },
)


class AlreadyRanked(Refusal):
    """The labeler submitted something else for this slate before. `ranking`: what stands."""

    code = "already_ranked"
    sentence = _(
        "You ranked this one already, in another way, and that stands; what you sent now is kept "
        "as a draft. Correct it from the list of your rankings."
    )

    def __init__(self, ranking: Ranking) -> None:
        """Keep the ranking that stands."""
        self.ranking = ranking
        super().__init__()


class NotYours(Refusal):
    """Only its labeler corrects a ranking."""

    code = "not_yours"
    status = 403
    sentence = _("Only the person who submitted a ranking can correct it.")


class CorrectionTooLate(Refusal):
    """The project's time for corrections is over."""

    code = "correction_too_late"
    sentence = _(
        "A ranking can be corrected for %(hours)s hours in this project, and they are over. "
        "What you changed is kept, to be read below your rankings; tell a manager if it matters."
    )


def submit_ranking(
    *,
    assignment: Assignment,
    labeler: User,
    token: uuid.UUID | None,
    judgement: Judgement,
    seconds: float,
    guidelines: Guidelines | None = None,
) -> Ranking:
    """Store what the labeler decided and close the slot. Sent again, the same ranking comes back.

    seconds: active time, cut to what went by since the slot was given out. token: the lease's. A
    lapsed lease counts as long as nobody took the slot, and so does a slot that was skipped or
    withdrawn meanwhile. guidelines: the version that the labeler worked by (None: the one in
    force).

    Raises NotGiven (409) before all else if the slot never was this labeler's; BadRanks,
    BadJudgement (400); AlreadyRanked (409) if this labeler submitted another judgement before; and
    LeaseExpired (409) if somebody else holds or finished the slot: then it is kept as a draft.
    """
    refuse_strangers(assignment, labeler, token)
    said = _checked(assignment, judgement)
    try:
        with transaction.atomic():
            share_writers_lock()
            overlap.hold(assignment)
            if _close(assignment, labeler, token):
                stored = _store(assignment, labeler, said, seconds, guidelines=guidelines)
                _follow_up(assignment, labeler)
                overlap.ask_where_they_disagree(assignment)
                return stored
    except IntegrityError:
        pass  # this labeler's ranking of the slate came in at this very moment
    standing = _standing(assignment, labeler)
    if standing is None:
        keep_draft(slate=assignment.slate_id, labeler=labeler, judgement=said, seconds=seconds)
        raise LeaseExpired
    if not _said_before(standing, said):
        keep_draft(slate=assignment.slate_id, labeler=labeler, judgement=said, seconds=seconds)
        raise AlreadyRanked(standing)
    return standing


def correct_ranking(
    *, ranking: Ranking, labeler: User, judgement: Judgement, seconds: float
) -> Ranking:
    """Put a new ranking in the place of `ranking`, which is kept. Sent twice, it is stored once.

    seconds: active ones, those of `ranking` among them. The same judgement changes nothing. Raises
    NotYours, BadRanks, BadJudgement; CorrectionTooLate; and AlreadyRanked if the labeler corrected
    it in another way meanwhile (in another tab).
    """
    if ranking.labeler_id != labeler.pk:
        raise NotYours
    said = _checked(ranking.assignment, judgement)
    before = judgement_of(ranking)
    if said != before and timezone.now() >= correctable_until(ranking):
        keep_draft(slate=ranking.slate_id, labeler=labeler, judgement=said)
        raise CorrectionTooLate(hours=ranking.assignment.project.correction_hours)
    with transaction.atomic():
        share_writers_lock()
        stands = Ranking.objects.filter(pk=ranking.pk, is_current=True)
        if said == before and stands.exists():
            Draft.objects.filter(slate=ranking.slate_id, labeler=labeler).delete()
            return ranking
        if stands.update(is_current=False):
            fresh = _store(ranking.assignment, labeler, said, seconds, replaces=ranking)
            _follow_up(ranking.assignment, labeler)
            ranking.is_current = False
            return fresh
    current = Ranking.objects.current().get(assignment=ranking.assignment_id)
    if judgement_of(current) != said:
        keep_draft(slate=ranking.slate_id, labeler=labeler, judgement=said)
        raise AlreadyRanked(current)
    return current


def correctable_until(ranking: Ranking) -> datetime:
    """The end of the project's time for corrections, counted from the first submission."""
    first = ranking.assignment.completed_at or ranking.created_at
    return first + timedelta(hours=ranking.assignment.project.correction_hours)


def can_be_corrected(ranking: Ranking) -> bool:
    """Whether its labeler may still put another in its place."""
    return ranking.is_current and timezone.now() < correctable_until(ranking)


def latest_of(*, project: int, labeler: User) -> Ranking | None:
    """What the labeler submitted last in a project (its id) and may still correct."""
    mine = Ranking.objects.current().filter(labeler=labeler, slate__project=project)
    last = mine.select_related("assignment__project").order_by("-pk").first()
    return last if last is not None and can_be_corrected(last) else None


def ranks_of(ranking: Ranking) -> dict[int, int]:
    """The stored ranks by completion id."""
    return dict(ranking.ranks.values_list("completion_id", "rank"))


def _checked(assignment: Assignment, judgement: Judgement) -> Judgement:
    """What is to be stored of `judgement`. Raises BadRanks, BadJudgement.

    Better versions are written of training slates and what looks like them only: elsewhere two
    models are compared, or the labeler is asked what is known already.
    """
    texts = dict(_TEXTS.all(slate=assignment.slate_id))
    said = checked(judgement, texts, likert=assignment.project.asks_likert)
    return said if assignment.slate.purpose in LIKE_TRAINING else replace(said, edits={})


def _right_share(assignment: Assignment, said: Judgement) -> float | None:
    """How much of a known answer the labeler has; None where none is known."""
    if assignment.slate.purpose not in KNOWN_ANSWERS:
        return None
    decision = decision_of(assignment.slate)
    return None if decision is None else right_share(said.ranks, decided(decision))


def _follow_up(assignment: Assignment, labeler: User) -> None:
    """What a known answer has for a consequence: a pause, or the end of the quiz."""
    project = assignment.project
    if assignment.slate.purpose == Purpose.GOLD:
        gold.pause_below_line(project=project, labeler=labeler)
    elif assignment.slate.purpose in SCREENING:
        membership = screening.labeler_in(project=project, user=labeler)
        if membership is not None and membership.accepted_at is None:
            screening.settle(membership=membership)


def _close(assignment: Assignment, labeler: User, token: uuid.UUID | None) -> bool:
    """Mark the slot as done by `labeler`, once; False if it isn't theirs to close."""
    return bool(_CLOSING.run(assignment=assignment.pk, labeler=labeler.pk, token=token))


def _store(
    assignment: Assignment,
    labeler: User,
    said: Judgement,
    seconds: float,
    *,
    replaces: Ranking | None = None,
    guidelines: Guidelines | None = None,
) -> Ranking:
    """The rows of a judgement; its draft has served."""
    if replaces is None:
        by = guidelines or assignment.project.guidelines
        before, most = 0.0, gone_since(assignment.opened_at)
    else:  # nobody is sent to the guidelines in between: what counts is what they have read
        read = last_read(project=assignment.project, user=labeler)
        versions = [one for one in (read, replaces.guidelines) if one is not None]
        by = max(versions, key=attrgetter("version"), default=None)
        before, most = replaces.seconds, _seconds_of_a_correction(labeler)
    active = before + paid_seconds(seconds - before, most=most, labeler=labeler)
    ranking = Ranking.objects.create(
        assignment=assignment,
        slate_id=assignment.slate_id,
        labeler=labeler,
        seconds=active,
        replaces=replaces,
        guidelines=by,
        none_good=said.none_good,
        comment=said.comment,
        right_share=_right_share(assignment, said),
    )
    better = _written(assignment, labeler, said)
    ranks = [(one.pk, 1) for one in better]
    ranks += [(pk, rank + bool(better)) for pk, rank in said.ranks.items()]
    RankedCompletion.objects.bulk_create(
        RankedCompletion(ranking=ranking, completion_id=pk, rank=rank, likert=said.likert.get(pk))
        for pk, rank in sorted(ranks, key=lambda pair: (pair[1], pair[0]))
    )
    FlaggedCompletion.objects.bulk_create(
        FlaggedCompletion(ranking=ranking, completion_id=pk, flag=flag)
        for pk, flags in sorted(said.flags.items())
        for flag in sorted(flags)
    )
    FlaggedPrompt.objects.bulk_create(
        FlaggedPrompt(ranking=ranking, flag=flag) for flag in sorted(said.prompt_flags)
    )
    Draft.objects.filter(slate=assignment.slate_id, labeler=labeler).delete()
    count_work(
        project=assignment.project,
        labeler=labeler,
        category=assignment.category,
        rankings=int(replaces is None),
        corrections=int(replaces is not None),
        seconds=active - before,
    )
    return ranking


def _seconds_of_a_correction(labeler: User) -> float:
    """What one can have taken: since the labeler's last submission, and of a day what is left."""
    latest = Ranking.objects.filter(labeler=labeler).latest("created_at")
    return min(gone_since(latest.created_at), left_of_today(labeler))


def _written(assignment: Assignment, labeler: User, said: Judgement) -> list[Completion]:
    """The labeler's better versions: completions that are ranked first, and demonstrations."""
    slate = assignment.slate
    if not said.edits:
        return []
    people = source_for(project=assignment.project, kind=Source.Kind.PERSON, name=PEOPLE)
    edits = [
        NewCompletion(
            source=people,
            external_id=f"{pk}:{labeler.pk}:{hashlib.sha256(text.encode()).hexdigest()[:32]}",
            text=text,
            edited_from=pk,
        )
        for pk, text in sorted(said.edits.items())
    ]
    for edit in edits:
        propose_demonstration(
            prompt=slate.prompt, text=edit.text, labeler=labeler, edited_from=edit.edited_from
        )
    return add_completions(prompt=slate.prompt, completions=edits, by=labeler)


def _standing(assignment: Assignment, labeler: User) -> Ranking | None:
    """What stands of this labeler for the slate, whichever slot it came in by."""
    rankings = Ranking.objects.current().filter(slate=assignment.slate_id, labeler=labeler)
    return rankings.select_related("assignment__project").first()


def _said_before(standing: Ranking, said: Judgement) -> bool:
    """Whether this was submitted before, be it corrected since: the back button."""
    earlier: Ranking | None = standing
    while earlier is not None:
        if judgement_of(earlier) == said:
            return True
        earlier = earlier.replaces
    return False


def share_writers_lock() -> None:
    """On PostgreSQL, let `mark` wait for this transaction; SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [WRITERS_LOCK])


def mark() -> int:
    """The highest ranking id such that every ranking up to it is committed; 0 where none is.

    For exports: ids are drawn in one order and committed in another, so the highest visible id
    alone could jump over a ranking that another transaction is still writing.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [WRITERS_LOCK])
        return Ranking.objects.aggregate(highest=Max("pk"))["highest"] or 0
