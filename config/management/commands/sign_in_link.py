"""`manage.py sign_in_link USERNAME`: print a one-time sign-in link, for who can't come in."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.prepare import sign_in_link
from labeling.models import User
from labeling.refusals import Refusal
from labeling.sign_in_links import SENT_LINK_MINUTES


class Command(BaseCommand):
    """Whoever may run this runs the installation: it makes links for everybody."""

    help = (
        "Print a link that signs this person in once, within a day, and lets them set a new "
        "password. Earlier links of the person stop working."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom the link lets in."""
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        """Call the verb and print the link."""
        username = options["username"]
        user = User.objects.filter(username__iexact=username).first()
        if user is None:
            raise CommandError(f"there is nobody called {username!r}")
        try:
            self.stdout.write(sign_in_link(user, minutes=SENT_LINK_MINUTES))
        except Refusal as refusal:
            raise CommandError(refusal.message) from refusal
