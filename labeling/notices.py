"""Words of managers to everybody who works in a project: written, withdrawn, put away."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.completions import storable
from labeling.models import Notice, NoticeSeen, Project, User
from labeling.prepared import Given, Prepared
from labeling.refusals import Refusal

LONGEST = 4000
"""Characters."""
MOST_SHOWN = 3
"""Above the work at once; the next one comes when one is put away."""
_IN_PROJECT = Prepared(lambda: unseen(Given("user")).filter(project=Given("project"))[:MOST_SHOWN])


class NoticeRefused(Refusal):
    """Nothing to say, or too much."""

    code = "notice_refused"
    status = 400
    sentence = _("Write what everybody should know, in at most %(most)s characters.")


def publish_notice(*, project: Project, text: str, by: User) -> Notice:
    """Show `text` (Markdown) to all who work in `project`, from their next page on.

    Raises NoticeRefused.
    """
    said = storable(text.replace("\r\n", "\n")).strip()
    if not said or len(said) > LONGEST:
        raise NoticeRefused(most=LONGEST)
    return Notice.objects.create(project=project, text=said, created_by=by)


def withdraw_notice(*, notice: Notice) -> None:
    """Show it to nobody any more. Twice is once."""
    Notice.objects.filter(pk=notice.pk, withdrawn_at=None).update(withdrawn_at=Now())


def put_away(*, notice: Notice, user: User) -> None:
    """`user` has read it, and is not shown it again. Twice is once."""
    seen = NoticeSeen(notice=notice, user=user)
    NoticeSeen.objects.bulk_create([seen], ignore_conflicts=True)


def unseen(user: User | Given) -> QuerySet[Notice]:
    """What stands and `user` has not put away, the newest first."""
    return (
        Notice.objects.filter(withdrawn_at=None)
        .exclude(Exists(NoticeSeen.objects.filter(notice=OuterRef("pk"), user=user)))
        .select_related("project")
        .order_by("-pk")
    )


def unseen_in(project: Project, user: User) -> list[Notice]:
    """What is shown above the work in `project`, in one query."""
    return _IN_PROJECT.all(project=project.pk, user=user.pk)
