"""Whether this installation answers: one address for load balancers, containers and the start.

As a command (`python -m config.health`) it asks the web server that the settings name and exits
with 0 or 1.
"""

from __future__ import annotations

import http.client
import sys

from django.http import HttpRequest, HttpResponse

PATH = "/health/"
SECONDS = 5


def health(_request: HttpRequest) -> HttpResponse:
    """Say `ok` where the database answers; anyone may ask, and learns nothing else."""
    from django.db import connection  # noqa: PLC0415 - the command needs no database

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


def answers(*, bind: str, port: int, host: str) -> bool:
    """Whether the web server at this address says `ok` to a request for `host`."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - replaced, not bound
    connection = http.client.HTTPConnection(everywhere.get(bind, bind), port, timeout=SECONDS)
    try:
        connection.request("GET", PATH, headers={"Host": host})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def served_host(hosts: list[str]) -> str:
    """A name under which the installation may be asked."""
    named = [host.removeprefix(".") for host in hosts if host != "*"]
    return named[0] if named else "localhost"


def main() -> int:
    """Ask the web server of this installation."""
    from config import settings  # noqa: PLC0415 - views need no second look at the environment

    host = served_host(settings.HOSTS)
    return 0 if answers(bind=settings.BIND, port=settings.PORT, host=host) else 1


if __name__ == "__main__":
    sys.exit(main())
