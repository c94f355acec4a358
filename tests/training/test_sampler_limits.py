"""A sampling process that says nothing is not waited for without end; a batch is a sign of life."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from labeling.completions import waiting_requests
from labeling.models import Project
from tests import factories
from training import sampler, sampling
from training.errors import explain
from training.models import Device


def test_a_process_that_gives_no_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    monkeypatch.setattr(sampler, "trainer_command", lambda *_words: silent)
    monkeypatch.setattr(sampler, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(sampler, "LOAD_LIMIT", 0.3)
    one = sampler.Sampler("test:cpu")
    with pytest.raises(sampler.SamplerError) as failure:
        one.sample(
            base="m", adapter=None, prompts=[], samples=1, max_new_tokens=1, temperature=1, seed=1
        )
    assert failure.value.code == "sampler_silent"
    assert "no answer" in explain(failure.value.code, failure.value.values)
    assert not one.running


def test_it_is_seen_during_a_batch(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    filler = sampling.Filler(threading.Event())
    factories.make_prompt(project)
    sampling.ask_for_stock(project)

    def sample(_sampler: object, **what: Any) -> list[Any]:
        what["meanwhile"]()
        return []

    monkeypatch.setattr(sampler.Sampler, "sample", sample)
    monkeypatch.setattr(sampling, "checkpoint_location", lambda _checkpoint: "folder")
    filler._fulfil(list(waiting_requests(project)))
    assert Device.objects.filter(sampler_seen_at__isnull=False).exists()
