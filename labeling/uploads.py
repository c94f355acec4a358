"""Which files are let in at all, decided before their first byte is written to disk."""

from __future__ import annotations

from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest

from labeling.imports import MAX_BYTES
from labeling.models import Project, Role, User

IMPORT_ADDRESS = "prompt-import"
"""The one address that takes files."""


class Gate(FileUploadHandler):
    """Stands before Django's own handlers: files come in only where a manager imports one.

    Anything else, a second file, and a file of more than MAX_BYTES end the reading at once: what
    was spooled is removed, and the form comes without the file. `too_large(request)` tells.
    """

    def new_file(self, *args: object, **kwargs: object) -> None:
        """Let the file in, or stop. Raises StopUpload."""
        if self.file_name is not None or not _may_upload(self.request):
            raise StopUpload(connection_reset=True)
        super().new_file(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they came

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Hand the chunk on. Raises StopUpload beyond the largest file."""
        if start + len(raw_data) > MAX_BYTES:
            if self.request is not None:
                self.request.META["labeling.too_large"] = True
            raise StopUpload(connection_reset=True)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Leave the file to the next handler."""


def too_large(request: HttpRequest) -> bool:
    """Whether a file was refused for its size."""
    return "labeling.too_large" in request.META


def _may_upload(request: HttpRequest | None) -> bool:
    """Whether this request is a manager's import."""
    if request is None or request.resolver_match is None:
        return False
    match = request.resolver_match
    user = getattr(request, "user", None)
    if match.url_name != IMPORT_ADDRESS or not isinstance(user, User):
        return False
    projects = Project.objects.visible_to(user, Role.MANAGER)
    return projects.filter(slug=match.kwargs["slug"]).exists()
