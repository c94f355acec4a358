"""The web process never imports torch: every address loads without it."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import config.wsgi
from django.urls import URLResolver, get_resolver

def views(patterns):
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns)
        else:
            yield pattern.callback

found = len(list(views(get_resolver().url_patterns)))
import config.celery
config.celery.app.loader.import_default_modules()
heavy = [name for name in ("torch", "transformers", "peft", "numpy") if name in sys.modules]
print(json.dumps({"views": found, "heavy": heavy}))
"""


def test_all_views_and_tasks_load_without_torch():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["views"] > 50
    assert said["heavy"] == []
