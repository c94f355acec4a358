"""Files of prompts, demonstrations and texts: taken in whole or not at all, in constant memory.

A file is read twice: first every line is checked and nothing is written, then its rows are stored
in batches under an Import row that keeps them invisible until it is committed. So a broken line
costs no write, and an import that is interrupted is undone by the next one. Fields that nobody
knows are passed over, and named. Prompts that say nearly the same as another one are taken in and
pointed out.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import PurePath
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.demonstrations import (
    new_demonstration,
    store_demonstrations,
    unused_in_demonstration,
)
from labeling.formats import csv, jsonl, text
from labeling.formats.lines import Problem, Row
from labeling.models import (
    Demonstration,
    Import,
    ImportNear,
    ImportProblem,
    Project,
    Prompt,
    Text,
    User,
)
from labeling.near_duplicates import NearPair, near_in_import
from labeling.projects import refuse_archived
from labeling.prompts import (
    BATCH,
    FIELD_LENGTH,
    MAX_UNUSED,
    PromptRefused,
    field_name,
    new_prompt,
    store_batch,
    unused_in_prompt,
)
from labeling.refusals import Refusal
from labeling.texts import new_text, store_texts, unused_in_text

Reader = Callable[[BinaryIO], Iterator[Row | Problem]]
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv", ".txt": "text"}
MAX_BYTES = 4 * 2**30
MAX_PROBLEMS = 100
"""So many are kept; then the reading stops."""
MAX_NEAR = 20
"""So many pairs of prompts that say nearly the same are shown; all of them are counted."""
ABANDONED_AFTER = timedelta(minutes=5)
"""An import gives a sign of life with each batch; silent for so long, it was interrupted."""


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What a file can hold: how its rows are read, checked and stored."""

    readers: Mapping[str, Reader]
    """By the name of the format."""
    make: Callable[[Mapping[str, object]], Any]
    """A row as it came to one that can be stored. Raises PromptRefused."""
    unused_in: Callable[[Mapping[str, object]], list[str]]
    store: Callable[[Import, Sequence[Any]], int]
    """Stores one batch of an import's rows; how many were new."""


ROWS: dict[str, Reader] = {"jsonl": jsonl.read, "csv": csv.read}
KINDS: dict[str, _Kind] = {
    Import.Kind.PROMPTS: _Kind(
        readers=ROWS | {"text": text.read},
        make=new_prompt,
        unused_in=unused_in_prompt,
        store=lambda row, batch: store_batch(
            project=row.project, batch=batch, by=row.created_by, imported=row
        ),
    ),
    Import.Kind.DEMONSTRATIONS: _Kind(
        readers=ROWS,
        make=new_demonstration,
        unused_in=unused_in_demonstration,
        store=lambda row, batch: store_demonstrations(
            project=row.project, batch=batch, by=row.created_by, imported=row
        ),
    ),
    Import.Kind.TEXTS: _Kind(
        readers={
            "jsonl": jsonl.read,
            "csv": partial(csv.read, needs="text"),
            "text": text.read_texts,
        },
        make=new_text,
        unused_in=unused_in_text,
        store=lambda row, batch: store_texts(project=row.project, batch=batch, imported=row),
    ),
}


class ImportRunning(Refusal):
    """A project takes in one file at a time."""

    code = "import_running"
    sentence = gettext_lazy(
        "Another file is being imported into this project. Wait until it is done, then try again."
    )


class FileRefused(Refusal):
    """The file as a whole can't be taken."""

    code = "file_refused"
    status = 400


@dataclass
class _Job:
    """An import under way."""

    row: Import
    file: BinaryIO
    read: Reader
    kind: _Kind
    unused: dict[str, int] = field(default_factory=dict)
    """Fields of which nothing was made, each with the line that had it first."""

    def parsed(self) -> Iterator[tuple[int, Any] | Problem]:
        """The file's rows from its beginning, each checked."""
        self.file.seek(0)
        for found in self.read(self.file):
            if isinstance(found, Problem):
                yield found
                continue
            try:
                made = self.kind.make(found.values)
            except PromptRefused as refusal:
                yield Problem(found.line, refusal.message, refusal.field)
            else:
                self._note(found.line, self.kind.unused_in(found.values))
                yield found.line, made

    def _note(self, line: int, unused: Sequence[str]) -> None:
        """Keep the names of fields that were not used, as they can be stored."""
        for name in unused:
            if name and name not in self.unused and len(self.unused) < MAX_UNUSED:
                self.unused.setdefault(field_name(name), line)


def format_of(file_name: str) -> str:
    """The format that a file's name tells. Raises FileRefused."""
    found = SUFFIXES.get(PurePath(file_name).suffix.lower())
    if found is None:
        raise FileRefused(_("Choose a format: the file's name ends in none of .jsonl, .csv, .txt."))
    return found


def import_file(
    *,
    project: Project,
    kind: Import.Kind | str,
    format: str,  # noqa: A002  # the word of the page and the column
    file: BinaryIO,
    file_name: str = "",
    by: User | None = None,
) -> Import:
    """Take a file in, whole or not at all. Its state is then COMMITTED, or REFUSED with `problems`.

    file: bytes, read from the beginning, twice; one that can't seek is copied to disk first.
    format: "jsonl", "csv" or "text". Raises FileRefused, ImportRunning, ProjectArchived.
    """
    refuse_archived(project)
    wanted = KINDS[Import.Kind(kind)]
    reader = wanted.readers.get(format)
    if reader is None and format == "text":
        raise FileRefused(_("Plain text has no place for answers; use JSONL or CSV."))
    if reader is None:
        raise FileRefused(_("This format is not known; choose jsonl, csv or text."))
    clear_abandoned(project=project)
    with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as spare:
        held = _seekable(file, cast("BinaryIO", spare))
        try:
            with transaction.atomic():
                row = Import.objects.create(
                    project=project,
                    kind=Import.Kind(kind),
                    format=format,
                    file_name=(file_name or str(getattr(file, "name", "") or _("a file")))[-255:],
                    created_by=by,
                )
        except IntegrityError as error:
            raise ImportRunning from error
        try:
            return _take_in(_Job(row, held, reader, wanted))
        except BaseException:
            undo_import(imported=row)
            raise


def _seekable(file: BinaryIO, spare: BinaryIO) -> BinaryIO:
    """`file`, or a copy of it on disk where it can be read only once. Raises FileRefused."""
    if not file.seekable():
        shutil.copyfileobj(file, spare, 2**20)
        file = spare
    if file.seek(0, 2) > MAX_BYTES:
        raise too_large()
    return file


def too_large() -> FileRefused:
    """What is said of a file of more than MAX_BYTES."""
    return FileRefused(_("The file is larger than %d GiB; split it.") % (MAX_BYTES // 2**30))


def _take_in(job: _Job) -> Import:
    """Check, store, look for what says nearly the same, commit."""
    problems = list(islice(_problems(job), MAX_PROBLEMS))
    if problems:
        return _refuse(job.row, problems)
    total = added = near = 0
    rows = (item[1] for item in job.parsed() if not isinstance(item, Problem))
    while batch := list(islice(rows, BATCH)):
        with transaction.atomic():
            _sign_of_life(job.row)
            added += job.kind.store(job.row, batch)
        total += len(batch)
    for pairs in near_in_import(job.row):
        with transaction.atomic():
            _sign_of_life(job.row)
            _point_out(job.row, pairs[: max(MAX_NEAR - near, 0)])
        near += len(pairs)
    notes = [Problem(line, _("is not used"), name) for name, line in job.unused.items()]
    with transaction.atomic():
        committed = Import.objects.filter(pk=job.row.pk, state=Import.State.RUNNING).update(
            state=Import.State.COMMITTED,
            committed_at=Now(),
            rows=added,
            duplicates=total - added,
            near_duplicates=near,
        )
        if not committed:
            raise FileRefused(_("The import was interrupted. Upload the file again."))
        _keep(job.row, notes)
    job.row.refresh_from_db()
    return job.row


def _problems(job: _Job) -> Iterator[Problem]:
    """What is wrong with the file."""
    number = 0
    wrong = False
    for number, item in enumerate(job.parsed(), 1):
        if number % 10_000 == 0:
            _sign_of_life(job.row)
        if isinstance(item, Problem):
            wrong = True
            yield item
    if not number and not wrong:
        yield Problem(1, _("the file holds no rows"))


def _sign_of_life(row: Import) -> None:
    """Say that it goes on. Raises FileRefused if it was given up meanwhile."""
    running = Import.objects.filter(pk=row.pk, state=Import.State.RUNNING)
    if not running.update(renewed_at=Now()):
        raise FileRefused(_("The import was interrupted. Upload the file again."))


def _point_out(row: Import, pairs: Sequence[NearPair]) -> None:
    """Keep pairs that say nearly the same, to be shown."""
    ImportNear.objects.bulk_create(
        ImportNear(imported=row, prompt_id=pair.prompt, beside_id=pair.beside, percent=pair.percent)
        for pair in pairs
    )


def _refuse(row: Import, problems: Sequence[Problem]) -> Import:
    """Keep what was wrong; nothing else was written."""
    with transaction.atomic():
        _keep(row, problems)
        Import.objects.filter(pk=row.pk).update(state=Import.State.REFUSED)
    row.refresh_from_db()
    return row


def _keep(row: Import, problems: Sequence[Problem]) -> None:
    """Store what there is to say of the file's lines."""
    ImportProblem.objects.bulk_create(
        ImportProblem(
            imported=row,
            line=problem.line,
            field=problem.field[:FIELD_LENGTH],
            message=problem.message[:500],
        )
        for problem in problems
    )


def clear_abandoned(*, project: Project) -> int:
    """Undo imports that were interrupted (the server was killed); how many."""
    silent = Import.objects.filter(
        project=project,
        state=Import.State.RUNNING,
        renewed_at__lt=timezone.now() - ABANDONED_AFTER,
    )
    abandoned = list(silent)
    for row in abandoned:
        undo_import(imported=row)
    return len(abandoned)


def undo_import(*, imported: Import) -> None:
    """Remove what an import that is not committed has stored, in batches, and mark it refused."""
    running = Import.objects.filter(pk=imported.pk, state=Import.State.RUNNING)
    if not running.update(state=Import.State.REFUSED):
        return
    message = _("the import was interrupted; nothing was kept; upload the file again")
    ImportProblem.objects.create(imported=imported, line=0, message=message)
    for rows in (
        Demonstration.objects.filter(imported=imported),
        Prompt.objects.filter(imported=imported),
        Text.objects.filter(imported=imported),
    ):
        while ids := list(rows.values_list("pk", flat=True)[:BATCH]):
            rows.filter(pk__in=ids).delete()
    imported.refresh_from_db()
