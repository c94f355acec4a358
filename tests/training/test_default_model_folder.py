"""The default model: found where it is, told where it can't be made."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from training import default_model


def test_what_is_there_is_not_made_again(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data_dir / "models" / default_model.FOLDER
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    assert default_model.base_location("") == str(folder)
    call_command("default_model")
    assert capsys.readouterr().out.strip() == str(folder)
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


def test_a_named_model_needs_no_default(data_dir: Path) -> None:
    assert default_model.base_location("/models/mine") == "/models/mine"
    assert not (data_dir / "models").exists()


def test_a_model_that_cannot_be_made_says_why(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # the trainer is then not found
    with pytest.raises(default_model.ModelNotPrepared) as failure:
        default_model.prepare_default_model()
    assert failure.value.message
    assert not default_model.default_folder().exists()
