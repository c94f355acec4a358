"""Sessions in the database, as Django keeps them: signing out ends one at once, in every process.

Each request reads one, so the query is put together once. Knows nothing of who is signed in.
"""

from __future__ import annotations

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models import DateTimeField
from django.utils import timezone

from labeling.prepared import Given, Prepared

_SESSION = Prepared(
    lambda: Session.objects.filter(
        session_key=Given("key"), expire_date__gt=Given("now", DateTimeField())
    )
)


class SessionStore(db.SessionStore):
    """What `SESSION_ENGINE` asks a module for."""

    def _get_session_from_db(self) -> Session | None:
        """The row, if it has not expired; else Django forgets the key, as it always does."""
        found = _SESSION.first(key=self.session_key, now=timezone.now())
        return found or super()._get_session_from_db()  # type: ignore[misc]  # not in the stubs
