"""`manage.py issue_token USERNAME`: print a fresh API token; for scripts on the owner's machine."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.models import Project, Role, User
from labeling.people import SCOPES, create_user, issue_token, set_role
from labeling.refusals import Refusal


class Command(BaseCommand):
    """Issues a token, making the person and the membership where asked for."""

    help = "Print a fresh API token. Its secret is shown this once and never again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--scopes", default="read", help=f"of: {' '.join(SCOPES)}")
        parser.add_argument("--project", help="slug; the token then works in that project alone")
        parser.add_argument(
            "--role", choices=Role.values, help="make the person (where new) a member in this role"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        username, slug, role = options["username"], options["project"], options["role"]
        project = Project.objects.filter(slug=slug).first() if slug else None
        if slug and project is None:
            raise CommandError(f"--project: there is no project {slug!r}")
        user = User.objects.filter(username__iexact=username).first()
        try:
            if user is None and project is not None and role:
                user = create_user(username=username)
            if user is None:
                raise CommandError(
                    f"there is nobody called {username!r}; --project and --role make a member"
                )
            if project is not None and role:
                set_role(project=project, user=user, role=role)
            _, secret = issue_token(
                user=user, name="command line", scopes=options["scopes"].split(), project=project
            )
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(secret)
