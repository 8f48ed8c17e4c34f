"""What is wrong with a document, and where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from ..errors import ShareliteError

MOST_FAULTS = 20
#: Rows of a document as their trees, each with its place.
Trees = Iterator[tuple[str, Any]]


class DocumentFault(Struct, frozen=True):
    """One thing that is wrong, and where: `line 7`, `/3/name`."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class DocumentInvalid(ShareliteError):
    """A document that does not fit; nothing of it has been sent."""

    code = "invalid"

    def __init__(self, faults: Sequence[DocumentFault]) -> None:
        self.places = tuple(faults)

    def __str__(self) -> str:
        more = len(self.places) - MOST_FAULTS
        shown = "\n  ".join(map(str, self.places[:MOST_FAULTS]))
        return f"the document does not fit:\n  {shown}" + (f"\n  ... and {more:,} more" if more > 0 else "")
