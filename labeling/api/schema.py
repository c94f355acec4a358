"""The OpenAPI description and the page to try it, under the strict content policy."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

ERROR = {
    "type": "object",
    "description": "What a refused request gets.",
    "required": ["code", "detail"],
    "properties": {
        "code": {"type": "string", "description": "A word for programs; it does not change."},
        "detail": {"type": "string", "description": "A sentence for people."},
        "field": {"type": "string", "description": "Which part of the body is meant."},
        "errors": {
            "type": "array",
            "items": {"type": "object"},
            "description": "All faults, where there is more than one; rows have an index.",
        },
    },
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped lib
    """Tells the description that requests carry a bearer token."""

    target_class = "labeling.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A bearer token, made on the page “Tokens” of your account."""
        return {"type": "http", "scheme": "bearer"}


class SchemaView(SpectacularAPIView):
    """/api/v1/schema/: JSON; YAML for those who ask for it."""

    renderer_classes = [OpenApiJsonRenderer, OpenApiYamlRenderer]


class DocsView(SpectacularSwaggerSplitView):
    """/api/v1/docs/: every endpoint, to be tried with a token."""

    url_name = "api-schema"
    template_name = "api/docs.html"


def add_errors_and_tags(result: dict[str, Any], **_hook: Any) -> dict[str, Any]:
    """Say in each operation what a refusal looks like, and sort operations by their noun."""
    result["components"].setdefault("schemas", {})["Error"] = ERROR
    refused = {
        "description": "Refused: 400, 401, 403, 404, 409, 413 or 429.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for path, operations in result["paths"].items():
        for operation in operations.values():
            operation["responses"].setdefault("4XX", refused)
            operation["tags"] = [_noun(path)]
    return result


def _noun(path: str) -> str:
    """`/api/v1/projects/{slug}/runs/{id}/` is about runs."""
    parts = path.removeprefix("/api/v1/").strip("/").split("/")
    return parts[2].removesuffix(".jsonl") if len(parts) > 2 else parts[0]
