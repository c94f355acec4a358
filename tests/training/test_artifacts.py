"""Files in the store: replaced, left where they are the same, whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage

from training import artifacts


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file to be stored."""
    (path := tmp_path / "rows.jsonl").write_text("one\n")
    return path


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, *, after: int = 0) -> None:
    """From the file after the first `after` on nothing can be stored."""
    really_save, left = FileSystemStorage._save, [after]

    def save(self: Any, name: str, content: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", name)
        return really_save(self, name, content)

    monkeypatch.setattr(FileSystemStorage, "_save", save)


def test_other_bytes_replace_what_was_there(written: Path) -> None:
    artifacts.put_file(written, "datasets/replaced.jsonl")
    written.write_text("two\n")
    assert artifacts.put_file(written, "datasets/replaced.jsonl") == "datasets/replaced.jsonl"
    assert artifacts.fetch_file("datasets/replaced.jsonl").read_text() == "two\n"


def test_the_same_bytes_are_not_written_again(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts.put_file(written, "datasets/kept.jsonl")
    fill_the_disk(monkeypatch)
    artifacts.put_file(written, "datasets/kept.jsonl")
    assert artifacts.fetch_file("datasets/kept.jsonl").read_text() == "one\n"


def test_of_a_folder_that_does_not_fit_nothing_stays(
    tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").write_text("many")
    fill_the_disk(monkeypatch, after=1)
    with pytest.raises(OSError, match="No space left"):
        artifacts.put_folder(tmp_path, "checkpoints/partly")
    with pytest.raises(artifacts.ArtifactMissing):
        artifacts.fetch_folder("checkpoints/partly")
