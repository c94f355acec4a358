"""Reports of quality as rows: which is shown, which is asked for, which is due, which may go.

Imported by the web; the numbers are worked out in `labeling/quality/`, by workers alone.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from labeling.models import Dispute, Project, QualityReport, Ranking

FEWEST_NEW = 10
"""Rankings since the last report that make another one due."""
APART = timedelta(minutes=10)
"""Between two reports that nobody asked for."""
PATIENCE = timedelta(minutes=30)
"""After this, a report that was taken up and never finished is taken up again."""
KEPT = 30


def newest_report(project: Project) -> QualityReport | None:
    """The one that is shown."""
    done = QualityReport.objects.filter(project=project, done_at__isnull=False)
    return done.order_by("-pk").first()


def report_under_way(project: Project) -> QualityReport | None:
    """One that is asked for or being worked out."""
    return QualityReport.objects.filter(project=project, done_at=None).first()


def ask_for_report(project: Project) -> QualityReport:
    """Have a report worked out; asked for again before it is done, it is the same one."""
    try:
        with transaction.atomic():
            return QualityReport.objects.create(project=project)
    except IntegrityError:
        return QualityReport.objects.get(project=project, done_at=None)


def ask_for_due_reports() -> None:
    """Ask for one wherever enough rankings came in since the last one, and some time went by."""
    for project in Project.objects.open():
        last = QualityReport.objects.filter(project=project).order_by("-pk").first()
        if last and (last.done_at is None or last.created_at > timezone.now() - APART):
            continue
        after = last.up_to if last else 0
        fresh = Ranking.objects.filter(slate__project=project, pk__gt=after).order_by("pk")
        if len(fresh.values_list("pk")[:FEWEST_NEW]) == FEWEST_NEW:
            ask_for_report(project)


def waiting_reports() -> list[int]:
    """Ids of reports that a worker should take up, the oldest first."""
    return list(_takeable().order_by("pk").values_list("pk", flat=True))


def take_up(report: int) -> QualityReport | None:
    """Claim a report to work it out; None if it is done, or somebody else is at it."""
    if not _takeable().filter(pk=report).update(begun_at=Now()):
        return None
    return QualityReport.objects.select_related("project").get(pk=report)


def forget_old_reports(project: Project) -> None:
    """Keep the last KEPT reports, and the disputes of the newest one alone."""
    done = QualityReport.objects.filter(project=project, done_at__isnull=False)
    kept = list(done.order_by("-pk").values_list("pk", flat=True)[:KEPT])
    done.exclude(pk__in=kept).delete()
    Dispute.objects.filter(report__in=kept[1:]).delete()


def _takeable() -> QuerySet[QualityReport]:
    lapsed = Q(begun_at=None) | Q(begun_at__lt=timezone.now() - PATIENCE)
    return QualityReport.objects.filter(lapsed, done_at=None)
