"""Neither the web process nor a worker ever loads torch."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "peft", "numpy", "accelerate")


def loaded_after(code: str) -> set[str]:
    """Which of the heavy modules a fresh process has loaded after `code`."""
    program = f"import sys\n{code}\nprint(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return {name for name in result.stdout.strip().splitlines()[-1:] if name}


def test_the_web_loads_every_address_without_torch() -> None:
    code = """
import config.wsgi
from django.urls import get_resolver
def walk(patterns):
    for pattern in patterns:
        getattr(pattern, "callback", None)
        walk(getattr(pattern, "url_patterns", []))
walk(get_resolver().url_patterns)
"""
    assert loaded_after(code) == set()


def test_a_worker_loads_its_tasks_without_torch() -> None:
    code = """
import django
from config.celery import app
django.setup()
app.loader.import_default_modules()
assert "training.tasks.train" in app.tasks, sorted(app.tasks)
assert "training.tasks.sample" in app.tasks
assert "training.tasks.tick" in app.tasks
"""
    assert loaded_after(code) == set()
