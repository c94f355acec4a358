"""The translations, gathered from code and templates, checked, compiled: `make messages`.

Needs Babel, but no gettext of the system's, so that it is the same everywhere. The compiled files
are kept beside the sources: a fresh checkout speaks every language.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from training.configs import CONFIGS
from training.configs.notes import notes_of

ROOT = Path(__file__).resolve().parent.parent
CODE = ("config", "labeling", "training")
LANGUAGES = ("zh_Hans",)
KEYWORDS: dict[str, tuple[int, ...] | tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "_lazy": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
PLACEHOLDER = re.compile(r"%\((\w+)\)[a-z]")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "# {language} of Rankloop. `make messages` gathers what is to be translated."


def gathered() -> Catalog:
    """Every string of code and templates that is marked for translation, and the configs' notes."""
    found = Catalog(charset="utf-8")
    for path, source in _sources():
        rows = extract(
            "python", io.BytesIO(source.encode()), keywords=KEYWORDS, comment_tags=("Translators:",)
        )
        for _line, message, comments, context in rows:
            name = path.relative_to(ROOT).as_posix()
            found.add(message, locations=[(name, 0)], auto_comments=comments, context=context)
    for recipe in CONFIGS:
        for note in notes_of(recipe).values():
            found.add(note, locations=[("training/configs/notes.py", 0)])
    return found


def _sources() -> Iterator[tuple[Path, str]]:
    """Python files as they are, templates in the form of Python that Django makes of them."""
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts and path != Path(__file__):
                yield path, path.read_text("utf-8")
    for path in sorted((ROOT / "templates").rglob("*.html")):
        python = templatize(path.read_text("utf-8"), origin=str(path))
        # What is no string is blanked by letters, which needs no indentation.
        yield path, "\n".join(line.strip() for line in python.splitlines())


def po_path(language: str) -> Path:
    """Where a language's strings stand."""
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    """What is translated; empty where the language is new."""
    path = po_path(language)
    if not path.exists():
        return Catalog(locale=language, charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def update(language: str) -> Catalog:
    """The language's catalogue with the strings of today: new ones empty, old ones gone."""
    catalog = read(language)
    catalog.update(gathered(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.header_comment = HEADER.format(language=language)
    catalog.fuzzy = False
    return catalog


def write(language: str, catalog: Catalog) -> None:
    """Both forms of it."""
    path = po_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_po(catalog))
    path.with_suffix(".mo").write_bytes(as_mo(catalog))


def as_po(catalog: Catalog) -> bytes:
    """Without line numbers and dates: they would change with every commit."""
    file = io.BytesIO()
    write_po(file, catalog, width=100, sort_by_file=True, include_lineno=False)
    lines = file.getvalue().splitlines(keepends=True)
    return b"".join(line for line in lines if b"-Date:" not in line)


def as_mo(catalog: Catalog) -> bytes:
    """As Django reads it, the same whenever it is made."""
    catalog.creation_date = catalog.revision_date = EPOCH
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def faults(language: str) -> list[str]:
    """What is missing, or would break a page: a sentence each."""
    catalog = read(language)
    found = [
        f"{language}: not in the catalogue: {message.id!r}"
        for message in gathered()
        if message.id and catalog.get(message.id, message.context) is None
    ]
    found += [fault for message in catalog if message.id for fault in _faults_of(language, message)]
    path = po_path(language).with_suffix(".mo")
    if not path.exists() or path.read_bytes() != as_mo(catalog):
        found.append(f"{language}: the compiled file is an older one")
    return found


def _faults_of(language: str, message: Message) -> Iterator[str]:
    """An empty translation, or one with other placeholders."""
    ids = [message.id] if isinstance(message.id, str) else list(message.id)
    texts = [message.string] if isinstance(message.string, str) else list(message.string or [""])
    if not all(texts):
        yield f"{language}: not translated: {ids[0]!r}"
        return
    wanted = set(PLACEHOLDER.findall(ids[-1]))
    for text in texts:
        if set(PLACEHOLDER.findall(text)) != wanted:
            yield f"{language}: other placeholders in the translation of {ids[0]!r}"


def main(arguments: list[str] | None = None) -> int:
    """Gather and compile, or with --check only say what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail with a list")
    check = parser.parse_args(arguments).check
    warnings.simplefilter("ignore")
    say: Callable[[str], object] = sys.stdout.write
    for language in () if check else LANGUAGES:
        write(language, update(language))
    found = [fault for language in LANGUAGES for fault in faults(language)]
    for fault in found:
        say(f"{fault}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
