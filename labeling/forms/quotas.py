"""A quota as a manager writes it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import RANKERS, Project, Quota, User
from labeling.quotas import MOST

EACH = "each"
TOGETHER = "together"


class QuotaForm(forms.Form):
    """At most so many rankings, of whom, of what, in which time."""

    most = forms.IntegerField(
        label=_("At most"),
        min_value=0,
        max_value=MOST,
        help_text=_("Rankings. What somebody has open already can always be finished."),
    )
    period = forms.ChoiceField(
        label=_("In which time"), choices=Quota.Period.choices, initial=Quota.Period.DAY
    )
    whose = forms.ChoiceField(label=_("Whose"), initial=EACH)
    category = forms.CharField(
        label=_("Category"),
        max_length=60,
        required=False,
        help_text=_("As the prompts name it; empty: all of them together."),
        widget=forms.TextInput(attrs={"list": "categories"}),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        """Offer the people who rank here."""
        super().__init__(*args, **kwargs)
        people = User.objects.filter(
            is_active=True, memberships__project=project, memberships__role__in=RANKERS
        )
        self.people = {str(user.pk): user for user in people.order_by("name", "username")}
        field = self.fields["whose"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [
                (EACH, _("of each labeler")),
                (TOGETHER, _("of all together")),
                *((pk, str(user)) for pk, user in self.people.items()),
            ]

    def wanted(self) -> dict[str, Any]:
        """The verb's arguments."""
        said = self.cleaned_data
        return {
            "most": said["most"],
            "period": said["period"],
            "category": said["category"],
            "labeler": self.people.get(said["whose"]),
            "shared": said["whose"] == TOGETHER,
        }
