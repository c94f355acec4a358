"""Peers' packages, each in a folder of its own beside our environment's torch and transformers.

So both sides compute with the same libraries. Knows nothing of what is measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.report import ROOT

PEERS = ROOT / "benchmarks" / ".peers"

PPO = "trl==1.12.0"
"""The last release with a PPO trainer."""
NEWEST = "trl==1.16.0"


def peer_folder(requirement: str) -> Path:
    """The folder that holds one pinned package and nothing else; installed at the first call."""
    folder = PEERS / requirement.replace("==", "-")
    if folder.is_dir():
        return folder
    sys.stderr.write(f"Installing {requirement}…\n")
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "install"),
        *("--no-deps", "--target", str(unfinished), requirement),
    ]
    subprocess.run(command, check=True)
    unfinished.rename(folder)
    return folder


def peer_environment(requirement: str) -> dict[str, str]:
    """The environment for a process that imports the peer; nothing is asked of the network."""
    path = os.pathsep.join([str(peer_folder(requirement)), str(ROOT)])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "HF_HUB_OFFLINE": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
