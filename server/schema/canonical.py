"""JSON texts: RFC 8785 (one text for one value, on every node and in every browser) and how they are read back.

Numbers are doubles, as everywhere in JSON; an integer that a double cannot hold is refused rather than rounded.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

#: Arrays and objects inside each other in one stored value.
MAX_DEPTH = 64
_EXACT = 2**53


class NotJson(ValueError):
    """The value or text is not JSON, or does not survive as JSON; the sentence says why."""


def canonical(value: Any) -> str:
    """The RFC 8785 text of a JSON value. Raises NotJson."""
    return _text(value, MAX_DEPTH)


def parse(text: str) -> Any:
    """The value of a JSON text. Raises NotJson, also for what json.loads lets through (NaN, lone surrogates)."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as problem:
        raise NotJson(f"not a JSON text: {problem}") from None


def number(value: float) -> str:
    """ECMAScript's Number.prototype.toString, which RFC 8785 section 3.2.2.3 asks for."""
    if not math.isfinite(value):
        raise NotJson(f"{value} is no JSON number")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    """`digits` with the decimal point after the `point`-th (ECMA-262 6.1.6.1.20)."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    rest = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def _text(value: Any, room: int) -> str:
    if room < 0:
        raise NotJson(f"more than {MAX_DEPTH} arrays and objects inside each other")
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(item, room - 1) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(name)}:{_text(value[name], room - 1)}" for name in _ordered(value)) + "}"
    raise NotJson(f"a {type(value).__name__} cannot be in a JSON value")


def _ordered(value: dict[Any, Any]) -> list[str]:
    """Names by UTF-16 code units (section 3.2.3), which is not the order of code points."""
    if not all(isinstance(name, str) for name in value):
        raise NotJson("the names in an object must be texts")
    if all(name.isascii() for name in value):
        return sorted(value)
    return sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def _integer(value: int) -> str:
    if -_EXACT <= value <= _EXACT:
        return str(value)
    try:
        nearest = float(value)
    except OverflowError:
        raise NotJson("the number is too large") from None
    if int(nearest) != value:
        raise NotJson(f"{str(value)[:40]} would lose digits as a JSON number; write it as a text")
    return number(nearest)


def _string(value: str) -> str:
    if not value.isascii() and not well_formed(value):
        raise NotJson("a text with half of a surrogate pair cannot be stored")
    return json.dumps(value, ensure_ascii=False)


def well_formed(text: str) -> bool:
    """False if the text has half of a surrogate pair, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
