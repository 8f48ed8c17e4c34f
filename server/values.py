"""Cells as JSON: null, string, number, and three forms for what these cannot hold (design 8, SPEC W30).

`{"$i": "..."}` an integer beyond 2^53, `{"$r": 3}` a REAL with an integral value where the place does not say that it
is one, `{"$b": "<base64>"}` a blob.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from .model import Value

SAFE = 2**53
INT64 = 2**63


def decode_value(value: Any) -> Any:
    """One wire value; raises ValueError."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        if not -INT64 <= value < INT64:
            raise ValueError("an integer has at most 64 bits")
        return value
    if kind is float:
        if value - value != 0.0:
            raise ValueError("NaN and infinities are not values")
        return value
    if kind is dict and len(value) == 1:
        ((tag, inner),) = value.items()
        return _tagged(tag, inner)
    raise ValueError('a value is null, a string, a number, {"$i"}, {"$r"} or {"$b"}')


def _tagged(tag: str, inner: Any) -> Value:
    if tag == "$i" and isinstance(inner, str) and len(inner) <= 20:
        number = int(inner)
        if -INT64 <= number < INT64:
            return number
        raise ValueError("an integer has at most 64 bits")
    if tag == "$r" and isinstance(inner, int | float) and not isinstance(inner, bool):
        if isinstance(inner, int) and abs(inner) > 2**1000:
            raise ValueError("NaN and infinities are not values")
        return float(inner)
    if tag == "$b" and isinstance(inner, str):
        try:
            return base64.b64decode(inner, validate=True)
        except binascii.Error:
            raise ValueError("$b: is not base64") from None
    raise ValueError(f"{tag}: is not a kind of value")


def encode_value(value: Value, any_column: bool = True) -> Any:
    """One stored value as JSON can hold it. `any_column`: the column does not say by itself that a number is REAL."""
    kind = type(value)
    if kind is str or value is None:
        return value
    if kind is int:
        return value if -SAFE < value < SAFE else {"$i": str(value)}  # type: ignore[operator]
    if kind is float:
        return {"$r": value} if any_column and value.is_integer() else value  # type: ignore[union-attr]
    return {"$b": base64.b64encode(value).decode()}  # type: ignore[arg-type]
