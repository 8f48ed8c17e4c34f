"""JSON pointers into a contract, and the faults found there."""

from __future__ import annotations

from typing import Any

from ..errors import ContractInvalid
from ..model import Fault

Schema = dict[str, Any]


def join(pointer: str, *steps: str | int) -> str:
    """A JSON pointer (RFC 6901) some steps further down."""
    return pointer + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


class Faults:
    """Gathers everything that is wrong, so that an author mends it in one go."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Fault] = {}

    def add(self, pointer: str, message: str) -> None:
        self._found.setdefault((pointer, message), Fault(message, pointer=pointer))

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_any(self) -> None:
        if self._found:
            raise ContractInvalid(tuple(self._found.values()))
