"""Make an installation ready: static files, migrations, the owner, the demo project.

`python -m config.prepare` may run at every start: what is done already takes no time and changes
nothing. It prints a sign-in link for the owner, or writes it to `--link-file`.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from labeling.models import User

OWNER = "owner"

logger = logging.getLogger("rankloop.prepare")


def collect_static() -> None:
    """Copy and compress the static files, where any of them changed since the last time."""
    from django.conf import settings  # noqa: PLC0415 - Django has to be set up first
    from django.core.management import call_command  # noqa: PLC0415 - as above

    if settings.DEBUG:
        return
    root = Path(settings.STATIC_ROOT)
    mark = root / ".collected"
    print_ = hashlib.sha256("\n".join(_static_sources()).encode()).hexdigest()
    if mark.is_file() and mark.read_text() == print_:
        return
    mark.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    mark.write_text(print_)
    logger.info("static files collected")


def _static_sources() -> Iterator[str]:
    """One line for each file that would be collected: whence, how long, when changed."""
    from django.contrib.staticfiles.finders import get_finders  # noqa: PLC0415 - as above

    for finder in get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            yield f"{storage.path(name)} {found.st_size} {found.st_mtime_ns}"


def find_or_create_owner() -> User:
    """The first who may do everything; on a fresh installation `owner`, who has no password."""
    from labeling import people  # noqa: PLC0415 - as above
    from labeling.models import User  # noqa: PLC0415 - as above

    owner = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if owner is None:
        owner = people.create_user(username=OWNER, name="Owner", superuser=True)
        logger.info("created the account of the owner")
    return owner


def sign_in_link(user: User, *, minutes: int | None = None) -> str:
    """An address that signs `user` in once, within `minutes` (an hour where None)."""
    from django.urls import reverse  # noqa: PLC0415 - as above

    from config.address import public_address  # noqa: PLC0415 - as above
    from labeling.sign_in_links import LINK_MINUTES, issue_sign_in_link  # noqa: PLC0415 - as above

    _link, secret = issue_sign_in_link(user=user, minutes=minutes or LINK_MINUTES)
    return public_address() + reverse("sign-in-link", args=[secret])


def prepare() -> str:
    """Do all of it; a fresh sign-in link for the owner."""
    from django.conf import settings  # noqa: PLC0415 - as above
    from django.core.management import call_command  # noqa: PLC0415 - as above

    collect_static()
    call_command("migrate", interactive=False, verbosity=0)
    owner = find_or_create_owner()
    if settings.DEMO:
        from labeling.demo import create_demo_project  # noqa: PLC0415 - as above

        create_demo_project(owner=owner)
    return sign_in_link(owner)


def main() -> None:
    """Prepare, and hand over the link."""
    parser = argparse.ArgumentParser(prog="python -m config.prepare", description=__doc__)
    parser.add_argument("--link-file", type=Path, help="write the link here, mode 0600")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    link = prepare()
    if arguments.link_file is None:
        logger.info("sign in once as the owner: %s", link)
        return
    arguments.link_file.unlink(missing_ok=True)
    arguments.link_file.touch(mode=0o600)
    arguments.link_file.write_text(link)


if __name__ == "__main__":
    main()
