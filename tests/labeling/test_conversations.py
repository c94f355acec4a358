"""A talk with the policy: said once, ranked by whoever said it, gone on with from the best."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.db import close_old_connections
from django.utils import timezone

from labeling import assignments
from labeling import conversation_refusals as refusals
from labeling.completions import fail_request, ready_slates, request_samples
from labeling.conversations import (
    MOST_WAITING,
    ask_again,
    begin,
    best_of,
    close,
    open_at,
    progress_of,
    say,
    take_up,
)
from labeling.judgements import Judgement, judgement_of
from labeling.leasing import lease_next
from labeling.models import Assignment, Conversation, Prompt, SampleRequest, Split, Turn
from labeling.people import issue_token
from labeling.projects import archive_project, update_project
from labeling.prompts import split_for, withdraw_prompt
from labeling.quotas import add_quota
from labeling.rankings import LeaseExpired, correct_ranking, submit_ranking
from tests.factories import make_labeler, make_manager, make_project, make_prompt, make_slate
from tests.labeling.talks import answered, completion, here, ranked, state, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(db):
    return make_project(allows_conversations=True)


def lapse() -> None:
    """Everybody is away for longer than a slot is kept."""
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))


class TestBegin:
    def test_a_labeler_has_one_open_conversation_a_project(self, project, ann, ben):
        first = begin(project=project, labeler=ann)
        assert begin(project=project, labeler=ann) == first
        assert begin(project=project, labeler=ben) != first
        close(conversation=first)
        assert begin(project=project, labeler=ann) != first

    def test_not_where_conversations_are_off_or_the_project_is_put_away(self, project, ann):
        update_project(project=project, allows_conversations=False)
        with pytest.raises(refusals.ConversationRefused):
            begin(project=project, labeler=ann)
        update_project(project=project, allows_conversations=True)
        archive_project(project=project)
        with pytest.raises(Exception, match="archived"):
            begin(project=project, labeler=ann)

    def test_nobody_keeps_the_sampler_from_others_by_beginning_again_and_again(self, project, ann):
        """What somebody waits for comes first: closed at once, it would go on without end."""
        asked = []
        for number in range(MOST_WAITING):
            asked.append(talk(project, ann, f"Tell me about river {number}, its length and mouth."))
            close(conversation=asked[-1])
        last = begin(project=project, labeler=ann)
        with pytest.raises(refusals.StillWriting):
            say(conversation=last, number=1, text="And mountains?")
        answered(asked[0])
        assert say(conversation=last, number=1, text="And mountains?").number == 1

    def test_not_where_a_quota_is_done(self, project, ann):
        """Its turns are rankings: else a quota would end the one kind and not the other."""
        add_quota(project=project, most=1)
        conversation = talk(project, ann)
        answered(conversation)
        ranked(conversation, "Two.")
        with pytest.raises(refusals.QuotaUsedUp):
            say(conversation=conversation, number=2, text="Go on.")
        close(conversation=conversation)
        with pytest.raises(refusals.QuotaUsedUp):
            begin(project=project, labeler=ann)


class TestSay:
    def test_it_asks_for_k_candidates_that_somebody_waits_for(self, project, ann):
        turn = here(talk(project, ann, "  Hello there.\r\nHow are you? "))
        assert turn.prompt.messages == [{"role": "user", "content": "Hello there.\nHow are you?"}]
        assert (turn.request.k, turn.request.state) == (4, "waiting")
        assert turn.request.deadline is not None
        assert turn.prompt.created_by == ann

    def test_said_twice_it_is_said_once(self, project, ann):
        conversation = talk(project, ann, "Hello.")
        again = say(conversation=conversation, number=1, text="Hello.")
        assert again == here(conversation)
        assert (Turn.objects.count(), SampleRequest.objects.count()) == (1, 1)

    def test_another_tab_can_not_say_something_else_in_its_place(self, project, ann):
        conversation = talk(project, ann)
        with pytest.raises(refusals.SaidBefore):
            say(conversation=conversation, number=1, text="Something else.")
        with pytest.raises(refusals.SaidBefore):
            say(conversation=conversation, number=0, text="Something else.")

    def test_the_next_turn_waits_for_the_ranking(self, project, ann):
        conversation = talk(project, ann)
        for _ in range(2):
            with pytest.raises(refusals.NotYet):
                say(conversation=conversation, number=2, text="And then?")
            answered(conversation)
        with pytest.raises(refusals.NotYet):
            say(conversation=conversation, number=3, text="And then?")

    @pytest.mark.parametrize("text", ["", "  \n ", "a\x00b", "\ud800"])
    def test_what_is_no_text_is_refused(self, project, ann, text):
        conversation = begin(project=project, labeler=ann)
        with pytest.raises(refusals.NotSayable, match="Your turn "):
            say(conversation=conversation, number=1, text=text)

    def test_nothing_is_said_in_a_closed_one_or_where_they_were_switched_off(self, project, ann):
        conversation = begin(project=project, labeler=ann)
        update_project(project=project, allows_conversations=False)
        with pytest.raises(refusals.ConversationRefused):
            say(conversation=conversation, number=1, text="Hello.")
        close(conversation=conversation)
        with pytest.raises(refusals.ConversationClosed):
            say(conversation=conversation, number=1, text="Hello.")


class TestGoingOn:
    def test_the_whole_talk_is_the_next_prompt(self, project, ann):
        conversation = talk(project, ann, "Hello.")
        answered(conversation)
        ranked(conversation, "Two.")
        turn = say(conversation=conversation, number=2, text="And then?")
        assert turn.prompt.messages == [
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Two."},
            {"role": "user", "content": "And then?"},
        ]
        first = conversation.turns.get(number=1)
        assert first.chosen.text == "Two."
        assert turn.prompt.parent_completion == first.chosen

    def test_of_those_that_are_tied_the_first_one_shown_or_the_one_picked(self, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        ranking = ranked(conversation, "Two.", "Four.")
        shown = [one.text for one in assignments.shown(ranking.assignment)]
        best = [one.text for one in best_of(ranking)]
        assert best == [text for text in shown if text in {"Two.", "Four."}]
        picked = completion(conversation, best[1])
        say(conversation=conversation, number=2, text="Go on.", going_on_from=picked.pk)
        assert conversation.turns.get(number=1).chosen == picked
        answered(conversation)
        last = ranked(conversation, "One.", "Two.", "Three.")
        say(conversation=conversation, number=3, text="Go on.")
        assert conversation.turns.get(number=2).chosen == best_of(last)[0]

    def test_what_the_labeler_wrote_better_is_the_best(self, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        ranked(conversation, "Two.", edits={"Three.": "Three, truly."})
        say(conversation=conversation, number=2, text="Go on.")
        chosen = conversation.turns.get(number=1).chosen
        assert (chosen.text, chosen.edited_from.text, chosen.labeler) == (
            "Three, truly.",
            "Three.",
            ann,
        )

    def test_not_from_one_that_is_not_the_best_or_says_nothing(self, project, ann):
        conversation = talk(project, ann)
        answered(conversation, ["", "Two.", "Three.", "Four."])
        ranking = ranked(conversation, "")
        two = completion(conversation, "Two.")
        with pytest.raises(refusals.NotTheBest):
            say(conversation=conversation, number=2, text="Go on.", going_on_from=two.pk)
        with pytest.raises(refusals.NothingToGoOnFrom):
            say(conversation=conversation, number=2, text="Go on.")
        said = judgement_of(ranking)
        better = Judgement(ranks={**said.ranks, two.pk: 1, best_of(ranking)[0].pk: 2})
        correct_ranking(ranking=ranking, labeler=ann, judgement=better, seconds=1)
        say(conversation=conversation, number=2, text="Go on.", going_on_from=two.pk)

    def test_a_correction_after_it_went_on_changes_the_ranking_and_not_the_talk(self, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        ranking = ranked(conversation, "Two.")
        assert open_at(ranking) == conversation
        turn = say(conversation=conversation, number=2, text="Go on.")
        ids = {one.text: one.pk for one in ranking.slate.completions.all()}
        better = Judgement(ranks={pk: 1 if text == "One." else 2 for text, pk in ids.items()})
        stands = correct_ranking(ranking=ranking, labeler=ann, judgement=better, seconds=1)
        assert [one.text for one in best_of(stands)] == ["One."]
        assert conversation.turns.get(number=1).chosen.text == "Two."
        turn.prompt.refresh_from_db()
        assert turn.prompt.messages[1]["content"] == "Two."
        assert open_at(stands) is None

    def test_the_export_has_each_turn_with_the_talk_before_it(self, project, ann, client):
        conversation = talk(project, ann, "Hello.")
        answered(conversation)
        ranked(conversation, "Two.")
        say(conversation=conversation, number=2, text="And then?")
        answered(conversation, ["A.", "B.", "C.", "D."])
        ranked(conversation, "C.")
        _token, secret = issue_token(user=make_manager(project), name="mine", scopes=["read"])
        answer = client.get(
            f"/api/v1/projects/{project.slug}/preferences.jsonl?form=rankings",
            headers={"Authorization": f"Bearer {secret}"},
        )
        rows = [json.loads(line) for line in answer.getvalue().decode().splitlines()]
        assert [[m["content"] for m in row["prompt"]] for row in rows] == [
            ["Hello."],
            ["Hello.", "Two.", "And then?"],
        ]
        best = [row["completions"][row["ranks"].index(1)]["text"] for row in rows]
        assert best == ["Two.", "C."]
        assert {row["purpose"] for row in rows} == {"training"}


class TestWhoRanks:
    def test_a_turn_is_ranked_by_whoever_said_it_and_offered_to_nobody_else(
        self, project, ann, ben
    ):
        conversation = talk(project, ann)
        slate = answered(conversation)
        assert slate.assignments.count() == 1
        assert ready_slates(project) == 0
        assert lease_next(project=project, labeler=ben) is None
        assert lease_next(project=project, labeler=ann) is None, "it is not in the queue"
        assert state(conversation) == "to rank"

    def test_the_labeler_may_hold_a_prompt_of_the_queue_beside_it(self, project, ann):
        make_slate(project)
        held = lease_next(project=project, labeler=ann)
        conversation = talk(project, ann)
        answered(conversation)
        ranked(conversation, "Two.")
        assert state(conversation) == "ranked"
        assert lease_next(project=project, labeler=ann) == held

    def test_the_overlap_of_the_project_does_not_count(self, project, ann):
        update_project(project=project, overlap=3)
        assert answered(talk(project, ann)).assignments.count() == 1

    def test_left_alone_it_goes_to_everybody(self, project, ann, ben):
        conversation = talk(project, ann)
        slate = answered(conversation)
        take_up(here(conversation))
        lapse()
        assert ready_slates(project) == 1
        taken = lease_next(project=project, labeler=ben)
        assert taken.slate == slate
        assert state(conversation) == "taken"
        assert take_up(here(conversation)).assignment is None
        ids = list(slate.items.values_list("completion_id", flat=True))
        late = Judgement(ranks=dict.fromkeys(ids, 1))
        with pytest.raises(LeaseExpired):
            submit_ranking(
                assignment=taken,
                labeler=ann,
                token=assignments.token_for(taken, ann),
                judgement=late,
                seconds=1,
            )
        assert ann.drafts.get().slate == slate

    def test_whoever_comes_back_in_time_has_it_again(self, project, ann, ben):
        conversation = talk(project, ann)
        answered(conversation)
        lapse()
        assert take_up(here(conversation)).state.value == "to rank"
        assert lease_next(project=project, labeler=ben) is None
        ranked(conversation, "Two.")
        assert state(conversation) == "ranked"

    def test_ranked_on_the_ranking_page_it_is_ranked_here(self, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        lapse()
        slot = lease_next(project=project, labeler=ann)
        assert take_up(here(conversation)).assignment == slot
        slot.refresh_from_db()
        assert slot.labeler == ann
        ranked(conversation, "Two.")
        say(conversation=conversation, number=2, text="Go on.")

    def test_closed_it_is_for_everybody_at_once(self, project, ann, ben):
        conversation = talk(project, ann)
        slate = answered(conversation)
        close(conversation=conversation)
        close(conversation=conversation)
        assert lease_next(project=project, labeler=ben).slate == slate

    def test_candidates_that_come_after_it_was_closed_are_for_everybody(self, project, ann, ben):
        update_project(project=project, overlap=2)
        conversation = talk(project, ann)
        close(conversation=conversation)
        slate = answered(conversation)
        assert slate.assignments.count() == 2
        assert lease_next(project=project, labeler=ben).slate == slate

    def test_closing_chooses_the_best_of_the_last_turn(self, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        ranked(conversation, "Two.")
        close(conversation=conversation)
        assert here(conversation).chosen.text == "Two."


class TestAgain:
    def test_a_turn_that_failed_is_asked_for_again(self, project, ann):
        conversation = talk(project, ann)
        ask_again(turn=here(conversation))
        assert SampleRequest.objects.count() == 1, "it is on its way"
        fail_request(request=here(conversation).request, code="out_of_memory")
        assert state(conversation) == "failed"
        for _ in range(2):
            ask_again(turn=here(conversation))
        assert SampleRequest.objects.count() == 2
        assert state(conversation) == "waiting"
        answered(conversation)
        assert state(conversation) == "to rank"

    def test_so_is_one_that_somebody_else_got(self, project, ann, ben):
        conversation = talk(project, ann)
        answered(conversation)
        lapse()
        lease_next(project=project, labeler=ben)
        ask_again(turn=here(conversation))
        answered(conversation, ["A.", "B.", "C.", "D."])
        ranked(conversation, "C.")
        say(conversation=conversation, number=2, text="Go on.")
        assert conversation.turns.get(number=1).chosen.text == "C."

    def test_one_that_was_withdrawn_is_not(self, project, ann):
        conversation = talk(project, ann)
        withdraw_prompt(prompt=here(conversation).prompt)
        assert state(conversation) == "failed"
        with pytest.raises(refusals.TakenOut):
            ask_again(turn=here(conversation))


class TestSplit:
    def openings(self, split: Split, count: int) -> list[str]:
        texts = (f"Tell me about the number {number}." for number in range(1000))
        return [text for text in texts if split_for(text) == split][:count]

    def test_no_conversation_is_lost_to_the_evaluation_split(self, project):
        for text in self.openings(Split.EVALUATION, 12):
            conversation = talk(project, make_labeler(project), text)
            answered(conversation)
            ranked(conversation, "Two.")
            say(conversation=conversation, number=2, text="Go on.")
            splits = {turn.prompt.split for turn in conversation.turns.select_related("prompt")}
            assert len(splits) == 1
            assert Split.EVALUATION not in splits
            assert answered(conversation) is not None

    def test_an_opening_that_is_kept_for_evaluation_is_refused(self, project, ann):
        (text,) = self.openings(Split.EVALUATION, 1)
        make_prompt(project, text)
        conversation = begin(project=project, labeler=ann)
        with pytest.raises(refusals.KeptForEvaluation):
            say(conversation=conversation, number=1, text=text)
        assert not Turn.objects.exists()

    def test_so_is_one_that_says_nearly_the_same(self, project, ann):
        """Who judged an evaluation slate has read its prompt: a word more makes no new one."""
        (text,) = self.openings(Split.EVALUATION, 1)
        make_prompt(project, text)
        conversation = begin(project=project, labeler=ann)
        with pytest.raises(refusals.KeptForEvaluation):
            say(conversation=conversation, number=1, text=f"{text} Please!")
        assert not Turn.objects.exists()

    @pytest.mark.parametrize("split", [Split.TRAIN, Split.JUDGE, Split.RM_TEST])
    def test_a_talk_shares_the_split_of_what_says_nearly_the_same(self, project, ann, split):
        (text,) = self.openings(split, 1)
        make_prompt(project, text)
        conversation = talk(project, ann, f"{text} Please!")
        assert here(conversation).prompt.split == split
        answered(conversation)
        ranked(conversation, "Two.")
        assert say(conversation=conversation, number=2, text="Go on.").prompt.split == split

    @pytest.mark.parametrize("split", [Split.TRAIN, Split.JUDGE, Split.RM_TEST])
    def test_a_talk_stays_in_the_split_of_a_prompt_that_it_began_with(self, project, ann, split):
        (text,) = self.openings(split, 1)
        prompt = make_prompt(project, text)
        conversation = talk(project, ann, text)
        assert here(conversation).prompt == prompt
        answered(conversation)
        ranked(conversation, "Two.")
        turn = say(conversation=conversation, number=2, text="Go on.")
        assert turn.prompt.split == split

    def test_a_prompt_that_a_manager_took_out_is_refused(self, project, ann):
        withdraw_prompt(prompt=make_prompt(project, "Hello."))
        with pytest.raises(refusals.TakenOut):
            talk(project, ann, "Hello.")

    def test_two_labelers_who_begin_alike_have_candidates_of_their_own(self, project, ann, ben):
        hers, his = talk(project, ann, "Hello."), talk(project, ben, "Hello.")
        assert here(hers).prompt == here(his).prompt
        answered(hers)
        answered(his, ["A.", "B.", "C.", "D."])
        ranked(hers, "Two.")
        assert state(his) == "to rank"
        ranked(his, "C.")

    def test_the_stock_does_not_ask_for_it_beside(self, project, ann):
        talk(project, ann)
        assert request_samples(project=project) == []
        assert Prompt.objects.count() == 1


class TestProgress:
    def test_it_tells_what_is_there_and_what_it_took_lately(self, project, ann, ben):
        now = timezone.now()
        for seconds in (2, 8, 30):
            done = SampleRequest.objects.create(
                prompt=make_prompt(project), k=4, state="done", deadline=now, done_at=now
            )
            SampleRequest.objects.filter(pk=done.pk).update(
                created_at=now - timedelta(seconds=seconds)
            )
        talk(project, ben)
        conversation = talk(project, ann, "Hello.")
        answered(conversation, ["One.", "Two."])
        progress = progress_of(here(conversation))
        assert (progress.there, progress.of, progress.before) == (2, 4, 1)
        assert progress.usual == pytest.approx(8, abs=0.1)
        assert 0 <= progress.seconds < 30


@pytest.mark.django_db(transaction=True)
def test_two_tabs_at_once_say_one_thing(project, ann):
    conversation = begin(project=project, labeler=ann)
    start = threading.Barrier(4)
    outcomes: list[str] = []

    def one(text: str) -> None:
        try:
            start.wait()
            say(conversation=Conversation.objects.get(), number=1, text=text)
            outcomes.append(text)
        except refusals.SaidBefore:
            outcomes.append("refused")
        finally:
            close_old_connections()
            from django.db import connection

            connection.close()

    threads = [threading.Thread(target=one, args=(text,)) for text in ("A.", "A.", "B.", "B.")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Turn.objects.count(), SampleRequest.objects.count()) == (1, 1)
    stands = here(conversation).prompt.text
    assert sorted(outcomes) == sorted([stands, stands, "refused", "refused"])
