"""Conversations for tests: the sampler's part is played by the verb that takes its results in."""

from __future__ import annotations

from collections.abc import Sequence

from labeling.assignments import token_for
from labeling.completions import NewCompletion, record_completions
from labeling.conversations import begin, last_turn, say, standing_of, take_up
from labeling.judgements import Judgement
from labeling.models import Completion, Conversation, Project, Ranking, Slate, Turn, User
from labeling.rankings import submit_ranking
from tests.factories import make_source

ANSWERS = ("One.", "Two.", "Three.", "Four.")


def talk(project: Project, labeler: User, text: str = "How do tides work?") -> Conversation:
    """A conversation in which `text` was said."""
    conversation = begin(project=project, labeler=labeler)
    say(conversation=conversation, number=1, text=text)
    return conversation


def here(conversation: Conversation) -> Turn:
    """Its last turn."""
    turn = last_turn(conversation)
    assert turn is not None
    return turn


def answered(conversation: Conversation, texts: Sequence[str] = ANSWERS) -> Slate | None:
    """The sampler answers the last turn with these texts."""
    turn = here(conversation)
    assert turn.request is not None
    source = make_source(conversation.project)
    return record_completions(
        request=turn.request,
        results=[
            NewCompletion(
                source=source, external_id=f"request-{turn.request.pk}-{number}", text=text
            )
            for number, text in enumerate(texts)
        ],
    )


def ranked(conversation: Conversation, *best: str, edits: dict[str, str] | None = None) -> Ranking:
    """Its labeler puts these texts first, tied, and all others last. edits: by text."""
    turn = here(conversation)
    assignment = take_up(turn).assignment
    assert assignment is not None
    ids = {item.completion.text: item.completion_id for item in assignment.slate.items.all()}
    return submit_ranking(
        assignment=assignment,
        labeler=conversation.labeler,
        token=token_for(assignment, conversation.labeler),
        judgement=Judgement(
            ranks={pk: 1 if text in best else 2 for text, pk in ids.items()},
            edits={ids[text]: better for text, better in (edits or {}).items()},
        ),
        seconds=5,
    )


def completion(conversation: Conversation, text: str) -> Completion:
    """The candidate of the last turn that says `text`."""
    return here(conversation).prompt.completions.get(text=text)


def state(conversation: Conversation) -> str:
    """Where its last turn stands."""
    return standing_of(here(conversation)).state.value
