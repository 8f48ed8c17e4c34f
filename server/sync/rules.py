"""What the road asks of a contract: the few attributes and methods it needs, and no more.

`schema/` has the body; the wings do not import each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from ..model import ColumnType, Fault, Key, ListLimit, Reference, Row

__all__ = ["ColumnType", "ListLimit", "Reference", "Rules", "TableRules"]


class TableRules(Protocol):
    """One table of a contract. `key` and `types` name stored columns; `types` has every one, in table order.

    `length` limits the rows of the whole table; `tree` is a column that refers to a parent row of the same table and
    may not form a cycle; `unique` has every unique column set but the key.
    """

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def types(self) -> Mapping[str, ColumnType]: ...
    @property
    def singleton(self) -> bool: ...
    @property
    def unique(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def references(self) -> tuple[Reference, ...]: ...
    @property
    def tree(self) -> str | None: ...
    @property
    def length(self) -> tuple[int, int | None]: ...
    @property
    def lists(self) -> tuple[ListLimit, ...]: ...

    def store_key(self, key: Sequence[Any]) -> Key:
        """Wire values of a key as stored; raises Refused `invalid` (wrong number, wrong type, NULL, U+0000)."""

    def store(self, key: Key, values: Mapping[str, Any]) -> Row:
        """Wire values of some columns as stored: true to 1, -0.0 to 0.0, JSON text made canonical, default to NULL.

        Key columns that are given must equal `key` and are left out. Raises Refused `invalid` with every fault
        (unknown column, wrong type, NaN); what the contract says of a value is left to `check`.
        """

    def needs(self, changed: Collection[str]) -> Collection[str] | None:
        """The columns that `check` looks at when these changed; None: all of them."""

    def check(self, row: Row, changed: Collection[str] | None) -> tuple[Fault, ...]:
        """Every way in which the whole stored row (key columns too, NULLs may be absent) breaks the contract.

        `changed`: the columns that the mutation touched (None: all); a body may check less by it, never find less.
        """


class Rules(Protocol):
    """A contract as the road sees it."""

    @property
    def hash(self) -> str: ...
    @property
    def tables(self) -> Mapping[str, TableRules]: ...
