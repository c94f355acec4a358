"""`manage.py default_model`: make the default model ready, so that the first run need not."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training.default_model import ModelNotPrepared, prepare_default_model


class Command(BaseCommand):
    """Prepare the default model in the data folder; does nothing where it is there."""

    help = "Prepare the default model in the data folder; does nothing where it is there."

    def handle(self, *args: Any, **options: Any) -> None:
        """Call the verb and print where the model lies."""
        try:
            folder = prepare_default_model()
        except ModelNotPrepared as error:
            raise CommandError(error.message) from error
        self.stdout.write(str(folder))
