"""One's own account: name, languages, password, API tokens."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone, translation
from django.utils.translation import get_language_from_request
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling import people
from labeling.forms.people import ProfileForm, TokenForm
from labeling.models import User
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, signed_in


@signed_in
@require_http_methods(["GET", "POST"])
def account(request: SignedIn) -> HttpResponse:
    """Name, languages, password. One who came in by a link alone sets a first password here."""
    user = request.user
    which = request.POST.get("form", "")
    profile = User.objects.get(pk=user.pk)  # the page shows what is stored, whatever was sent
    profile_form = ProfileForm(request.POST if which == "profile" else None, instance=profile)
    password_form_class = PasswordChangeForm if user.has_usable_password() else SetPasswordForm
    password_form = password_form_class(user, request.POST if which == "password" else None)
    if which == "profile" and profile_form.is_valid():
        profile.save(update_fields=profile_form.changed_data)
        translation.activate(profile.interface_language or get_language_from_request(request))
        messages.success(request, _("Saved."))
        return redirect("account")
    if which == "password" and password_form.is_valid():
        password_form.save()
        update_session_auth_hash(request, user)
        messages.success(request, _("The password is set. Other sessions are signed out."))
        return redirect("account")
    page = {"profile_form": profile_form, "password_form": password_form}
    status = 400 if profile_form.errors or password_form.errors else 200
    return render(request, "labeling/account.html", page, status=status)


@signed_in
@never_cache
@require_http_methods(["GET", "POST"])
def tokens(request: SignedIn) -> HttpResponse:
    """List; a POST makes a token and shows it, once."""
    form = TokenForm(request.POST or None, user=request.user)
    secret = ""
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        try:
            _token, secret = people.issue_token(
                user=request.user,
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                project=form.cleaned_data["project"],
                expires_at=timezone.now() + timedelta(days=days) if days else None,
            )
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            form = TokenForm(user=request.user)
    page = {
        "form": form,
        "secret": secret,
        "tokens": request.user.tokens.filter(revoked_at=None)
        .select_related("project")
        .order_by("-pk"),
        "now": timezone.now(),
    }
    return render(request, "labeling/tokens.html", page, status=400 if form.errors else 200)


@signed_in
@require_POST
def token_revoke(request: SignedIn, pk: int) -> HttpResponse:
    """The token stops working at once."""
    people.revoke_token(token=get_object_or_404(request.user.tokens, pk=pk))
    messages.success(request, _("The token no longer works."))
    return redirect("tokens")
