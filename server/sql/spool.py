"""Rows on their way from a reader, which must not wait, to somebody who may be slow.

The read transaction is as long as the query, never as long as the connection of whoever asked. What does not go out
fast enough waits in memory, then in a file without a name.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from typing import IO

from ..errors import Refused, ShareliteError, Unavailable

MEMORY = 8 << 20
MOST_BYTES = 4 << 30


class Abandoned(ShareliteError):
    """Nobody takes the rows any more."""

    def __str__(self) -> str:
        return "whoever asked is gone"


class Spool:
    """`put` on a reader's thread, which is when `wake` is called; `take` and `abandon` on the event loop's."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._parts: deque[bytes | tuple[int, int]] = deque()
        self._held = self._written = self._size = 0
        self._file: IO[bytes] | None = None
        self._abandoned = False
        self._stop: Callable[[str], None] | None = None

    def put(self, data: bytes) -> None:
        """Raises Abandoned, Refused `over_budget`, Unavailable (the disk is full)."""
        with self._lock:
            if self._abandoned:
                raise Abandoned
            self._size += len(data)
            if self._size > MOST_BYTES:
                raise Refused("over_budget", f"the rows have more than {MOST_BYTES >> 30} GiB, the limit for a read")
            if self._held < MEMORY:
                self._parts.append(data)
                self._held += len(data)
            else:
                self._parts.append(self._write(data))
        self._wake()

    def stopped_by(self, stop: Callable[[str], None] | None) -> None:
        """What ends the read when nobody takes its rows any more; None once it has ended."""
        with self._lock:
            self._stop = stop
            abandoned = self._abandoned
        if stop is not None and abandoned:
            raise Abandoned

    def take(self) -> bytes | None:
        """The next bytes; None: none at the moment."""
        with self._lock:
            if not self._parts:
                return None
            part = self._parts.popleft()
            if isinstance(part, bytes):
                self._held -= len(part)
                return part
            assert self._file is not None, "a place in a file is in the file"
            place, size = part
            return os.pread(self._file.fileno(), size, place)

    def abandon(self) -> None:
        """Take no more, whatever is still put in."""
        with self._lock:
            self._abandoned = True
            self._parts.clear()
            if self._file is not None:
                self._file.close()
                self._file = None
            if self._stop is not None:
                self._stop("whoever asked is gone")

    def _write(self, data: bytes) -> tuple[int, int]:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile("w+b", buffering=0)
            os.pwrite(self._file.fileno(), data, self._written)
        except OSError as problem:
            raise Unavailable(f"there is no room for the rows ({problem.strerror})") from None
        self._written += len(data)
        return self._written - len(data), len(data)
