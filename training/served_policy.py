"""A policy as an outside server knows it: a model's name, and an adapter loaded under one.

A name that the server did not list is never asked for: llama.cpp answers to any name with the one
model that it has, and the base's words would pass for the policy's. Knows nothing of prompts.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from labeling.completions import storable
from training.artifacts import file_sha256
from training.sampler import SamplerError
from training.sampling_server import SamplingServer, ServerRefused, nonsense, parsed

SHORT_SECONDS = 60.0
"""For an answer without a completion; an adapter is read within it."""
UNCUT: Mapping[str, float] = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Temperature alone shapes what is drawn. Said outright: vLLM else goes by the model's own
generation_config.json, and llama.cpp cuts by default."""
ADAPTER_SETTINGS, MANIFEST = "adapter_config.json", "manifest.json"
NOT_FOUND, UNPROCESSABLE = 404, 422

logger = logging.getLogger(__name__)


class ServedPolicy:
    """A base, or an adapter on it, at a server. Threads may ask it at the same time."""

    def __init__(self, server: SamplingServer, *, base: str, adapter: str | None) -> None:
        """`base`: a folder or hub name, by which the server knows it; `adapter`: a folder."""
        self._server = server
        self._base = base
        self._adapter = adapter
        self._uncut = dict(UNCUT)
        self._name = ""
        self._looking = threading.Lock()

    def make_ready(self) -> None:
        """Find the model at the server; an adapter that it does not know is loaded.

        Raises SamplerError: server_lacks_model, server_lacks_adapter, checkpoint_corrupt, and what
        SamplingServer.ask raises.
        """
        served = self._served()
        if self._adapter is None or not (Path(self._adapter) / ADAPTER_SETTINGS).is_file():
            self._name = self._listed(self._adapter or self._base, served)
            return
        self._listed(self._base, served)
        name = adapter_name(self._adapter)
        if name not in served:
            self._load(name, self._adapter)
        self._name = name

    def chat(self, body: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
        """One chat completion, uncut. Raises as SamplingServer.ask does.

        A server that was restarted in between has forgotten its adapters: they are loaded again.
        """
        try:
            return self._chat(body, seconds)
        except ServerRefused as refused:
            if refused.status != NOT_FOUND:
                raise
            with self._looking:
                self.make_ready()
            return self._chat(body, seconds)

    def _chat(self, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        path = "/v1/chat/completions"
        asked = {"model": self._name, **body}
        try:
            answer = self._server.ask(path, asked | self._uncut, seconds=seconds)
        except ServerRefused as refused:
            if refused.status != UNPROCESSABLE or "top_p" not in refused.said:
                raise
            # TGI takes no 1, and cuts nothing where nothing is said.
            self._uncut = {name: value for name, value in UNCUT.items() if name != "top_p"}
            answer = self._server.ask(path, asked | self._uncut, seconds=seconds)
        return parsed(self._server.url, answer)

    def _served(self) -> dict[str, str]:
        """What the server serves: where each came from, by name."""
        url = self._server.url
        answer = parsed(url, self._server.ask("/v1/models", seconds=SHORT_SECONDS))
        listed = answer.get("data")
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise nonsense(url, "no list of models")
        return {str(one.get("id")): str(one.get("root") or "") for one in listed}

    def _listed(self, location: str, served: Mapping[str, str]) -> str:
        """The name of the whole model that is, or came from, `location`."""
        wanted = location.rstrip("/")
        for name, root in served.items():
            if wanted in (name.rstrip("/"), root.rstrip("/")):
                return name
        names = storable(" ".join(", ".join(served).split())) or "–"
        raise SamplerError(
            "server_lacks_model", url=self._server.url, model=location, served=names[:1000]
        )

    def _load(self, name: str, folder: str) -> None:
        _verify(Path(folder))
        body = {"lora_name": name, "lora_path": folder}
        try:
            self._server.ask("/v1/load_lora_adapter", body, seconds=SHORT_SECONDS)
        except ServerRefused as refused:
            if refused.code == "server_key":
                raise
            if name in self._served():
                return  # another worker was first
            raise SamplerError(
                "server_lacks_adapter",
                url=self._server.url,
                folder=folder,
                message=f"{refused.status}: {refused.said}",
            ) from refused
        logger.info("the sampling server has loaded %s as %s", folder, name)


def adapter_name(folder: str) -> str:
    """The name under which an adapter is served: by the sum that identifies its checkpoint.

    Servers outlive databases, and serve several: a number would come to mean another adapter.
    """
    return f"rankloop-{_sum(Path(folder) / MANIFEST)[:16]}"


def _verify(folder: Path) -> None:
    """Compare an adapter's files with their sums. Raises SamplerError("checkpoint_corrupt")."""
    manifest = folder / MANIFEST
    try:
        sums = {str(name): str(value) for name, value in json.loads(manifest.read_bytes()).items()}
    except (OSError, ValueError, AttributeError):
        raise _corrupt(manifest, "a JSON object", "something else") from None
    for name, expected in sums.items():
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise _corrupt(manifest, "names within it", name)
        found = _sum(folder / name)
        if found != expected:
            raise _corrupt(folder / name, expected, found)


def _sum(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise _corrupt(path, "a file", error.strerror or str(error)) from error


def _corrupt(path: Path, expected: str, found: str) -> SamplerError:
    return SamplerError("checkpoint_corrupt", path=str(path), expected=expected, found=found)
