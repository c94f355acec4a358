"""The app's entry in INSTALLED_APPS."""

from django.apps import AppConfig
from django.urls import register_converter
from django.utils.translation import gettext_lazy as _

from labeling.hidden_numbers import HiddenAssignment


class LabelingConfig(AppConfig):
    """People, prompts, completions, slates, assignments, rankings."""

    name = "labeling"
    verbose_name = _("Labeling")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Both pages and REST have addresses of slots, whichever are read first."""
        register_converter(HiddenAssignment, "assignment")
