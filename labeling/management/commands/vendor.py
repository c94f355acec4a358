"""Copy the front-end files named below from node_modules into static/vendor, with their sums.

`npm ci --ignore-scripts` first; `--check` compares instead of copying and fails where they differ.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
    "sortable.min.js": "sortablejs/Sortable.min.js",
    "sortable.LICENSE.txt": "sortablejs/LICENSE",
    "uplot.min.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.min.css": "uplot/dist/uPlot.min.css",
    "uplot.LICENSE.txt": "uplot/LICENSE",
}
SUMS = "SHA256SUMS"


def sums_of(folder: Path) -> str:
    """The sums of FILES in `folder`, as `sha256sum --check` reads them."""
    lines = (
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in FILES
    )
    return "\n".join(lines) + "\n"


class Command(BaseCommand):
    help = "Copy the vendored front-end files from node_modules, or compare them with --check."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="compare, copy nothing")

    def handle(self, *, check: bool, **options: object) -> None:
        packages = settings.BASE_DIR / "node_modules"
        vendor = settings.BASE_DIR / "static" / "vendor"
        for name, path in FILES.items():
            source = packages / path
            if not source.is_file():
                raise CommandError(f"{source} is missing: run `npm ci --ignore-scripts` first.")
            if not check:
                (vendor / name).write_bytes(source.read_bytes())
            elif (vendor / name).read_bytes() != source.read_bytes():
                raise CommandError(f"static/vendor/{name} differs from {path}.")
        if not check:
            (vendor / SUMS).write_text(sums_of(vendor))
        self.stdout.write(f"{len(FILES)} files {'match' if check else 'copied'}.")
