"""A form that was sent when the session had ended: kept in the sign-in page, and sent again after.

So nothing that somebody entered is lost where scripts are off. Knows nothing of what is in it.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render, resolve_url

PREFIX = "kept-"
Fields = list[tuple[str, str]]


def sign_in_and_keep(request: HttpRequest) -> HttpResponse:
    """The sign-in page (401) with what was posted in it; led there where nothing is to be kept."""
    fields = _worth_keeping(request.POST)
    if not fields:
        return redirect_to_login(resolve_url("home"))
    page = {
        "form": AuthenticationForm(request),
        "next": request.get_full_path(),
        "kept": fields,
    }
    return render(request, "labeling/sign_in.html", page, status=401)


def _worth_keeping(posted: QueryDict) -> Fields:
    """What was posted, all or nothing: secrets are never written into a page."""
    fields = [
        (name, str(value))
        for name, values in posted.lists()
        if name != "csrfmiddlewaretoken"
        for value in values
    ]
    return [] if any("password" in name for name, _ in fields) else fields


class SignIn(LoginView):
    """The sign-in page. A form that it keeps comes back afterwards, with a button to send it."""

    template_name = "labeling/sign_in.html"
    redirect_authenticated_user = True

    @property
    def kept(self) -> Fields:
        """The fields of the kept form; none where there is no such form."""
        return [
            (name.removeprefix(PREFIX), str(value))
            for name, values in self.request.POST.lists()
            if name.startswith(PREFIX)
            for value in values
        ]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Somebody who came in by another tab meanwhile only needs the button."""
        if request.user.is_authenticated and self.kept:
            return self._send_again()
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in; then the kept form, or where one was."""
        answer = super().form_valid(form)
        return self._send_again() if self.kept else answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """A wrong password loses no kept form."""
        return super().get_context_data(**kwargs) | {"kept": self.kept}

    def _send_again(self) -> HttpResponse:
        page = {"kept": self.kept, "address": self.get_success_url()}
        return render(self.request, "labeling/send_again.html", page)
