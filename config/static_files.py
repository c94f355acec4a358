"""Static files in production: compressed, and named by what they hold."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage

IMPORT = (
    r"(?P<matched>import(?s:(?P<import>[\s\{].*?|\*\s*as\s*\w+))"
    r"\s*from\s*\"(?P<url>\./.*?)\";)"
)


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # untyped
    """Our modules import each other by hashed names, too: a page never mixes two versions.

    Django's own switch for this trips over comments in other packages' files, so only js/ is done.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("js/*.js", ((IMPORT, 'import%(import)s from "%(url)s";'),)),
    )
