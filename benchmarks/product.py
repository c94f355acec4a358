"""The real product as a process in a folder of its own, and a client that speaks HTTP to it.

Knows the command line and the REST API, nothing of the product's code.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 60


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Product:
    """`make run` without the installing: started in `folder`, stopped with Ctrl-C.

    Of all settings it has those given here, whatever the environment says.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if "RANKLOOP" not in name},
            "RANKLOOP_ENV_FILE": os.devnull,
            "RANKLOOP_DATA": str(folder),
            "RANKLOOP_PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, seconds: float = 180) -> None:
        """Start and wait until the web answers. Raises RuntimeError where it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "product.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.address}/sign-in/", timeout=5).close()
            except OSError:
                time.sleep(0.5)
            else:
                return
        raise RuntimeError(f"the product did not start; see {self.folder / 'product.log'}")

    def stop(self) -> None:
        """Ctrl-C, and wait until everything is gone."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def manage(self, *arguments: str) -> str:
        """Run a management command in the product's folder and return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Client:
    """One person's token at one address."""

    address: str
    token: str

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Parsed JSON of the answer, None for 204. Raises urllib.error.HTTPError above 399."""
        request = urllib.request.Request(
            f"{self.address}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: object = None) -> Any:
        return self.call("POST", path, {} if body is None else body)

    def pages(self, path: str) -> list[Any]:
        """All rows of a paged list."""
        rows: list[Any] = []
        while path:
            page = self.get(path)
            rows += page["results"]
            following = page.get("next")
            path = following.split("/api/v1/", 1)[1] if following else ""
        return rows
