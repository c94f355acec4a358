"""Whatever labelers do, in whatever order: hypothesis finds an order in which something is lost.

A model in plain Python stands beside the database: what was acknowledged, and what a page was
given. After each step both agree.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from labeling.assignments import (
    AlreadyDone,
    BreakTaken,
    LeaseExpired,
    begin_break,
    end_break,
    renew,
    skip,
)
from labeling.drafts import draft_of, drafted, save_draft
from labeling.judgements import Judgement, dense_ranks, judgement_of
from labeling.leasing import lease_ahead, lease_next, open_next
from labeling.models import Assignment, Draft, Project, Ranking, Skip, User
from labeling.prompts import restore_prompt, withdraw_prompt
from labeling.rankings import AlreadyRanked, correct_ranking, latest_of, submit_ranking
from tests.factories import make_labeler, make_project, make_slate
from tests.lengths import examples

SLATES, OVERLAP, K = 3, 2, 3
LABELERS = st.integers(0, 2)
RANKS = st.lists(st.integers(1, K), min_size=K, max_size=K)


@dataclass(frozen=True)
class Page:
    """A tab that shows a slot to a labeler; it may be stale."""

    labeler: int
    assignment: Assignment
    completions: tuple[int, ...]

    def judgement(self, ranks: list[int], comment: str = "") -> Judgement:
        return Judgement(ranks=dict(zip(self.completions, ranks, strict=True)), comment=comment)


def stored(said: Judgement) -> Judgement:
    """As it will be read back."""
    return Judgement(ranks=dense_ranks(said.ranks, said.ranks), comment=said.comment)


class Labeling(RuleBasedStateMachine):
    """Three labelers, three slates of three completions, two slots each."""

    pages: Bundle[Page] = Bundle("pages")

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.project: Project = make_project(k=K, overlap=OVERLAP, correction_hours=24)
        self.people: list[User] = [make_labeler(self.project) for _ in range(3)]
        self.slates = [make_slate(self.project) for _ in range(SLATES)]
        self.stands: dict[tuple[int, int], Judgement] = {}
        """What was acknowledged last, by slate and labeler."""
        self.said: dict[tuple[int, int], list[Judgement]] = {}
        """All that was acknowledged."""
        self.drafts: dict[tuple[int, int], tuple[int, Judgement]] = {}
        """The newest draft that was acknowledged and has not served."""
        self.clock = 10

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    def page(self, labeler: int, assignment: Assignment | None):
        """What a tab shows now."""
        if assignment is None:
            return multiple()
        ids = assignment.slate.items.values_list("completion_id", flat=True)
        return Page(labeler, assignment, tuple(ids))

    def kept_late(self, key: tuple[int, int], said: Judgement) -> None:
        """What was refused is the newest draft."""
        draft = Draft.objects.get(slate=key[0], labeler=self.people[key[1]])
        assert drafted(draft) == said
        self.drafts[key] = (draft.sequence, said)

    # --- what labelers do ---------------------------------------------------------------------

    @initialize(target=pages)
    def begin(self):
        return self.page(0, lease_next(project=self.project, labeler=self.people[0]))

    @rule(target=pages, labeler=LABELERS)
    def lease(self, labeler: int):
        given = lease_next(project=self.project, labeler=self.people[labeler])
        if given is not None:
            assert (given.slate_id, labeler) not in self.stands
            assert not Skip.objects.filter(slate=given.slate, labeler=self.people[labeler]).exists()
        return self.page(labeler, given)

    @rule(target=pages, labeler=LABELERS)
    def lease_one_ahead(self, labeler: int):
        given = lease_ahead(project=self.project, labeler=self.people[labeler])
        if given is not None:
            assert (given.slate_id, labeler) not in self.stands
        return self.page(labeler, given)

    @rule(labeler=LABELERS)
    def open_what_is_next(self, labeler: int) -> None:
        pk = open_next(project=self.project, labeler=self.people[labeler])
        again = lease_next(project=self.project, labeler=self.people[labeler])
        assert pk == (again.pk if again else None)

    @rule(page=pages, ranks=RANKS, age=st.integers(-3, 3), comment=st.sampled_from(["", "Hm."]))
    def draft(self, page: Page, ranks: list[int], age: int, comment: str) -> None:
        """An older tab's draft (age below 1) never overwrites a newer one."""
        key = (page.assignment.slate_id, page.labeler)
        newest, _content = self.drafts.get(key, (0, None))
        self.clock = max(self.clock, newest) + 5
        sequence = newest + age if newest else self.clock
        said = page.judgement(ranks, comment)
        saved = save_draft(
            slate=page.assignment.slate,
            labeler=self.people[page.labeler],
            sequence=sequence,
            judgement=said,
        )
        assert saved == (key not in self.stands and sequence > newest)
        if saved:
            self.drafts[key] = (sequence, said)

    @rule(page=pages, ranks=RANKS, comment=st.sampled_from(["", "Hm."]))
    def submit(self, page: Page, ranks: list[int], comment: str) -> None:
        key = (page.assignment.slate_id, page.labeler)
        said = stored(page.judgement(ranks, comment))
        try:
            submit_ranking(
                assignment=page.assignment,
                labeler=self.people[page.labeler],
                token=page.assignment.lease_token,
                judgement=page.judgement(ranks, comment),
                seconds=3,
            )
        except AlreadyRanked:
            assert key in self.stands
            assert said not in self.said[key]
            self.kept_late(key, said)
        except LeaseExpired:
            assert key not in self.stands
            self.kept_late(key, said)
        else:
            self.acknowledged(key, said)

    def acknowledged(self, key: tuple[int, int], said: Judgement) -> None:
        if key in self.stands:
            assert said in self.said[key], "another judgement took the place of what stood"
            return
        self.stands[key] = said
        self.said[key] = [said]
        self.drafts.pop(key, None)

    @rule(page=pages, reason=st.sampled_from(["", "broken"]))
    def skip(self, page: Page, reason: str) -> None:
        key = (page.assignment.slate_id, page.labeler)
        try:
            skip(
                assignment=Assignment.objects.get(pk=page.assignment.pk),
                labeler=self.people[page.labeler],
                token=page.assignment.lease_token,
                reason=reason,
            )
        except AlreadyDone:
            assert key in self.stands

    @rule(page=pages)
    def take_a_break(self, page: Page) -> None:
        assignment = Assignment.objects.get(pk=page.assignment.pk)
        labeler = self.people[page.labeler]
        try:
            begin_break(assignment=assignment, labeler=labeler, token=page.assignment.lease_token)
        except (AlreadyDone, BreakTaken, LeaseExpired):
            return
        assert assignment.labeler_id == labeler.pk

    @rule(page=pages)
    def come_back(self, page: Page) -> None:
        end_break(
            assignment=Assignment.objects.get(pk=page.assignment.pk),
            labeler=self.people[page.labeler],
        )

    @rule(page=pages)
    def keep_it(self, page: Page) -> None:
        try:
            renew(
                assignment=Assignment.objects.get(pk=page.assignment.pk),
                labeler=self.people[page.labeler],
                token=page.assignment.lease_token,
            )
        except (AlreadyDone, LeaseExpired):
            return
        held = Assignment.objects.get(pk=page.assignment.pk)
        assert held.labeler_id == self.people[page.labeler].pk

    @rule(page=consumes(pages))
    def close_the_tab(self, page: Page) -> None:
        """Nobody comes back to it."""

    # --- after it was submitted -----------------------------------------------------------------

    @precondition(lambda self: self.stands)
    @rule(data=st.data(), ranks=RANKS, comment=st.sampled_from(["", "Hm."]), stale=st.booleans())
    def correct(self, data: st.DataObject, ranks: list[int], comment: str, stale: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.stands)))
        slate, labeler = key
        mine = Ranking.objects.filter(slate=slate, labeler=self.people[labeler]).order_by("pk")
        ranking = mine.first() if stale else mine.last()
        assert ranking is not None
        ids = list(ranking.slate.items.values_list("completion_id", flat=True))
        said = Judgement(ranks=dict(zip(ids, ranks, strict=True)), comment=comment)
        try:
            correct_ranking(
                ranking=ranking, labeler=self.people[labeler], judgement=said, seconds=9
            )
        except AlreadyRanked:
            assert not ranking.is_current or mine.filter(replaces=ranking).exists()
            self.kept_late(key, stored(said))
            return
        self.stands[key] = stored(said)
        self.said[key].append(stored(said))
        if not draft_of(slate=ranking.slate, labeler=self.people[labeler]):
            self.drafts.pop(key, None)

    @rule(labeler=LABELERS)
    def undo(self, labeler: int) -> None:
        """The last one opens again, as it stands."""
        last = latest_of(project=self.project.pk, labeler=self.people[labeler])
        mine = [key for key in self.stands if key[1] == labeler]
        assert (last is None) == (not mine)
        if last is not None:
            assert judgement_of(last) == self.stands[last.slate_id, labeler]

    # --- what happens to them ---------------------------------------------------------------------

    @rule(page=pages)
    def lapse(self, page: Page) -> None:
        Assignment.objects.filter(pk=page.assignment.pk).update(
            lease_expires_at=timezone.now() - timedelta(seconds=1), break_ends_at=None
        )

    @rule(number=st.integers(0, SLATES - 1))
    def withdraw_the_prompt(self, number: int) -> None:
        withdraw_prompt(prompt=self.slates[number].prompt)

    @rule(number=st.integers(0, SLATES - 1))
    def take_it_in_again(self, number: int) -> None:
        restore_prompt(prompt=self.slates[number].prompt)

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def what_was_acknowledged_stands_once(self) -> None:
        current = list(Ranking.objects.current().filter(slate__project=self.project))
        number = {user.pk: place for place, user in enumerate(self.people)}
        found = Counter((one.slate_id, number[one.labeler_id]) for one in current)
        assert found == Counter(list(self.stands))
        for one in current:
            assert judgement_of(one) == self.stands[one.slate_id, number[one.labeler_id]]

    @invariant()
    def nobody_is_over_assigned(self) -> None:
        slots = list(Assignment.objects.filter(project=self.project))
        taken = Counter((one.slate_id, one.labeler_id) for one in slots if one.labeler_id)
        assert all(count == 1 for count in taken.values())
        held = Counter(
            (one.labeler_id, one.ahead) for one in slots if one.labeler_id and one.state == "open"
        )
        assert all(count == 1 for count in held.values())
        done = Counter(one.slate_id for one in slots if one.state == "done")
        assert all(count <= OVERLAP for count in done.values())
        assert len(slots) == SLATES * OVERLAP
        ranked = Ranking.objects.filter(slate__project=self.project).values_list("assignment")
        assert {pk for (pk,) in ranked} == {one.pk for one in slots if one.state == "done"}

    @invariant()
    def the_newest_draft_is_there(self) -> None:
        number = {user.pk: place for place, user in enumerate(self.people)}
        kept = {
            (draft.slate_id, number[draft.labeler_id]): (draft.sequence, drafted(draft))
            for draft in Draft.objects.filter(slate__project=self.project)
        }
        assert kept == self.drafts


class TestLabeling(Labeling.TestCase, TestCase):  # type: ignore[name-defined,misc]
    """Bounded here; `make fuzz` goes on for longer."""


TestLabeling.settings = settings(
    max_examples=examples(25),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
