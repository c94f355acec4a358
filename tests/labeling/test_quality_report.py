"""Reports: what is in them, when one is due, and that the same rankings give the same figures."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling import quality_reports, tasks
from labeling.models import Dispute, Purpose, QualityReport, Ranking
from labeling.quality.report import work_out
from labeling.quality_reports import ask_for_report, newest_report
from tests.factories import make_answer, make_labeler, make_project, make_ranking, make_slate

pytestmark = pytest.mark.django_db


def values(report):
    keys = ("measure", "category", "labeler", "other", "week", "value", "low", "high", "count")
    return list(report.figures.order_by("pk").values_list(*keys))


@pytest.fixture
def shared():
    """Two slates of three, which Ann and Ben ranked: 5 of 6 pairs alike."""
    project = make_project(overlap=2, k=3)
    ann, ben = make_labeler(project, "ann"), make_labeler(project, "ben")
    for theirs in ([1, 2, 3], [2, 1, 3]):
        make_slate(project)
        make_ranking(project, ann, [1, 2, 3], seconds=20)
        make_ranking(project, ben, theirs, seconds=60)
    return project, ann, ben


def test_figures_by_hand(shared):
    project, ann, _ben = shared
    report = work_out(ask_for_report(project))
    assert report.rankings == 4
    assert report.done_at is not None
    agreement = report.figures.get(measure="agreement", labeler=None, week=None)
    assert (agreement.value, agreement.count) == (5 / 6, 6)
    assert report.figures.get(measure="agreement", labeler=ann, week=None).value == 5 / 6
    seconds = report.figures.get(measure="seconds-p50", labeler=ann, category="")
    assert (seconds.value, seconds.count) == (20, 2)
    assert report.figures.get(measure="seconds-p50", labeler=None, category="").value == 40


@pytest.mark.parametrize(
    ("text", "fast_below"),
    [("word " * 500, 180), ("雨" * 720, 180), ("word " * 250 + "雨" * 360, 180)],
)
def test_too_fast_is_by_words_or_characters_of_the_completions(text, fast_below):
    project = make_project(overlap=2, k=3)
    ann, ben = make_labeler(project, "ann"), make_labeler(project, "ben")
    for _ in range(2):
        make_slate(project, [text] * 3)
        make_ranking(project, ann, [1, 2, 3], seconds=fast_below - 1)
        make_ranking(project, ben, [1, 2, 3], seconds=fast_below + 1)
    report = work_out(ask_for_report(project))
    shares = report.figures.filter(measure="too-fast", category="", week=None)
    assert shares.get(labeler=ann).value == 1
    assert shares.get(labeler=ben).value == 0


def test_the_most_disputed_slate_comes_first_and_one_without_dispute_not_at_all(shared):
    project, _ann, ben = shared
    report = work_out(ask_for_report(project))
    (dispute,) = report.disputes.all()
    assert dispute.slate == Ranking.objects.filter(labeler=ben).latest("pk").slate
    assert (dispute.apart, dispute.rankings) == (1 / 3, 2)


def test_agreement_is_told_from_the_slots_that_every_slate_gets_and_disputes_from_all():
    """Two alike; two that differ, and two more who are asked because of that, one of each opinion.

    Agreement: 1 of 2 pairs. In dispute: 4 of the 6 pairs that four labelers make.
    """
    project = make_project(overlap=2, most_overlap=4, k=2)
    labelers = [make_labeler(project) for _ in range(4)]
    make_slate(project)
    for labeler in labelers[:2]:
        make_ranking(project, labeler, [1, 2])
    disputed = make_slate(project)
    for place, labeler in enumerate(labelers):
        make_ranking(project, labeler, [1, 2] if place % 2 else [2, 1])
    report = work_out(ask_for_report(project))
    assert report.rankings == 6
    agreement = report.figures.get(measure="agreement", labeler=None, week=None)
    assert (agreement.value, agreement.count) == (0.5, 2)
    dispute = report.disputes.get()
    assert (dispute.slate, dispute.rankings) == (disputed, 4)
    assert dispute.apart == pytest.approx(4 / 6)
    alone = report.figures.filter(measure="agreement", labeler__in=labelers[2:])
    assert not alone.exists()


def test_evaluation_slates_are_nobodys_dispute():
    project = make_project(overlap=2, k=3)
    ann, ben = make_labeler(project), make_labeler(project)
    make_slate(project, purpose=Purpose.EVALUATION)
    make_ranking(project, ann, [1, 2, 3])
    make_ranking(project, ben, [3, 2, 1])
    report = work_out(ask_for_report(project))
    assert report.figures.get(measure="agreement", labeler=None, week=None).value == 0
    assert not report.disputes.exists()


def test_the_same_rankings_give_the_same_figures(shared):
    project, *_ = shared
    first = values(work_out(ask_for_report(project)))
    assert first
    assert values(work_out(ask_for_report(project))) == first


def test_nothing_ranked_is_an_empty_report():
    report = work_out(ask_for_report(make_project()))
    assert report.rankings == 0
    assert not report.figures.exists()


def test_gold_items_are_apart_from_agreement(shared):
    project, ann, _ben = shared
    make_slate(project, purpose=Purpose.GOLD, overlap=1)
    ranking = make_ranking(project, ann)
    Ranking.objects.filter(pk=ranking.pk).update(right_share=0.5)
    report = work_out(ask_for_report(project))
    gold = report.figures.get(measure="gold", labeler=ann, week=None)
    assert (gold.value, gold.count) == (0.5, 1)
    assert report.figures.get(measure="agreement", labeler=None, week=None).count == 6
    assert report.figures.filter(measure="gold", week__isnull=False, labeler=None).exists()


def test_repeats_are_held_against_the_first_time(shared):
    project, ann, _ben = shared
    first = Ranking.objects.filter(labeler=ann).earliest("pk")
    again = make_slate(project, prompt=first.slate.prompt, purpose=Purpose.REPEAT, overlap=0)
    again.items.all().delete()
    for item in first.slate.items.all():
        again.items.create(completion_id=item.completion_id, position=item.position)
    again.repeats = first.slate
    again.save()
    make_answer(again, ann, [2, 1, 3])
    found = work_out(ask_for_report(project)).figures.get(measure="repeats")
    assert (found.labeler, found.value, found.count) == (ann, 2 / 3, 3)


def test_a_report_is_asked_for_once(shared):
    project, *_ = shared
    assert ask_for_report(project) == ask_for_report(project)


def test_one_worker_takes_it_up_and_another_only_when_that_one_is_gone(shared):
    project, *_ = shared
    report = ask_for_report(project)
    assert quality_reports.take_up(report.pk) == report
    assert quality_reports.take_up(report.pk) is None
    assert quality_reports.waiting_reports() == []
    long_ago = timezone.now() - quality_reports.PATIENCE - timedelta(minutes=1)
    QualityReport.objects.update(begun_at=long_ago)
    assert quality_reports.waiting_reports() == [report.pk]
    tasks.work_out_quality(report.pk)
    assert newest_report(project) == report
    assert quality_reports.take_up(report.pk) is None


def test_ten_new_rankings_make_one_due_and_no_sooner_than_after_a_while(monkeypatch):
    sent = []
    task = tasks.work_out_quality
    monkeypatch.setattr(task, "apply_async", lambda args, **_options: sent.append(args))
    project = make_project()
    for _ in range(9):
        make_ranking(project)
    tasks.tick()
    assert sent == []
    make_ranking(project)
    tasks.tick()
    (report,) = QualityReport.objects.all()
    assert sent == [(report.pk,)]
    tasks.work_out_quality(report.pk)
    for _ in range(10):
        make_ranking(project)
    tasks.tick()
    assert len(sent) == 1, "not so soon"
    QualityReport.objects.update(created_at=timezone.now() - quality_reports.APART)
    tasks.tick()
    assert len(sent) == 2


def test_old_reports_go(shared, monkeypatch):
    monkeypatch.setattr(quality_reports, "KEPT", 2)
    project, *_ = shared
    reports = [work_out(ask_for_report(project)) for _ in range(3)]
    assert list(QualityReport.objects.order_by("pk")) == reports[1:]
    assert set(Dispute.objects.values_list("report", flat=True)) == {reports[2].pk}


def test_pages_of_slates_are_read_with_four_queries(shared, django_assert_max_num_queries):
    project, *_ = shared
    report = ask_for_report(project)
    with django_assert_max_num_queries(32):
        work_out(report)
