"""Coming in: by password, or by a link that works once."""

from __future__ import annotations

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling import people
from labeling.refusals import Refusal

BACKEND = "django.contrib.auth.backends.ModelBackend"


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, secret: str) -> HttpResponse:
    """A page with one button, since chat programs fetch links; the button uses the link up."""
    if request.method != "POST":
        return render(request, "labeling/sign_in_link.html")
    try:
        user = people.use_sign_in_link(secret=secret)
    except Refusal as refusal:
        page = {"problem": refusal.message}
        return render(request, "labeling/sign_in_link.html", page, status=refusal.status)
    login(request, user, backend=BACKEND)
    return redirect("home")
