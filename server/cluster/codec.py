"""Mutations and outcomes as bytes between nodes: every value keeps its type, and nothing is ever executed.

msgpack; our own plain values travel as their name and fields, so that a node of a newer release may add one.
"""

from __future__ import annotations

from typing import Any

import msgpack
from msgspec import Struct

from .. import model
from ..errors import BadRequest

VALUE, TUPLE = 1, 2
#: What may travel: the plain values of `model.py`.
KINDS: dict[str, type[Any]] = {
    name: kind
    for name, kind in vars(model).items()
    if isinstance(kind, type) and (issubclass(kind, Struct) or hasattr(kind, "_fields")) and kind is not Struct
}


def encode(value: Any) -> bytes:
    """Raises BadRequest for what is nested too deeply."""
    try:
        packed: bytes = msgpack.packb(value, default=_packed, strict_types=True)
    except (ValueError, RecursionError) as problem:
        raise BadRequest(f"it cannot be handed on to another node: {problem}") from None
    return packed


def decode(packed: bytes) -> Any:
    """What `encode` was given. Raises ValueError, TypeError, KeyError for anything else."""
    return msgpack.unpackb(packed, ext_hook=_unpacked, strict_map_key=False)


def _packed(value: Any) -> msgpack.ExtType:
    name = type(value).__name__
    if KINDS.get(name) is type(value):
        names = value.__struct_fields__ if isinstance(value, Struct) else value._fields
        return msgpack.ExtType(VALUE, encode([name, {field: getattr(value, field) for field in names}]))
    if type(value) is tuple:
        return msgpack.ExtType(TUPLE, encode(list(value)))
    raise ValueError(f"a {name} does not travel between nodes")


def _unpacked(code: int, packed: bytes) -> Any:
    content = decode(packed)
    if code == TUPLE:
        return tuple(content)
    name, fields = content
    return KINDS[name](**fields)
