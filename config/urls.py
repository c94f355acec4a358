"""Every address of the product. Each app lists its own; one noun is one prefix."""

from django.urls import URLPattern, URLResolver, include, path

from config.health import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("health/", health, name="health"),
    path("", include("labeling.urls")),
    path("", include("training.urls")),
    path("api/v1/", include("labeling.api.urls")),
    path("api/v1/", include("training.api.urls")),
]
