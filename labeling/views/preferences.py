"""Preferences as a file, for whoever reads a project: what the REST API gives, without a token."""

from __future__ import annotations

from django.http import Http404, HttpResponseBase
from django.views.decorators.http import require_GET

from labeling import comparisons
from labeling.downloads import download
from labeling.formats.preferences import FORMS
from labeling.models import READERS
from labeling.views.access import SignedIn, project_for, signed_in


@signed_in
@require_GET
def preferences_jsonl(request: SignedIn, slug: str) -> HttpResponseBase:
    """The training rankings that stand now; `?form=` is one of FORMS."""
    project = project_for(request, slug, *READERS)
    form = request.GET.get("form", "pairs")
    if form not in FORMS:
        raise Http404
    rankings = comparisons.exportable(project=project)
    lines = FORMS[form](comparisons.ranked_slates(rankings))
    return download(lines, name=f"{project.slug}-{form}.jsonl")
