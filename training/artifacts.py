"""The one way in which checkpoints and datasets move: Django's storage "artifacts".

A name is a path like "checkpoints/12"; a folder is its files under that name. Where the storage is
a folder on this machine nothing is copied to read it; elsewhere files are fetched into a cache.
Knows nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages


class ArtifactMissing(Exception):  # noqa: N818  # named for what a caller says of it
    """The store has no such file. `name` says which."""

    def __init__(self, name: str) -> None:
        """Keep the name."""
        self.name = name
        super().__init__(name)


def store() -> Storage:
    """The configured storage."""
    return storages["artifacts"]


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put_file(path: Path, name: str) -> str:
    """Store a file under `name`, replacing what was there. Raises OSError, for a full disk too.

    The same bytes are left where they are: runs may be reading them, and the disk may be too full
    to write them again.
    """
    where = store()
    if where.exists(name):
        if _holds(where, name, path):
            return name
        where.delete(name)
    with path.open("rb") as stream:
        return where.save(name, File(stream))


def _holds(where: Storage, name: str, path: Path) -> bool:
    """Whether the file stored as `name` has the bytes of the one at `path`."""
    if where.size(name) != path.stat().st_size:
        return False
    with where.open(name) as stored:
        return hashlib.file_digest(stored, "sha256").hexdigest() == file_sha256(path)


def put_folder(folder: Path, name: str) -> str:
    """Store every file of `folder` under `name`/…, replacing what was there.

    All of them or, where one can't be stored, none. Raises OSError, for a full disk too.
    """
    remove_folder(name)
    try:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            put_file(path, f"{name}/{path.relative_to(folder).as_posix()}")
    except OSError:
        remove_folder(name)
        raise
    return name


def fetch_file(name: str) -> Path:
    """A path on this machine that holds the file. Raises ArtifactMissing."""
    where = store()
    if not where.exists(name):
        raise ArtifactMissing(name)
    try:
        return Path(where.path(name))
    except NotImplementedError:
        return _cached_file(name)


def fetch_folder(name: str) -> Path:
    """A folder on this machine with all files of `name`. Raises ArtifactMissing."""
    where = store()
    try:
        folder = Path(where.path(name))
    except NotImplementedError:
        folder = _cache() / name
        for file in _files(name):
            _cached_file(file)
    if not folder.is_dir():
        raise ArtifactMissing(name)
    return folder


def remove_folder(name: str) -> None:
    """Remove what is stored under `name`; nothing is done where nothing is there."""
    where = store()
    try:
        shutil.rmtree(where.path(name), ignore_errors=True)
    except NotImplementedError:
        for file in _files(name):
            where.delete(file)
    shutil.rmtree(_cache() / name, ignore_errors=True)


def _files(name: str) -> list[str]:
    """Every file stored under `name`, with its whole name."""
    try:
        folders, files = store().listdir(name)
    except FileNotFoundError:
        return []
    found = [f"{name}/{file}" for file in files]
    for folder in folders:
        found += _files(f"{name}/{folder}")
    return found


def _cache() -> Path:
    return Path(settings.DATA_DIR) / "cache" / "artifacts"


def _cached_file(name: str) -> Path:
    """Copy a file into the cache unless it is there; whole or not at all."""
    path = _cache() / name
    if path.is_file() and path.stat().st_size == store().size(name):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        copied = Path(folder) / path.name
        with store().open(name) as source, copied.open("wb") as target:
            shutil.copyfileobj(source, target)
        copied.replace(path)
    return path
