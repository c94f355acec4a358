"""A labeler talks with the deployed policy; every turn is a slate whose prompt is the whole talk.

The K candidates of a turn are asked for as a need that somebody waits for. The labeler ranks them
like any slate, and the talk goes on from the best. Knows nothing of who samples.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from labeling import quotas, screening
from labeling.assignments import free, is_for, keep_for, keep_no_longer
from labeling.completions import ask_now, waiting_requests
from labeling.conversation_refusals import (
    ConversationClosed,
    ConversationRefused,
    KeptForEvaluation,
    NothingToGoOnFrom,
    NotSayable,
    NotTheBest,
    NotYet,
    QuotaUsedUp,
    SaidBefore,
    StillWriting,
    TakenOut,
    TooLong,
)
from labeling.form_drafts import Form, empty_form_draft
from labeling.models import (
    Assignment,
    Completion,
    Conversation,
    Project,
    Prompt,
    Ranking,
    SampleRequest,
    Slate,
    Split,
    Turn,
    User,
)
from labeling.near_duplicates import group_beside, near_duplicates
from labeling.projects import refuse_archived
from labeling.prompts import (
    MAX_MESSAGES,
    Message,
    NewPrompt,
    PromptRefused,
    checked_text,
    content_hash,
    split_for,
    store_batch,
)

DEADLINE_SECONDS = 60.0
"""Whoever samples takes what is due soonest first; nothing ends at the deadline."""
MOST_WAITING = 3
"""So many requests of one labeler, also of conversations that were closed before the answers came.
Else a loop of beginning and closing keeps the sampler from everybody else."""
LATELY = 8
"""So many requests say how long one takes."""


class State(enum.Enum):
    """Where a turn stands."""

    WAITING = "waiting"
    """For its candidates."""
    FAILED = "failed"
    """There will be none unless somebody asks again."""
    TO_RANK = "to rank"
    TAKEN = "taken"
    """The labeler was away for so long that somebody else got its candidates."""
    RANKED = "ranked"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a turn stands, with the rows that say so."""

    state: State
    slate: Slate | None = None
    assignment: Assignment | None = None
    """The slot in which the labeler ranks."""
    ranking: Ranking | None = None
    """What stands of the labeler."""
    why: str = ""
    """A failed request's code."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a waiting turn's candidates are."""

    there: int
    of: int
    before: int
    """Requests that somebody waits for and that come first."""
    seconds: float
    """Since they were asked for."""
    usual: float | None
    """What it took lately; None where nobody knows."""


def begin(*, project: Project, labeler: User) -> Conversation:
    """The labeler's open conversation in `project`, or a new one.

    Raises ConversationRefused, QuotaUsedUp, ProjectArchived, or what `screening.refuse_held_back`
    does.
    """
    mine = Conversation.objects.filter(project=project, labeler=labeler, closed_at=None)
    there = mine.first()
    if there is not None:
        return there
    _refuse(project, labeler)
    try:
        with transaction.atomic():
            return Conversation.objects.create(project=project, labeler=labeler)
    except IntegrityError:
        return mine.get()  # another tab was first


def say(
    *, conversation: Conversation, number: int, text: str, going_on_from: int | None = None
) -> Turn:
    """The labeler's next turn, and the need of K candidates for it. Said again, it is the same.

    number: which turn it is, from 1, so that a second tab or click can't say it twice.
    going_on_from: the id of one of those that were ranked best (None: the first of them shown).
    Raises SaidBefore, NotYet, NotTheBest, NothingToGoOnFrom, KeptForEvaluation, TakenOut, TooLong,
    StillWriting, ConversationClosed, NotSayable; what `begin` raises.
    """
    try:
        said = checked_text("text", text.replace("\r\n", "\n").strip())
    except PromptRefused as refusal:
        raise NotSayable(problem=refusal.message) from refusal
    beside = _beside(conversation.project, said) if number == 1 else ""
    with transaction.atomic():
        held = Conversation.objects.select_for_update().get(pk=conversation.pk)
        turns = list(held.turns.select_related("prompt", "request", "chosen"))
        if number <= len(turns):
            if number < 1 or turns[number - 1].prompt.text != said:
                raise SaidBefore
            before = turns[number - 2] if number > 1 else None
            if before is not None and going_on_from not in (None, before.chosen_id):
                raise SaidBefore
            return turns[number - 1]
        if held.closed_at is not None:
            raise ConversationClosed
        if number > len(turns) + 1:
            raise NotYet
        _refuse(held.project, held.labeler)
        _refuse_many(held)
        last = turns[-1] if turns else None
        chosen = None if last is None else choose(turn=last, completion=going_on_from)
        messages = [*_so_far(last, chosen), {"role": "user", "content": said}]
        root = turns[0].prompt if turns else None
        prompt = _prompt(held, messages, parent=chosen, root=root, beside=beside)
        empty_form_draft(Form.TURN, project=held.project, labeler=held.labeler)
        return Turn.objects.create(
            conversation=held,
            number=len(turns) + 1,
            prompt=prompt,
            request=ask_now(prompt=prompt, k=held.project.k, seconds=DEADLINE_SECONDS),
        )


def choose(*, turn: Turn, completion: int | None = None) -> Completion:
    """Go on from this one of those that were ranked best; None: from the first of them shown.

    Raises NotYet, NotTheBest.
    """
    standing = standing_of(turn)
    if standing.ranking is None:
        raise NotYet
    best = best_of(standing.ranking)
    chosen = next((one for one in best if completion in (None, one.pk)), None)
    if chosen is None:
        raise NotTheBest
    turn.chosen = chosen
    turn.save(update_fields=["chosen"])
    return chosen


def ask_again(*, turn: Turn) -> None:
    """Ask anew for the candidates of a turn that got none, or lost them. Otherwise, nothing.

    Raises TakenOut, ConversationClosed; what `begin` raises.
    """
    with transaction.atomic():
        conversation = Conversation.objects.select_for_update().get(pk=turn.conversation_id)
        held = conversation.turns.select_related("prompt", "request").get(pk=turn.pk)
        if standing_of(held).state not in (State.FAILED, State.TAKEN):
            return
        if conversation.closed_at is not None:
            raise ConversationClosed
        _refuse(conversation.project, conversation.labeler)
        if held.prompt.withdrawn_at is not None:
            raise TakenOut
        k = conversation.project.k
        held.request = ask_now(prompt=held.prompt, k=k, seconds=DEADLINE_SECONDS)
        held.save(update_fields=["request"])


def close(*, conversation: Conversation) -> None:
    """End it. Closed twice, it is closed once.

    Candidates that were not ranked are an ordinary slate for everybody, those on their way too.
    """
    with transaction.atomic():
        held = Conversation.objects.select_for_update().get(pk=conversation.pk)
        if held.closed_at is None:
            Conversation.objects.filter(pk=held.pk).update(closed_at=Now())
            last = last_turn(held)
            standing = None if last is None else standing_of(last)
            if last is not None and standing is not None:
                if standing.state == State.RANKED:
                    choose(turn=last)
                elif standing.slate is not None:
                    keep_no_longer(slate=standing.slate, labeler=held.labeler)
    conversation.refresh_from_db(fields=["closed_at"])


def last_turn(conversation: Conversation) -> Turn | None:
    """Where the conversation is; None before the first word."""
    turns = conversation.turns.select_related("prompt", "request", "chosen", "conversation")
    return turns.order_by("-number").first()


def standing_of(turn: Turn) -> Standing:
    """Where `turn` stands. Changes nothing."""
    request, labeler = turn.request, turn.conversation.labeler_id
    if request is None or request.state == SampleRequest.State.FAILED:
        return Standing(state=State.FAILED, why=request.error_code if request else "")
    if request.state == SampleRequest.State.WAITING:
        return Standing(state=State.WAITING)
    slate = Slate.objects.filter(request=request).first()
    if slate is None:
        return Standing(state=State.FAILED, why="withdrawn")
    rankings = Ranking.objects.current().filter(slate=slate, labeler=labeler)
    ranking = rankings.select_related("assignment").first()
    if ranking is not None:
        return Standing(state=State.RANKED, slate=slate, ranking=ranking)
    slots = slate.assignments.select_related("slate__prompt", "project__guidelines")
    undone = slots.exclude(state=Assignment.State.DONE).order_by("slot")
    mine = [slot for slot in undone if is_for(slot, turn.conversation.labeler)]
    mine = mine or list(undone.filter(free(), state=Assignment.State.OPEN)[:1])
    if not mine:
        return Standing(state=State.TAKEN, slate=slate)
    return Standing(state=State.TO_RANK, slate=slate, assignment=mine[0])


def take_up(turn: Turn) -> Standing:
    """`standing_of` for the labeler who looks at it now: what is to be ranked is kept for them."""
    standing = standing_of(turn)
    slot = standing.assignment
    if slot is None or slot.state != Assignment.State.OPEN:
        return standing
    if keep_for(assignment=slot, labeler=turn.conversation.labeler, opened=True):
        return standing
    return Standing(state=State.TAKEN, slate=standing.slate)


def progress_of(turn: Turn) -> Progress:
    """How far the candidates of a waiting turn are."""
    request = turn.request
    assert request is not None, "a waiting turn has a request"
    done = SampleRequest.objects.filter(
        prompt__project=turn.conversation.project_id,
        state=SampleRequest.State.DONE,
        deadline__isnull=False,
        done_at__isnull=False,
    )
    took = [
        (done_at - asked_at).total_seconds()
        for asked_at, done_at in done.order_by("-pk").values_list("created_at", "done_at")[:LATELY]
        if done_at is not None
    ]
    return Progress(
        there=request.completions.count(),
        of=request.k,
        before=waiting_requests().filter(deadline__lt=request.deadline).count(),
        seconds=max((timezone.now() - request.created_at).total_seconds(), 0.0),
        usual=median(took) if took else None,
    )


def best_of(ranking: Ranking) -> list[Completion]:
    """What the labeler ranked first, in the order shown: what they wrote better, where they did."""
    shown = [int(position) for position in ranking.assignment.order]
    places = dict(ranking.slate.items.values_list("completion_id", "position"))
    order = {pk: shown.index(position) for pk, position in places.items()}
    ranked = ranking.ranks.filter(rank=1).select_related("completion")
    best = [one.completion for one in ranked]
    return sorted(best, key=lambda one: (order.get(one.edited_from_id or one.pk, 0), one.pk))


def open_at(ranking: Ranking) -> Conversation | None:
    """The open conversation that will go on from this ranking; None where none does."""
    turn = (
        Turn.objects.filter(
            request__slate=ranking.slate_id,
            conversation__labeler=ranking.labeler_id,
            conversation__closed_at=None,
        )
        .select_related("conversation")
        .first()
    )
    if turn is None or turn.conversation.turns.filter(number__gt=turn.number).exists():
        return None
    return turn.conversation


def _refuse(project: Project, labeler: User) -> None:
    """Raise what `begin` does. A turn is a ranking to come: it counts towards quotas like any."""
    refuse_archived(project)
    if not project.allows_conversations:
        raise ConversationRefused
    screening.refuse_held_back(project=project, user=labeler)
    if quotas.allowance(project=project, labeler=labeler).nothing:
        raise QuotaUsedUp


def _refuse_many(conversation: Conversation) -> None:
    """Raise StillWriting where the labeler waits for many answers already."""
    waiting = SampleRequest.objects.filter(
        turn__conversation__labeler=conversation.labeler_id,
        turn__conversation__project=conversation.project_id,
        state=SampleRequest.State.WAITING,
    )
    if waiting.count() >= MOST_WAITING:
        raise StillWriting(most=MOST_WAITING)


def _so_far(last: Turn | None, chosen: Completion | None) -> list[Message]:
    """The talk up to and with the answer that it goes on from."""
    if last is None or chosen is None:
        return []
    if not chosen.text.strip():
        raise NothingToGoOnFrom
    if len(last.prompt.messages) + 2 > MAX_MESSAGES:
        raise TooLong
    return [*last.prompt.messages, {"role": "assistant", "content": chosen.text}]


def _prompt(
    conversation: Conversation,
    messages: Sequence[Message],
    *,
    parent: Completion | None,
    root: Prompt | None,
    beside: str,
) -> Prompt:
    """The talk as a prompt, which may be there already. Raises KeptForEvaluation, TakenOut.

    beside: the group of prompts that say nearly what a conversation begins with.
    """
    there = Prompt.objects.filter(
        project=conversation.project, content_hash=content_hash(messages)
    ).first()
    if there is not None and there.split == Split.EVALUATION:
        raise KeptForEvaluation
    if there is not None and there.withdrawn_at is not None:
        raise TakenOut
    if there is None and beside and split_for(beside) == Split.EVALUATION:
        raise KeptForEvaluation
    group = beside if root is None and beside else _group(conversation, root)
    row = NewPrompt(messages=messages, group=group, parent_completion=parent)
    store_batch(project=conversation.project, batch=[row], by=conversation.labeler, imported=None)
    return Prompt.objects.get(project=conversation.project, content_hash=content_hash(messages))


def _beside(project: Project, opening: str) -> str:
    """The group of what says nearly the same as `opening`; empty for none.

    Who judges evaluation slates has read their prompts: with a word changed, one of them would be
    talked about and trained on.
    """
    return group_beside(near_duplicates(project=project, text=opening))


def _group(conversation: Conversation, root: Prompt | None) -> str:
    """The group of all of a conversation's prompts, so that they share a split: never evaluation.

    By its opening's text alone a sixth of all conversations would be evaluation prompts, which are
    never ranked for training: all the work of a labeler who can't know. So the group's name is
    drawn until its split is another; the next name is the same each time. Where the opening was a
    prompt before, the conversation stays with it: in its group, or at least in its split.
    """
    if root is not None and root.group:
        return root.group
    names = (f"conversation {conversation.pk}.{draw}" for draw in count())
    wanted = (Split.TRAIN, Split.JUDGE, Split.RM_TEST) if root is None else (root.split,)
    return next(name for name in names if split_for(name) in wanted)
