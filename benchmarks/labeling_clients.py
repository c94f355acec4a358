"""Labelers without a browser: each asks and sends what the ranking page's scripts do.

Over one connection that stays open, with a session, the CSRF token and the lease, forms as
multipart as browsers send them. Reads of a page only what has to be sent back, so that the clients
take little of the machine that they share with the server. Knows the pages' addresses and fields,
nothing of the product's code.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

TIMEOUT = 60
PIECE = 256 * 1024
CSRF = "c" * 32
BOUNDARY = "----RankloopLabeler7MA4YWxkTrZu0gW"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
GZIP = re.compile(rb"\r\ncontent-encoding: *gzip", re.IGNORECASE)
ASSIGNMENT = re.compile(rb'data-assignment="(\d+)" data-slate="(\d+)"')
LEASE = re.compile(rb'name="lease" value="([0-9a-f-]{36})"')
VERSION = re.compile(rb'name="guidelines" value="(\d*)"')
RANK = re.compile(rb'<select name="(rank-\d+)"')
OPEN = re.compile(rb'"open": (\d+|null)')


class NoAnswerError(Exception):
    """No whole answer came: the server is gone, or went while it answered."""


class Answer(NamedTuple):
    """Of a request; `seconds` from the first byte sent to the last one read."""

    status: int
    body: bytes
    seconds: float


class Connection:
    """HTTP/1.1 over one socket, opened again where it was closed."""

    def __init__(self, port: int, session: str) -> None:
        self.port = port
        self.common = (
            f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
            f"Cookie: csrftoken={CSRF}; sessionid={session}\r\nHX-Request: true\r\n"
            "Accept-Encoding: gzip\r\n"
        )
        self._socket: socket.socket | None = None

    def get(self, path: str, *, whole: bool = False) -> Answer:
        """whole: the page as the address bar asks for it, not a part by htmx."""
        head = f"GET {path}{self.common}\r\n"
        return self._ask((head.replace("HX-Request: true\r\n", "") if whole else head).encode())

    def post(self, path: str, fields: Sequence[tuple[str, str]]) -> Answer:
        """A form, answered in JSON."""
        parts = [("csrfmiddlewaretoken", CSRF), *fields]
        body = "".join(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in parts
        )
        body += f"--{BOUNDARY}--\r\n"
        head = (
            f"POST {path}{self.common}Accept: application/json\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            f"Content-Length: {len(body.encode())}\r\n\r\n"
        )
        return self._ask((head + body).encode())

    def close(self) -> None:
        """The next request opens another one."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _ask(self, request: bytes) -> Answer:
        began = time.perf_counter()
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(request)
            status, body = self._answer(self._socket)
        except OSError as error:
            self.close()
            raise NoAnswerError(str(error)) from error
        return Answer(status, body, time.perf_counter() - began)

    def _answer(self, connection: socket.socket) -> tuple[int, bytes]:
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more(connection)
        head, body = received[:end], received[end + 4 :]
        status, length = STATUS.match(head), LENGTH.search(head)
        if status is None:
            raise OSError("that is no answer")
        wanted = int(length.group(1)) if length else 0
        pieces, have = [body], len(body)
        while have < wanted:
            pieces.append(self._more(connection))
            have += len(pieces[-1])
        whole = b"".join(pieces)
        if whole and GZIP.search(head):
            whole = zlib.decompress(whole, wbits=31)
        return int(status.group(1)), whole

    def _more(self, connection: socket.socket) -> bytes:
        piece = connection.recv(PIECE)
        if not piece:
            raise OSError("the server closed the connection")
        return piece


@dataclass(frozen=True, kw_only=True)
class Given:
    """A slot as a page showed it: what has to be sent back."""

    assignment: int
    slate: int
    lease: str
    guidelines: str
    ranks: list[str]
    """Names of the fields."""

    @classmethod
    def on(cls, page: bytes) -> Given | None:
        """The one that a page, or its part, shows; None where it shows none."""
        found, lease, version = ASSIGNMENT.search(page), LEASE.search(page), VERSION.search(page)
        if found is None or lease is None:
            return None
        return cls(
            assignment=int(found.group(1)),
            slate=int(found.group(2)),
            lease=lease.group(1).decode(),
            guidelines=version.group(1).decode() if version else "",
            ranks=[name.decode() for name in RANK.findall(page)],
        )


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What was submitted: the slate, the rank of each completion, and the comment."""

    slate: int
    ranks: dict[int, int]
    comment: str


@dataclass
class Heard:
    """What one labeler got. Seconds of each answer, by kind, with the moment it came."""

    times: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    acknowledged: list[Submission] = field(default_factory=list)
    unanswered: list[Submission] = field(default_factory=list)
    """Sent at least once; the server went away, and what became of it was not asked again."""
    drafts: dict[int, str] = field(default_factory=dict)
    """By slate: the comment of the newest draft that was acknowledged and not submitted since."""
    refused: list[tuple[int, bytes]] = field(default_factory=list)
    tries: int = 0
    """Requests, those that had no answer included."""


class Labeler(threading.Thread):
    """Ranks by chance until told to stop, or until nothing is left.

    patient: asks again, with the same words, where no answer came, as the page's outbox does; else
    that ends it. drafts: keeps a draft of each ranking before it submits it, and of each fifth one
    only that. seconds_each: how long a ranking takes at least; half as much again, or as little, by
    chance.
    """

    def __init__(
        self,
        port: int,
        slug: str,
        session: str,
        *,
        patient: bool = False,
        drafts: bool = False,
        seconds_each: float = 0.0,
        over: threading.Event | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.connection = Connection(port, session)
        self.base = f"/projects/{slug}/rank/"
        self.patient, self.drafts = patient, drafts
        self.seconds_each = seconds_each
        self.over = over or threading.Event()
        self.heard = Heard()
        self.random = random.Random(session)
        self.ended_at: float | None = None
        """Where nothing was left: when."""

    def run(self) -> None:
        """Rank one after the other."""
        with contextlib.suppress(NoAnswerError):
            given = self._open()
            while given is not None and not self.over.is_set():
                given = self._turn(given)
            if given is None:
                self.ended_at = time.perf_counter()
        self.connection.close()

    def _turn(self, given: Given) -> Given | None:
        """Fetch what comes next, submit this one; the one that is open then."""
        ahead = Given.on(self._ask("next", lambda: self.connection.get(self.base + "ahead/")).body)
        said = Submission(
            slate=given.slate,
            ranks={int(name[5:]): self.random.randint(1, 4) for name in given.ranks},
            comment=f"{self.random.getrandbits(64):x}" if self.drafts else "",
        )
        if self.seconds_each:
            self.over.wait(self.seconds_each * self.random.uniform(0.5, 1.5))
        if self.drafts:
            self._draft(given, said)
            if self.random.random() < 0.2:
                return self._open()
        self._submit(given, said)
        if self._opened is not None and ahead is not None and self._opened == ahead.assignment:
            return ahead
        return self._open()

    def _open(self) -> Given | None:
        """What the ranking page shows."""
        page = self._ask("page", lambda: self.connection.get(self.base, whole=True))
        return Given.on(page.body)

    def _draft(self, given: Given, said: Submission) -> None:
        fields = [
            ("lease", given.lease),
            ("sequence", str(time.time_ns() // 1_000)),
            ("content", f'[["comment", "{said.comment}"]]'),
        ]
        where = f"{self.base}{given.assignment}/draft/"
        answer = self._ask("draft", lambda: self.connection.post(where, fields))
        if answer.status == 200 and b"true" in answer.body:
            self.heard.drafts[given.slate] = said.comment

    def _submit(self, given: Given, said: Submission) -> None:
        fields = [(f"rank-{pk}", str(rank)) for pk, rank in said.ranks.items()]
        fields += [("comment", said.comment)] if said.comment else []
        beside = [("lease", given.lease), ("seconds", "12.5"), ("guidelines", given.guidelines)]
        where = f"{self.base}{given.assignment}/submission/"
        self._opened = None
        try:
            answer = self._ask("submit", lambda: self.connection.post(where, [*fields, *beside]))
        except NoAnswerError:
            self.heard.unanswered.append(said)
            raise
        if answer.status == 200:
            self.heard.acknowledged.append(said)
            self.heard.drafts.pop(given.slate, None)
        else:
            self.heard.refused.append((answer.status, answer.body[:500]))
        opened = OPEN.search(answer.body)
        if opened is not None and opened.group(1) != b"null":
            self._opened = int(opened.group(1))

    def _ask(self, kind: str, request: Callable[[], Answer]) -> Answer:
        """Until there is an answer that is not the server's fault."""
        while True:
            self.heard.tries += 1
            try:
                answer = request()
            except NoAnswerError:
                if not self.patient or self.over.is_set():
                    raise
            else:
                if answer.status < 500:
                    entry = (time.perf_counter(), answer.seconds)
                    self.heard.times.setdefault(kind, []).append(entry)
                    return answer
                if not self.patient:
                    raise NoAnswerError(f"{answer.status}")
            time.sleep(0.05)

    _opened: int | None = None
    """The slot that the last submission's answer named."""
