"""The real product as a process of its own, and what a test wants to know of it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from config import broker

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120.0
GONE_SECONDS = 100.0
ZOMBIE = psutil.STATUS_ZOMBIE
QUEUES = ("default", "sampling", "training")


@contextmanager
def running(product: Product) -> Iterator[Product]:
    """With its workers ready; afterwards it leaves nobody behind."""
    try:
        product.wait_until_ready()
        product.says("celery.apps.worker: .* ready", times=len(QUEUES))
        yield product
    finally:
        if product.process.poll() is None:
            assert product.end() == 0
        product.wait_until_gone()


class Product:
    """A started product; `python` has its packages alone, `log` is what its terminal shows."""

    def __init__(self, folder: Path, port: int, python: Path, **settings: str) -> None:
        self.folder, self.port, self.python = folder, port, python
        self.log = folder.parent / f"{folder.name}.log"
        clean = {n: v for n, v in os.environ.items() if not n.startswith("RANKLOOP_")}
        self.environment = clean | {
            "RANKLOOP_ENV_FILE": os.devnull,
            "RANKLOOP_DATA": str(folder),
            "RANKLOOP_PORT": str(port),
            "RANKLOOP_DEMO": "false",
            "RANKLOOP_TICK_SECONDS": "1",
        }
        self.environment |= settings
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [str(self.python), "-m", "config.serve"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        self.says(rf"Rankloop is ready: http://127\.0\.0\.1:{self.port}$")

    def says(self, pattern: str, seconds: float = READY_SECONDS, *, times: int = 1) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.findall(pattern, self.log.read_text(), re.MULTILINE)
            if len(found) >= times:
                return str(found[-1])
            if self.process.poll() is not None and times > len(found):
                break
            time.sleep(0.1)
        raise AssertionError(f"never said {pattern!r}:\n{self.log.read_text()}")

    def processes(self) -> dict[int, str]:
        """Every process that serves this folder, whoever its parent is by now."""
        found = {}
        socket_path = str(broker.socket_path(self.folder))
        for process in psutil.process_iter(["pid", "status", "cmdline"]):
            command = " ".join(process.info["cmdline"] or [])
            try:
                mine = process.environ().get("RANKLOOP_DATA") == str(self.folder)
            except psutil.Error:
                continue
            # Valkey writes its title over its environment.
            if (mine or socket_path in command) and process.info["status"] != ZOMBIE:
                found[process.pid] = command
        return found

    def pids(self, part: str) -> list[int]:
        return sorted(pid for pid, command in self.processes().items() if part in command)

    def wait_until_gone(self) -> None:
        deadline = time.monotonic() + GONE_SECONDS
        while left := self.processes():
            assert time.monotonic() < deadline, f"{left}\n{self.log.read_text()}"
            time.sleep(0.1)

    def get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path)
        return connection.getresponse()

    def manage(self, *arguments: str) -> str:
        """What a management command prints."""
        command = [str(self.python), "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def signed_in(self, name: str) -> requests.Session:
        """The browser of somebody who has used a sign-in link."""
        session = requests.Session()
        link = self.manage("sign_in_link", name)
        self.submit(session, link, page=link)
        return session

    def submit(
        self, session: requests.Session, address: str, *, page: str, **form: Any
    ) -> requests.Response:
        """Post a form of `page` as a browser without scripts does."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', session.get(page).text)
        assert token is not None, page
        data = {"csrfmiddlewaretoken": token[1], **form.pop("data", {})}
        answer = session.post(address, data, headers={"Referer": page}, **form)
        assert answer.status_code < 500, answer.text
        return answer

    def is_up(self) -> bool:
        try:
            return self.get("/health/").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_up():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(GONE_SECONDS)
