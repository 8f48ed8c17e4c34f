"""A property with a column of its own: its type, what it may hold, what NULL in it means."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..model import Value
from .canonical import NotJson, canonical, parse, well_formed
from .places import Schema

ColumnType = Literal["TEXT", "INTEGER", "REAL", "BLOB", "ANY"]
#: How a stored cell is shown: as it is, 0/1 as a boolean, canonical JSON text as its value, bytes as base64 text; `any`
#: as it is but for bytes, which are `{"$b": base64}`.
Form = Literal["plain", "boolean", "json", "base64", "any"]

SCALARS = frozenset({"string", "integer", "number", "boolean"})
_TYPES: dict[str, ColumnType] = {"string": "TEXT", "integer": "INTEGER", "number": "REAL", "boolean": "INTEGER"}
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class WrongValue(ValueError):
    """The value cannot be stored in this column; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Column:
    """`kinds`: the JSON types it may hold, null left out. `default` is the stored value that NULL stands for.

    `nullable`: its `type` says null, so NULL reads as null where the property is required. Without a `type` it reads as
    absent: a JSON value that is null cannot be told from none.

    Hidden columns (`_id`, `_order`, `_parent.*`) have no `path`: they are no property of the tree.
    """

    name: str
    path: tuple[str, ...]
    type: ColumnType
    form: Form
    kinds: frozenset[str]
    schema: Schema
    place: str
    nullable: bool = False
    required: bool = False
    default: Value = None

    @property
    def origin(self) -> str:
        """What the column was called in the file that it came from, or what it is called here."""
        return str(self.schema.get("x-sql", {}).get("name", self.name))

    @property
    def declared(self) -> str | None:
        """What it was declared as in the file that it came from, if that is another word than ours."""
        said: str | None = self.schema.get("x-sql", {}).get("declared")
        return said

    @property
    def initial(self) -> Any:
        """What SQL that does not name the column stores: a value, or {"now": "date" | "time" | "timestamp"}."""
        return self.schema.get("x-sql", {}).get("initial")

    @property
    def pointer(self) -> str:
        """The JSON pointer of the property in its row."""
        return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in self.path or (self.name,))

    def stored(self, value: Any) -> Value:
        """A value from the wire as this column holds it. Raises WrongValue."""
        if value is None:
            return None
        if self.form == "plain":
            return PLAIN[self.type](value, self.kinds)
        if self.form == "boolean":
            return _boolean(value)
        if self.form == "json":
            return json_text(value)
        if self.form == "any":
            return whatever(value)
        if isinstance(value, bytes):
            return value
        raise WrongValue(f"bytes are needed, not {described(value)}")

    def from_tree(self, value: Any) -> Value:
        """A property's value in a tree as this column holds it: a JSON value, base64 as text. Raises WrongValue."""
        if value is None:
            return None
        if self.form == "json":
            try:
                return canonical(value)
            except NotJson as problem:
                raise WrongValue(str(problem)) from None
        if self.form == "base64" and isinstance(value, str):
            return _from_base64(value)
        if self.form == "any" and isinstance(value, dict):
            return _from_tagged(value)
        return self.stored(value)

    def to_tree(self, value: Value) -> Any:
        """A stored cell that is not NULL as the property's value. Raises WrongValue if SQL stored what is no JSON."""
        if value in (0, 1) and (self.form == "boolean" or (self.type == "ANY" and "boolean" in self.kinds)):
            return bool(value)
        if self.form == "json":
            return json_value(value)
        if isinstance(value, bytes):
            if self.form not in ("base64", "any"):
                raise WrongValue("a blob is no value of this property")
            text = base64.b64encode(value).decode()
            return text if self.form == "base64" else {"$b": text}
        return value


def column_type(kinds: frozenset[str], schema: Schema) -> tuple[ColumnType, Form]:
    """Design section 7, Types. `kinds` without null; booleans are not mixed with numbers (shape.py refuses that)."""
    if takes_any(schema):
        return "ANY", "any"
    if not kinds or not kinds <= SCALARS:
        return "TEXT", "json"
    if schema.get("contentEncoding") == "base64" and kinds == {"string"}:
        return "BLOB", "base64"
    if kinds == {"integer", "number"}:
        return "REAL", "plain"
    if len(kinds) > 1:
        return "ANY", "plain"
    (kind,) = kinds
    return _TYPES[kind], "boolean" if kind == "boolean" else "plain"


def takes_any(schema: Schema) -> bool:
    """Whether `x-sql.any` opens the column to every value that SQLite can hold."""
    sql = schema.get("x-sql")
    return isinstance(sql, dict) and sql.get("any") is True


def json_value(value: Value) -> Any:
    if not isinstance(value, str):
        raise WrongValue(f"a JSON text is needed, not {described(value)}")
    try:
        return parse(value)
    except NotJson as problem:
        raise WrongValue(str(problem)) from None


def json_text(value: Any) -> Value:
    """Canonical; the text `null` is NULL."""
    parsed = json_value(value)
    if parsed is None:
        return None
    try:
        return canonical(parsed)
    except NotJson as problem:
        raise WrongValue(str(problem)) from None


def described(value: Any) -> str:
    """A value for a sentence: short, and never a megabyte of it."""
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > INT_MAX:
        return "an integer of more than 64 bits"
    text = "null" if value is None else "true" if value is True else "false" if value is False else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def text(value: Any, kinds: frozenset[str]) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"a text is needed, not {described(value)}")
    if not value.isascii() and not well_formed(value):
        raise WrongValue("the text has half of a surrogate pair")
    return value


def integer(value: Any, kinds: frozenset[str]) -> int:
    """3.0 is an integer in JSON Schema, and so it is here."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongValue(f"an integer is needed, not {described(value)}")
    if not INT_MIN <= value <= INT_MAX:
        raise WrongValue(f"an integer of at most 64 bits is needed, not {described(value)}")
    return int(value)


def real(value: Any, kinds: frozenset[str]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongValue(f"a number is needed, not {described(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise WrongValue("a finite number is needed")
    return number or 0.0  # -0.0 is stored as 0.0, so that equal rows have equal digests


def anything(value: Any, kinds: frozenset[str]) -> Value:
    """A union of scalars: the value decides its own type."""
    if isinstance(value, str) and "string" in kinds:
        return text(value, kinds)
    if isinstance(value, bool) and "boolean" in kinds:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if kinds & {"integer", "number"}:
            return integer(value, kinds)
        if "boolean" in kinds and value in (0, 1):
            return value
    if isinstance(value, float) and "number" in kinds:
        return real(value, kinds)
    if isinstance(value, float) and "integer" in kinds:
        return integer(value, kinds)
    raise WrongValue(f"{' or '.join(sorted(kinds))} is needed, not {described(value)}")


def whatever(value: Any) -> Value:
    """Any value of SQLite: the value decides its own type."""
    return value if isinstance(value, bytes) else anything(value, SCALARS)


def _from_tagged(value: dict[str, Any]) -> bytes:
    if value.keys() == {"$b"} and isinstance(value["$b"], str):
        return _from_base64(value["$b"])
    raise WrongValue('bytes are written {"$b": "<base64>"}; no other object can stand here')


def _boolean(value: Any) -> int:
    if isinstance(value, int | float) and value in (0, 1):
        return int(value)
    raise WrongValue(f"true or false is needed, not {described(value)}")


def _from_base64(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise WrongValue("the text is not base64 (RFC 4648 section 4)") from None


PLAIN: dict[str, Callable[[Any, frozenset[str]], Value]] = {
    "TEXT": text, "INTEGER": integer, "REAL": real, "ANY": anything,
}  # fmt: skip
