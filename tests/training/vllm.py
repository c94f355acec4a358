"""A server over real HTTP that speaks as vLLM's does: models, chats, adapters loaded at run time.

Its texts name the model, so that a test can see who wrote them; faults are put in by hand.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from training.errors import explain
from training.sampler import SamplerError
from training.served_sampler import ServedSampler

MESSAGES = [{"role": "user", "content": "Why is the sea salty?"}]
CHAT = "/v1/chat/completions"

Answer = tuple[int, Any]
"""A status, and JSON or bytes."""


class Http(ThreadingHTTPServer):
    """Takes as many connections at a time as a server for this purpose."""

    request_queue_size = 128
    daemon_threads = True


class Vllm:
    """`vllm serve MODEL --enable-lora`, with VLLM_ALLOW_RUNTIME_LORA_UPDATING unless told else."""

    def __init__(self, model: str = "some-model") -> None:
        self.model, self.root = model, model
        self.adapters: dict[str, str] = {}
        self.loads_adapters = True
        self.key = ""
        self.seconds = 0.0
        """How long a completion takes."""
        self.chats: list[dict[str, Any]] = []
        """Bodies of the chat requests that it took."""
        self.asked: list[str] = []
        """Every request's path."""
        self.fault: Callable[[str, Any], Answer | None] = lambda _path, _body: None
        """What is answered in place of the right answer."""
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """At the same port as before."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(None)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                self.reply(json.loads(self.rfile.read(length)))

            def reply(self, body: Any) -> None:
                sent = self.headers.get("Authorization", "")
                status, answer = server.answer(self.path, body, sent)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                with contextlib.suppress(OSError):  # whoever asked has gone
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_words: Any) -> None:
                pass

        self._http = Http(("127.0.0.1", self._port), Handler)
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """It forgets what was loaded into it."""
        self._http.shutdown()
        self._http.server_close()
        self.adapters.clear()

    def answer(self, path: str, body: Any, sent: str) -> Answer:
        self.asked.append(path)
        if (wrong := self.fault(path, body)) is not None:
            return wrong
        if self.key and sent != f"Bearer {self.key}":
            return 401, {"error": "Unauthorized"}
        if path == "/v1/models":
            return 200, {"object": "list", "data": self._models()}
        if path == "/v1/chat/completions":
            return self._chat(body)
        if path == "/v1/load_lora_adapter" and self.loads_adapters:
            return self._load(body["lora_name"], body["lora_path"])
        return 404, {"detail": "Not Found"}

    def _models(self) -> list[dict[str, Any]]:
        base = {"id": self.model, "object": "model", "root": self.root, "parent": None}
        loaded = [
            {"id": name, "object": "model", "root": path, "parent": self.model}
            for name, path in self.adapters.items()
        ]
        return [base, *loaded]

    def _load(self, name: str, path: str) -> Answer:
        if name in self.adapters:
            return error(400, f"The lora adapter '{name}' has already been loaded.")
        if not Path(path, "adapter_config.json").is_file():
            return error(404, f"Loading lora {name} failed: No adapter found for {path}")
        self.adapters[name] = path
        return 200, f"Success: LoRA adapter '{name}' added successfully.".encode()

    def _chat(self, body: dict[str, Any]) -> Answer:
        if body["model"] not in {self.model, *self.adapters}:
            return error(404, f"The model `{body['model']}` does not exist.")
        self.chats.append(body)
        time.sleep(self.seconds)
        return 200, completion(f"{body['model']} says {body['seed']}", n=body["n"])


def error(status: int, message: str) -> Answer:
    """An error in vLLM's form."""
    return status, {"error": {"message": message, "type": "BadRequestError", "code": status}}


def completion(
    text: object, *, n: int = 1, reason: str = "stop", tokens: object = 5
) -> dict[str, Any]:
    """A chat completion in the form that OpenAI's documentation gives it."""
    message = {"role": "assistant", "content": text}
    choice = {"message": message, "logprobs": None, "finish_reason": reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": index, **choice} for index in range(n)],
        "usage": {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 14},
    }


def ask(vllm: Vllm, **changes: Any) -> list[Any]:
    what: dict[str, Any] = {
        "base": "some-model",
        "adapter": None,
        "prompts": [{"id": "7", "messages": MESSAGES}],
        "samples": 1,
        "max_new_tokens": 8,
        "temperature": 0.7,
        "seed": 3,
    }
    return ServedSampler(vllm.url, changes.pop("key", "")).sample(**what | changes)


def failure(vllm: Vllm, **changes: Any) -> tuple[str, str]:
    """The code of what goes wrong, and its sentence."""
    with pytest.raises(SamplerError) as raised:
        ask(vllm, **changes)
    return raised.value.code, explain(raised.value.code, raised.value.values)


def chat_fault(vllm: Vllm, status: int, answer: Any) -> None:
    """Every chat request is answered so."""
    vllm.fault = lambda path, _body: (status, answer) if path == CHAT else None
