"""Only a manager's import writes a file to disk, and none that is too large."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.test import Client
from django.urls import reverse

from labeling import uploads
from labeling.models import Prompt
from tests.factories import make_labeler, make_manager, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def written(monkeypatch, settings) -> list[int]:
    """Sizes of the chunks that reach the disk; small files go there as well."""
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 0
    sizes: list[int] = []
    receive = TemporaryFileUploadHandler.receive_data_chunk

    def noted(self, raw_data, start):
        sizes.append(len(raw_data))
        return receive(self, raw_data, start)

    monkeypatch.setattr(TemporaryFileUploadHandler, "receive_data_chunk", noted)
    return sizes


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def send(client, address, text="One?\nTwo?\n"):
    file = SimpleUploadedFile("a.txt", text.encode())
    return client.post(address, {"kind": "prompts", "format": "", "file": file})


def test_a_manager_imports_through_the_data_folder(written, settings):
    project = make_project()
    answer = send(signed_in(make_manager(project)), reverse("prompt-import", args=[project.slug]))
    assert answer.status_code == 302
    assert written
    assert Prompt.objects.count() == 2
    assert settings.FILE_UPLOAD_TEMP_DIR.parent == settings.DATA_DIR
    assert not list(settings.FILE_UPLOAD_TEMP_DIR.iterdir())


def test_nobody_else_and_no_other_address_gets_a_file_to_disk(written):
    project = make_project()
    here = reverse("prompt-import", args=[project.slug])
    send(Client(), here)
    send(Client(), reverse("sign-in"))
    send(signed_in(make_labeler(project)), here)
    send(signed_in(make_manager(make_project())), here)
    send(signed_in(make_manager(project)), reverse("account"))
    assert not written


def test_a_file_that_is_too_large_is_told_and_removed(written, monkeypatch, settings):
    monkeypatch.setattr(uploads, "MAX_BYTES", 3 * 2**20)
    project = make_project()
    client = signed_in(make_manager(project))
    answer = send(client, reverse("prompt-import", args=[project.slug]), "x" * 4 * 2**20)
    assert answer.status_code == 400
    assert "larger than" in answer.content.decode()
    assert 0 < sum(written) <= 3 * 2**20
    assert not list(settings.FILE_UPLOAD_TEMP_DIR.iterdir())
