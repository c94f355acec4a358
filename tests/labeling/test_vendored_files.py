"""The front-end files we serve are those that were taken in; the lock file pins what they are.

That they are the same as npm's is said by `manage.py vendor --check`, after `npm ci`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "static" / "vendor"


def test_every_vendored_file_has_the_recorded_sum():
    recorded = {
        name: digest
        for digest, name in (
            line.split("  ") for line in (VENDOR / "SHA256SUMS").read_text().splitlines()
        )
    }
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert found == recorded


def test_the_lock_file_pins_what_package_json_names_and_no_registry():
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        locked = lock[f"node_modules/{name}"]
        assert locked["version"] == version
        assert locked["integrity"].startswith("sha512-")
        assert "resolved" not in locked
