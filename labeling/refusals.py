"""Why a verb says no: one class a reason, a code for programs, a sentence for people.

Knows nothing of HTTP but the status that fits; views and endpoints turn a refusal into a page or
a JSON answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class Refusal(Exception):  # noqa: N818  # a refusal is an answer, not an error of the program
    """A verb did not do what was asked, and changed nothing unless its sentence says so.

    `code` is stable and for programs, `message` is translated at the moment of raising,
    `status` is the HTTP status that fits.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 409
    sentence: ClassVar[str | StrPromise] = _("That can't be done.")

    def __init__(self, sentence: str | StrPromise | None = None, **values: object) -> None:
        """Fill `sentence` (the class's own where None) with `values` in the active language."""
        text = str(self.sentence if sentence is None else sentence)
        self.values = values
        self.message = text % values if values else text
        super().__init__(self.message)
