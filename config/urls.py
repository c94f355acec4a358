"""Every address of the product. Each app lists its own; one noun is one prefix."""

from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from config.health import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("health/", health, name="health"),
    path("language/", require_POST(set_language), name="set-language"),
    path("", include("labeling.urls")),
    path("", include("training.urls")),
    path("api/v1/", include("labeling.api.urls")),
    path("api/v1/", include("training.api.urls")),
]
