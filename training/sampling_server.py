"""HTTP to the outside sampling server: asked again while it is away or busy, cut off when we stop.

Standard library alone. No redirect is followed, so that the key goes nowhere else. Knows nothing of
models and completions.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from labeling.completions import storable
from training.sampler import SamplerError

PATIENCE = 120.0
"""Seconds for which a server that is away or busy is asked again: one that was restarted loads its
model first."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two tries; each pause is twice the one before."""
CONNECT_SECONDS = 10.0
MOST_BYTES = 8 * 2**20
"""Of an answer. The longest completion that a project may ask for stays well below, whatever JSON
makes of its characters."""
MOST_SAID = 400
"""Characters of a server's own words that a sentence repeats."""


class ServerRefused(SamplerError):  # noqa: N818  # named for what a caller says of it
    """The server took the request and said no; `status` is HTTP's, `said` the server's words."""

    def __init__(self, url: str, status: int, said: str) -> None:
        """Keep both."""
        self.status, self.said = status, said
        if status in (401, 403):
            super().__init__("server_key", url=url, message=said)
        else:
            super().__init__("server_refused", url=url, status=status, message=said)


class _Away(Exception):  # noqa: N818  # a state of affairs: asked again
    """Nobody answers, or the answer is to come again later."""


class SamplingServer:
    """One server. Threads may ask it at the same time, until it is closed."""

    def __init__(self, url: str, key: str) -> None:
        """Ask nothing yet. `url`: scheme, host and port, and a path where it stands behind one."""
        self.url = url.rstrip("/")
        self._key = key
        self._closing = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    def ask(self, path: str, body: Any = None, *, seconds: float) -> bytes:
        """POST a JSON body, or GET where there is none; the answer's bytes.

        seconds: how long the server may be silent. Raises SamplerError: server_away after PATIENCE,
        server_silent, and ServerRefused.
        """
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                return self._ask_once(path, body, seconds)
            except _Away as away:
                if time.monotonic() - began >= PATIENCE or self._closing.is_set():
                    message = self._without_key(str(away))
                    raise SamplerError("server_away", url=self.url, message=message) from None
            self._closing.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def close(self) -> None:
        """Cut off what is being asked: whoever asks gets an error, and the server stops writing."""
        self._closing.set()
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _ask_once(self, path: str, body: Any, seconds: float) -> bytes:
        parts = urlsplit(self.url)
        kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
        connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)
        try:
            with self._open(connection) as stream:
                stream.settimeout(seconds)
                content = None if body is None else json.dumps(body).encode()
                method = "GET" if body is None else "POST"
                connection.request(method, parts.path + path, content, self._headers())
                response = connection.getresponse()
                answer = response.read(MOST_BYTES + 1)
        except TimeoutError:
            raise SamplerError("server_silent", url=self.url, seconds=round(seconds)) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Away(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        self._judge(response.status, answer)
        return answer

    @contextlib.contextmanager
    def _open(self, connection: http.client.HTTPConnection) -> Iterator[socket.socket]:
        """Connect; `close` can reach the connection from then on. Raises _Away."""
        try:
            connection.connect()
        except OSError as error:
            raise _Away(str(error)) from error
        stream = connection.sock
        with self._lock:
            self._sockets.add(stream)
        try:
            if self._closing.is_set():
                raise _Away("closed")
            yield stream
        finally:
            with self._lock:
                self._sockets.discard(stream)

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Connection": "close",
        }
        return headers | ({"Authorization": f"Bearer {self._key}"} if self._key else {})

    def _judge(self, status: int, answer: bytes) -> None:
        """Raises what the status means; nothing for an answer that is one."""
        if status == http.client.TOO_MANY_REQUESTS or status >= 500:
            raise _Away(f"HTTP {status}: {words_in(answer)}")
        if not 200 <= status < 300:
            said = words_in(answer) or http.client.responses.get(status, "without a word")
            raise ServerRefused(self.url, status, self._without_key(said))
        if len(answer) > MOST_BYTES:
            raise nonsense(self.url, f"more than {MOST_BYTES} bytes")

    def _without_key(self, words: str) -> str:
        return words.replace(self._key, "…") if self._key else words


def nonsense(url: str, problem: str) -> SamplerError:
    """The error of an answer that is none."""
    return SamplerError("server_nonsense", url=url, problem=problem)


def parsed(url: str, answer: bytes) -> dict[str, Any]:
    """An answer's JSON object. Raises SamplerError("server_nonsense")."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):  # the latter for brackets without end
        raise nonsense(url, "not JSON") from None
    if not isinstance(found, dict):
        raise nonsense(url, "no JSON object")
    return found


def words_in(answer: bytes) -> str:
    """What an error's body says: vLLM, llama.cpp and TGI each put it elsewhere, proxies in HTML."""
    text = answer[: 64 * 1024].decode(errors="replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = text
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    words = found if isinstance(found, str) else json.dumps(found)
    return storable(" ".join(words.split()))[:MOST_SAID].rstrip(". ")
