"""Invitations, accounts and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, Role, User
from labeling.people import SCOPES
from labeling.reading import LanguagesRefused, checked_languages

SCOPE_LABELS = {
    "read": _("read: take projects, rankings and preferences out"),
    "write": _("write: add prompts, submit rankings"),
    "train": _("train: start and cancel runs, deploy"),
}


class InvitationForm(forms.Form):
    """Whom to invite, and as what."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.LABELER)
    note = forms.CharField(
        label=_("For whom"),
        max_length=200,
        required=False,
        help_text=_("Only you see this: it tells the links apart."),
    )


class AcceptForm(forms.Form):
    """A new account, made by an invitation."""

    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        help_text=_("As your colleagues will see it. Exported data show a random pseudonym."),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        help_text=_("What you sign in with."),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    password = forms.CharField(
        label=_("Password"),
        help_text=_("At least 8 characters, not a common word, not only digits."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
    )


class SignInLinkForm(forms.Form):
    """What somebody who comes in by a one-time link may set on the way."""

    password = forms.CharField(
        label=_("New password"),
        required=False,
        help_text=_(
            "At least 8 characters, not a common word, not only digits. Empty: nothing changes."
        ),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
    )


class ProfileForm(forms.ModelForm[User] if TYPE_CHECKING else forms.ModelForm):  # type: ignore[misc]  # generic for the type checker alone
    """What a person says of themselves."""

    name = forms.CharField(
        label=_("Name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    interface_language = forms.ChoiceField(
        label=_("Language of the pages"),
        required=False,
        choices=[("", _("As the browser asks")), *settings.LANGUAGES],
    )

    class Meta:
        model = User
        fields = ("name", "languages", "interface_language")
        help_texts = {
            "languages": _(
                "Codes with spaces between, for example “en zh”. You get prompts in these, and "
                "those that have no language. Empty: any."
            )
        }
        widgets = {
            "languages": forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"})
        }

    def clean_languages(self) -> str:
        """As they are stored."""
        try:
            return checked_languages(self.cleaned_data["languages"])
        except LanguagesRefused as refusal:
            raise forms.ValidationError(refusal.message) from refusal


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(
        label=_("What it is for"),
        max_length=100,
        widget=forms.TextInput(attrs={"placeholder": _("nightly export")}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=[(scope, SCOPE_LABELS[scope]) for scope in SCOPES],
        initial=["read"],
        widget=forms.CheckboxSelectMultiple,
    )
    project = forms.ModelChoiceField(
        label=_("Only in one project"),
        queryset=Project.objects.none(),
        required=False,
        empty_label=_("All projects I see"),
    )
    days = forms.TypedChoiceField(
        label=_("Expires"),
        choices=[
            (30, _("in 30 days")),
            (90, _("in 90 days")),
            (365, _("in a year")),
            (0, _("never")),
        ],
        initial=90,
        coerce=int,
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["project"]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = Project.objects.visible_to(user).open()


class RoleForm(forms.Form):
    """A member's role."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)
