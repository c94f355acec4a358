"""Print the names that pyproject.toml asks for, one a line: `python config/requirements.py GROUP…`.

The Makefile, the Dockerfile and .ci/run give them to pip together with constraints.txt, which pins
each version in one place. Runs before anything is installed, so only the standard library is here.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def names(groups: list[str]) -> list[str]:
    """The product's own dependencies and those of these optional groups."""
    text = Path(__file__).resolve().parent.parent.joinpath("pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    found: list[str] = list(project["dependencies"])
    for group in groups:
        found += project["optional-dependencies"][group]
    return found


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}\n" for name in names(sys.argv[1:])))
