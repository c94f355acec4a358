"""Coming in by a link that works once."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling import sign_in_links
from labeling.forms.people import SignInLinkForm
from labeling.people import PasswordRefused

BACKEND = "django.contrib.auth.backends.ModelBackend"


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, secret: str) -> HttpResponse:
    """Whom the link lets in, and a form, since chat programs fetch links; the form uses it up."""
    form = SignInLinkForm(request.POST if request.method == "POST" else None)
    page: dict[str, object] = {"form": form}
    try:
        page["link"] = sign_in_links.find_sign_in_link(secret=secret)
        if form.is_valid():
            user = sign_in_links.use_sign_in_link(secret=secret, **form.cleaned_data)
            login(request, user, backend=BACKEND)
            if form.cleaned_data["password"]:
                done = _("The password is set. Other sessions are signed out.")
                messages.success(request, done)
            return redirect("home")
    except sign_in_links.SignInLinkInvalid as refusal:
        page = {"problem": refusal.message}
        return render(request, "labeling/sign_in_link.html", page, status=refusal.status)
    except PasswordRefused as refusal:
        form.add_error("password", refusal.message)
    status = 400 if form.errors else 200
    return render(request, "labeling/sign_in_link.html", page, status=status)
