"""Which base model a project may name: a folder of models, or a model on the hub.

Knows nothing of models: whether one is there and loads is found out by who samples.
"""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def fault_in(name: str) -> str:
    """What is wrong with `name` as a base model, as a sentence; empty if nothing is.

    The data folder holds the secret key, the database and other projects' results: of it, only
    its models/ may be named. Links are followed first. A name that is also a path from where the
    server runs is refused, for it would be read as that folder.
    """
    if not name:
        return ""
    if not name.startswith("/"):
        if HUB_NAME.fullmatch(name) and not Path(name).exists():
            return ""
        return _("Write the whole path of a folder, from / on, or a hub name such as owner/name.")
    folder = Path(name).resolve()
    if not folder.is_dir():
        return _("There is no such folder on this server.")
    data = Path(settings.DATA_DIR).resolve()
    inside = folder.is_relative_to(data) or data.is_relative_to(folder)
    if inside and not folder.is_relative_to(data / "models"):
        return _("A model can't be read from the data folder, except from its folder models.")
    return ""
