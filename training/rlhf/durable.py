"""Files that outlive a crash and are what they were: atomic writes, manifests, full disks.

Knows nothing of what is in them, or of runs, but for the error that ends one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from safetensors import SafetensorError


class RunError(Exception):
    """A run cannot go on. `code` is one of records.ERROR_CODES; the web translates it."""

    def __init__(self, code: str, **values: str | float) -> None:
        self.code = code
        self.values = values
        named = ", ".join(f"{name}={value!r}" for name, value in values.items())
        super().__init__(f"{code}: {named}" if named else code)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or an exceeded quota into RunError("disk_full"), whoever reports it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError("disk_full", path=str(path)) from error
        raise
    except SafetensorError as error:
        if "os error 28" in str(error) or "No space left" in str(error):
            raise RunError("disk_full", path=str(path)) from error
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make the contents of `path` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text`: a reader, or a crash, sees the old file or the new one."""
    with disk_errors(path):
        temporary = path.with_name(f".{path.name}.new")
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path) -> str:
    """Write manifest.json, every file with its sha256, and make all of it durable.

    Returns the sha256 of manifest.json itself, which stands for the whole folder.
    """
    with disk_errors(folder):
        (folder / "manifest.json").unlink(missing_ok=True)
        files = sorted(path for path in folder.rglob("[!.]*") if path.is_file())
        sums = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
        for path in files:
            path.chmod(0o644)  # safetensors makes 0600, which another user's worker cannot read
            sync_file(path)
    write_atomically(folder / "manifest.json", json.dumps(sums, indent=1, sort_keys=True))
    return file_sha256(folder / "manifest.json")


def verify_manifest(folder: Path) -> str | None:
    """Compare a checkpoint with its manifest; its sha256, or None where it has no manifest.

    Raises RunError("checkpoint_corrupt") at the first file that differs or is gone, and for a name
    that leads out of the folder: a manifest may come from anybody, and what a sum says of a file
    elsewhere on this machine is nobody's business.
    """
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return None
    try:
        listed = json.loads(manifest.read_text(encoding="utf-8"))
        sums = {str(name): str(value) for name, value in listed.items()}
    except (ValueError, AttributeError) as error:
        raise RunError(
            "checkpoint_corrupt",
            path=str(manifest),
            expected="a JSON object",
            found="something else",
        ) from error
    for name, expected in sums.items():
        path = folder / name
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise RunError(
                "checkpoint_corrupt", path=str(manifest), expected="names within it", found=name
            )
        found = file_sha256(path) if path.is_file() else None
        if found != expected:
            raise RunError(
                "checkpoint_corrupt",
                path=str(path),
                expected=f"a file of the sum {expected}",
                found=f"one of the sum {found}" if found else "no such file",
            )
    return file_sha256(manifest)
