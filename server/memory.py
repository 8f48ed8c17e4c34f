"""What glibc keeps of freed memory, where that is the C library (musl, macOS and Windows give it back by themselves).

Measured with 100 projects opened and closed again: 118 MiB stayed without this, 18 MiB with it.
"""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8
ARENAS = 2


def few_arenas() -> None:
    """Let threads share what they free; said before there are any. The interpreter runs one at a time anyway."""
    _call("mallopt", M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Give freed memory back to the system. Some milliseconds, without the interpreter's lock."""
    _call("malloc_trim", 0)


def _call(name: str, *args: int) -> None:
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)
        if function is not None:
            function(*args)
