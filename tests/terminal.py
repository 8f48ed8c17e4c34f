"""A program at a terminal of its own, driven by keys."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import ioctl

PATIENCE = 60.0
#: What moves the cursor or colours: of the shown text nothing.
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>78]|\([AB0])")


class Terminal:
    """What it showed, and keys for it. `until` waits for what comes after the last thing that was waited for."""

    def __init__(self, file: int) -> None:
        self._file, self._shown = file, ""

    def keys(self, text: str) -> None:
        """As soon as the program reads keys itself: before that they would be the terminal's."""
        end = time.monotonic() + PATIENCE
        while termios.tcgetattr(self._file)[3] & termios.ICANON:
            assert time.monotonic() < end, f"it reads no keys, and shows {self._shown!r}"
            time.sleep(0.01)
        os.write(self._file, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C while the program works."""
        os.write(self._file, b"\x03")

    def until(self, pattern: str) -> str:
        """Everything up to the first match, which is read then."""
        end = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self._shown)) is None:
            assert time.monotonic() < end, f"no {pattern!r} in {self._shown!r}"
            if not select.select([self._file], [], [], 1.0)[0]:
                continue
            try:
                piece = os.read(self._file, 65536)
            except OSError:
                piece = b""
            assert piece, f"it ended, without {pattern!r} in {self._shown!r}"
            self._shown = ESCAPES.sub("", self._shown + piece.decode(errors="replace"))
        before, self._shown = self._shown[: found.end()], self._shown[found.end() :]
        return before


@contextmanager
def at_terminal(*words: str, columns: int = 100, environment: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """`python -m sharelite WORDS`. It is ended with the block, if it has not ended by itself."""
    process, file = pty.fork()
    if process == 0:
        mine = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(environment or {})}
        os.execve(sys.executable, [sys.executable, "-m", "sharelite", *words], mine)
    try:
        ioctl(file, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        yield Terminal(file)
    finally:
        os.close(file)
        _reaped(process)


def _reaped(process: int) -> None:
    """Its terminal is gone, which ends it; what does not hear of that is killed."""
    end = time.monotonic() + 5
    while os.waitpid(process, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.kill(process, 9)
            os.waitpid(process, 0)
            return
        time.sleep(0.02)
