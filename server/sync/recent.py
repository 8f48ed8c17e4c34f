"""When rows were last touched, as far back as `since` expectations may ask (SPEC M9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..model import EncodedCommit, Key
from .wire import decode_commit

#: Versions, and bytes of commits, that may be looked back; what is older counts as touched.
MOST_VERSIONS = 10_000
MOST_BYTES = 64 << 20
#: Rows that stay known from one batch to the next.
KEPT = 100_000


class Recent:
    """The log's own commits, read once and kept: a thousand expectations cost what one does. Worker thread only.

    `read(after)`: some commits after a version, none at the end.
    """

    def __init__(self, read: Callable[[int], Sequence[EncodedCommit]]) -> None:
        self._read = read
        self._last: dict[tuple[str, Key], int] = {}
        self._from = self._to = 0
        self._too_far = 0

    def touched(self, table: str, key: Key, since: int, version: int) -> bool:
        """Whether a commit after `since`, up to the project's present version, touched the row, or may have."""
        if since < max(version - MOST_VERSIONS, self._too_far):
            return True
        if not self._last or since < self._from:
            self._last, self._from, self._to = {}, since, since
        return not self._follow(version) or self._last.get((table, key), 0) > since

    def trim(self) -> None:
        """Between batches: keep no more than is worth it."""
        if len(self._last) > KEPT:
            self._last = {}

    def _follow(self, version: int) -> bool:
        """Take in what came since the last time; False if that is too much."""
        size = 0
        while self._to < version and (found := self._read(self._to)):
            for commit in found:
                for change in decode_commit(commit.json).changes:
                    self._last[change.table, change.key] = commit.version
            self._to = found[-1].version
            size += sum(len(commit.json) for commit in found)
            if size > MOST_BYTES:
                self._last, self._too_far = {}, self._to
                return False
        return True
