"""What statements gave, as JSON (SPEC Q): whole answers, and rows line by line.

Runs where the rows are, on a worker's thread; the event loop gets bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..errors import ShareliteError
from ..model import Result, Value
from ..values import SAFE, encode_value

_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
Rows = Sequence[tuple[Value, ...]]
#: Bytes of rows after which a piece of them goes out.
PIECE = 256 << 10
_HARMLESS = frozenset({str, int, type(None)})


def answer(version: int, results: Sequence[bytes], more: bytes = b"") -> bytes:
    """The body of an answer. `results`: each as `result` or `error` made it; `more`: members behind the version."""
    return b'{"version":%d%b,"results":[%b]}' % (version, more, b",".join(results))


def result(result: Result, encoded: bytes | None = None) -> bytes:
    """One result as JSON. `encoded`: its rows, if they are that already."""
    return b'{"columns":%b,"types":%b,"rows":[%b],"affected":%d,"last_id":%b,"ms":%b}' % (
        _encode(result.columns),
        _encode(result.types),
        rows(result.rows) if encoded is None else encoded,
        result.affected,
        _encode(encode_value(result.last_id)),
        milliseconds(result.seconds),
    )


class Pieces:
    """The rows of one statement, encoded as they come: pieces to `put`, and what is left for the answer."""

    def __init__(self, place: int, put: Callable[[bytes], None]) -> None:
        self._place, self._put = place, put
        self._gathered: list[bytes] = []
        self._size = 0

    def take(self, chunk: Rows, size: int) -> None:
        encoded = rows(chunk)
        if self._size + len(encoded) > PIECE and self._gathered:
            self._put(b'"statement":%d,"rows":[%b]' % (self._place, b",".join(self._gathered)))
            self._gathered, self._size = [], 0
        self._gathered.append(encoded)
        self._size += len(encoded)

    def rest(self) -> bytes:
        return b",".join(self._gathered)


class Lines:
    """The rows of one statement, line by line, behind a line that says what they are."""

    def __init__(self, place: int, version: int, put: Callable[[bytes], None]) -> None:
        self._place, self._version, self._put = place, version, put
        self.count = 0

    def head(self, columns: tuple[str, ...], types: tuple[str | None, ...]) -> None:
        head = b'{"statement":%d,"version":%d,"columns":%b,"types":%b}\n'
        self._put(head % (self._place, self._version, _encode(columns), _encode(types)))

    def take(self, chunk: Rows, size: int) -> None:
        self.count += len(chunk)
        self._put(_encode_lines(_plain(chunk)))


def error(problem: ShareliteError) -> bytes:
    """What stands in the place of a result where statements run each alone."""
    return _encode({"error": {"code": problem.code, "message": str(problem), "errors": problem.faults()}})


def tail(count: int, seconds: float) -> bytes:
    """The line behind the rows of a statement: without it the answer is not whole."""
    return b'{"rows":%d,"ms":%b}\n' % (count, milliseconds(seconds))


def rows(chunk: Rows) -> bytes:
    """Rows as the inside of a JSON array."""
    return _encode(_plain(chunk))[1:-1]


def milliseconds(seconds: float) -> bytes:
    return b"%.3f" % (seconds * 1000)


def cell(value: Value) -> Any:
    """One value. A query may give infinities, which no stored value is: `{"$r": "inf"}`."""
    if type(value) is float and math.isinf(value):
        return {"$r": "inf" if value > 0 else "-inf"}
    return encode_value(value)


def _plain(chunk: Rows) -> Sequence[Sequence[Any]]:
    """The rows, with what JSON cannot hold in its form; column by column, since most need nothing."""
    columns: list[Sequence[Any]] = list(zip(*chunk, strict=True))
    touched = False
    for place, column in enumerate(columns):
        kinds = set(map(type, column))
        if kinds <= _HARMLESS and not (int in kinds and _large(column, kinds)):
            continue
        columns[place] = [cell(value) for value in column]
        touched = True
    return list(zip(*columns, strict=True)) if touched else chunk


def _large(column: Sequence[Any], kinds: set[type]) -> bool:
    """Whether an integer is among them that a double cannot hold."""
    numbers = column if len(kinds) == 1 else [value for value in column if type(value) is int]
    return max(numbers) >= SAFE or min(numbers) <= -SAFE
