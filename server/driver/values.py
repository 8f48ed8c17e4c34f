"""Parameters as JSON holds them, and cells as Python has them (SPEC W30, Q1). Nothing is lost on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import msgspec

from ..model import Value
from ..values import INT64, SAFE, decode_value, encode_value
from .errors import DataError, ProgrammingError

Params = Sequence[Any] | Mapping[str, Any]
_TAGGED = frozenset({dict})


class OutOfRange(DataError, OverflowError):
    """An integer of more than 64 bits; also an OverflowError, as the standard library raises."""


def encode(value: Any) -> Any:
    """One parameter. Raises DataError for what SQLite cannot hold, ProgrammingError for what it does not know."""
    if value is None:
        return None
    if isinstance(value, str):
        return _text(value)
    if type(value) is int and -SAFE < value < SAFE:
        return value
    if isinstance(value, int):
        if not -INT64 <= value < INT64:
            raise OutOfRange(f"the integer {value} has more than 64 bits")
        return encode_value(int(value))
    if isinstance(value, float):
        return _real(float(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return encode_value(bytes(value))
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    raise ProgrammingError(
        f"a parameter cannot be of type {type(value).__name__!r}: None, int, float, str, bytes, date, time or datetime"
    )


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise DataError(f"a text is not Unicode: {problem}") from None
    return str(value)


def _real(value: float) -> Any:
    """NaN is NULL, as in SQLite."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        return {"$r": "inf" if value > 0 else "-inf"}
    return encode_value(value)


def decode_rows(rows: list[list[Any]]) -> list[tuple[Value, ...]]:
    """Rows of an answer."""
    return [tuple(row) if _TAGGED.isdisjoint(map(type, row)) else tuple(map(decode, row)) for row in rows]


def decode(value: Any) -> Any:
    """One cell."""
    match value:
        case {"$r": "inf" | "-inf" as infinite}:
            return math.inf if infinite == "inf" else -math.inf
    return decode_value(value)


def bound(params: Params, count: int, names: Sequence[str | None] | None) -> list[Any] | dict[str, Any]:
    """Parameters as a statement wants them: `count` by position (`?` and `?1`), or those of `names`. Raises
    ProgrammingError."""
    if isinstance(params, Mapping):
        if names is None and count:
            raise ProgrammingError(f"the statement has {count} parameters by position (?); a sequence is needed")
        wanted = [name or f"?{place + 1}" for place, name in enumerate(names or ())]
        missing = [name for name in wanted if name not in params]
        if missing:
            raise ProgrammingError(f"there is no value for the parameter :{missing[0]}")
        return {name: encode(params[name]) for name in wanted}
    if isinstance(params, str | bytes) or not isinstance(params, Sequence):
        raise ProgrammingError(f"parameters are a sequence or a mapping, not {type(params).__name__!r}")
    named = [name for name in names or () if name is not None and not name.isdigit()]
    if named:
        raise ProgrammingError(f"the statement has parameters by name (:{named[0]}); a mapping is needed")
    if len(params) != count:
        raise ProgrammingError(f"the statement has {count} parameters, {len(params)} were given")
    return [value if value is None or (type(value) is str and value.isascii()) else encode(value) for value in params]


def size(params: list[Any] | dict[str, Any]) -> tuple[msgspec.Raw, int]:
    """Parameters encoded, and how many bytes that is."""
    encoded = msgspec.json.encode(params)
    return msgspec.Raw(encoded), len(encoded)
