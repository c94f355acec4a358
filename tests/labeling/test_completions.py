"""A stock of slates is kept ready; results are taken in once, however often they arrive."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.assignments import skip
from labeling.completions import (
    NewCompletion,
    SourceRefused,
    ask_now,
    fail_request,
    ready_slates,
    record_completions,
    request_samples,
    source_for,
    waiting_requests,
)
from labeling.leasing import lease_next
from labeling.models import Completion, Project, SampleRequest, Slate, Source, Split
from labeling.projects import archive_project
from labeling.prompts import withdraw_prompt
from labeling.slates import demote_unopened
from tests.factories import (
    make_assignment,
    make_labeler,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
    make_source,
)

pytestmark = pytest.mark.django_db


def results(project: Project, *numbers: int, text: str = "Answer") -> list[NewCompletion]:
    source = make_source(project)
    return [
        NewCompletion(
            source=source,
            external_id=f"r-{number}",
            text=f"{text} {number}",
            finished=number != 1,
            tokens=3,
            sampling={"temperature": 1.0, "seed": number},
        )
        for number in numbers
    ]


def fulfil(request: SampleRequest) -> Slate | None:
    project = request.prompt.project
    numbers = range(request.pk * 100, request.pk * 100 + request.k)
    return record_completions(request=request, results=results(project, *numbers))


def test_a_source_is_made_once():
    project = make_project()
    assert make_source(project) == make_source(project)
    with pytest.raises(SourceRefused):
        source_for(project=project, kind=Source.Kind.POLICY, name="base")


def test_as_many_slates_are_asked_for_as_are_missing():
    project = make_project(slates_ahead=3)
    for _ in range(5):
        make_prompt(project)
    assert len(request_samples(project=project)) == 3
    assert request_samples(project=project) == []
    fulfil(waiting_requests(project)[0])
    assert ready_slates(project) == 1
    assert request_samples(project=project) == []
    make_assignment(project, make_labeler(project))
    assert len(request_samples(project=project)) == 1


def test_evaluation_prompts_are_never_asked_for():
    project = make_project()
    wanted = {make_prompt(project, split=split) for split in ("train", "judge", "rm_test")}
    make_prompt(project, split=Split.EVALUATION)
    assert {request.prompt for request in request_samples(project=project)} == wanted


def test_prompts_come_by_priority_then_shuffled():
    project = make_project(slates_ahead=3)
    prompts = [make_prompt(project) for _ in range(6)] + [make_prompt(project, priority=1)]
    asked = [request.prompt for request in request_samples(project=project)]
    assert asked == sorted(prompts, key=lambda p: (-p.priority, p.shuffle))[:3]


def test_a_slate_that_somebody_skipped_is_no_stock():
    project = make_project(slates_ahead=1)
    ann = make_labeler(project)
    make_slate(project)
    assert ready_slates(project) == 1
    skip(assignment=lease_next(project=project, labeler=ann), labeler=ann)
    assert ready_slates(project) == 0


def test_a_labeler_is_not_left_without_work_while_second_slots_wait_for_others():
    project = make_project(overlap=3, slates_ahead=1)
    make_slate(project)
    make_ranking(project, make_labeler(project))
    make_prompt(project)
    assert len(request_samples(project=project)) == 1


def test_all_ranked_prompts_come_again_once_there_is_a_newer_policy():
    project = make_project()
    ann = make_labeler(project)
    slate = make_slate(project)
    make_ranking(project, ann)
    assert request_samples(project=project) == []
    make_source(project, "policy 1", Source.Kind.POLICY)
    assert request_samples(project=project) == [], "made, but not deployed"
    deployed = timezone.now()
    (again,) = request_samples(project=project, since=deployed)
    assert again.prompt == slate.prompt
    fulfil(again)
    make_ranking(project, ann)
    assert request_samples(project=project, since=deployed) == []
    later = timezone.now() + timedelta(seconds=1)
    assert len(request_samples(project=project, since=later)) == 1


def test_prompts_that_were_never_ranked_come_first():
    project = make_project(slates_ahead=1)
    make_slate(project)
    make_ranking(project)
    fresh = make_prompt(project, priority=-5)
    (request,) = request_samples(project=project, since=timezone.now(), anew=True)
    assert request.prompt == fresh


@pytest.mark.parametrize("deployed", [False, True])
def test_where_more_rankings_are_wanted_prompts_with_the_fewest_slates_come_again(deployed):
    project = make_project(slates_ahead=1)
    prompts = {make_prompt(project), make_prompt(project, priority=1)}
    ann = make_labeler(project)
    since = timezone.now() if deployed else None
    asked = []
    for _ in range(6):
        (request,) = request_samples(project=project, since=since, anew=True)
        asked.append(request.prompt)
        fulfil(request)
        make_ranking(project, ann)
    assert all(set(asked[start : start + 2]) == prompts for start in (0, 2, 4))
    assert request_samples(project=project, since=since) == []


def test_a_second_opinion_that_nobody_gives_keeps_a_prompt_from_nothing():
    project = make_project(overlap=2, slates_ahead=1)
    ann = make_labeler(project)
    make_slate(project)
    make_ranking(project, ann)
    assert len(request_samples(project=project, since=timezone.now())) == 1
    fulfil(waiting_requests(project)[0])
    assert request_samples(project=project, anew=True) == [], "nobody has ranked that one yet"
    make_ranking(project, ann)
    assert len(request_samples(project=project, anew=True)) == 1


def test_slates_of_a_former_policy_are_no_stock_any_more():
    project = make_project(slates_ahead=1)
    make_slate(project)
    assert demote_unopened(project=project) == 1
    assert demote_unopened(project=project) == 0
    assert ready_slates(project) == 0


def test_results_become_a_slate_when_k_are_there():
    project = make_project(k=4, overlap=2)
    make_prompt(project)
    (request,) = request_samples(project=project)
    assert record_completions(request=request, results=results(project, 1, 2)) is None
    assert record_completions(request=request, results=results(project, 2, 3)) is None
    slate = record_completions(request=request, results=results(project, 3, 4))
    assert [item.completion.text for item in slate.items.all()] == [
        f"Answer {number}" for number in (1, 2, 3, 4)
    ]
    assert slate.assignments.count() == 2
    first = Completion.objects.get(external_id="r-1")
    assert (first.finished, first.tokens, first.sampling) == (
        False,
        3,
        {"temperature": 1.0, "seed": 1},
    )
    request.refresh_from_db()
    assert request.state == SampleRequest.State.DONE
    assert request.done_at is not None


def test_the_same_results_again_change_nothing():
    project = make_project()
    make_prompt(project)
    (request,) = request_samples(project=project)
    sent = results(project, 1, 2, 3, 4)
    slate = record_completions(request=request, results=sent)
    again = record_completions(request=request, results=results(project, 1, 2, 3, 4, text="New"))
    assert again == slate
    assert Slate.objects.count() == 1
    assert sorted(Completion.objects.values_list("text", flat=True)) == [
        f"Answer {number}" for number in (1, 2, 3, 4)
    ]


def test_what_no_database_can_hold_is_replaced():
    project = make_project(k=2)
    make_prompt(project)
    (request,) = request_samples(project=project)
    text = "a\x00b\ud800c\u202e<script>\x07" + "x" * 100_000
    sent = [
        NewCompletion(source=make_source(project), external_id=name, text=text) for name in "ab"
    ]
    slate = record_completions(request=request, results=sent)
    stored = slate.items.all()[0].completion
    stored.refresh_from_db()
    assert stored.text == "a\ufffdb\ufffdc\u202e<script>\x07" + "x" * 100_000


def test_a_withdrawn_prompt_makes_no_slate():
    project = make_project()
    prompt = make_prompt(project)
    (request,) = request_samples(project=project)
    withdraw_prompt(prompt=prompt)
    assert not waiting_requests(project).exists()
    assert record_completions(request=request, results=results(project, 1, 2, 3, 4)) is None
    assert not Slate.objects.exists()


def test_what_somebody_waits_for_comes_first():
    project = make_project(slates_ahead=1)
    make_prompt(project)
    request_samples(project=project)
    urgent = ask_now(prompt=make_prompt(project), k=2, seconds=30)
    assert waiting_requests()[0] == urgent
    archive_project(project=project)
    assert not waiting_requests().exists()
    assert request_samples(project=project) == []


def test_a_failure_is_tried_again_later_and_one_at_a_time():
    project = make_project(slates_ahead=5)
    for _ in range(4):
        make_prompt(project)
    for request in request_samples(project=project):
        fail_request(request=request, code="model_not_found")
    assert request_samples(project=project) == []
    make_prompt(project)
    make_prompt(project)
    assert len(request_samples(project=project)) == 1
    assert request_samples(project=project) == []
    SampleRequest.objects.filter(state="failed").update(
        done_at=timezone.now() - timedelta(minutes=11)
    )
    assert len(request_samples(project=project)) == 4
