"""From one contract to the next: which statements bring a project's tables along, and what would be lost.

The statements are literal and come from the closed grammar of sync/grammar.py. They run with foreign keys off, on every
node and in every browser alike; afterwards whoever runs the upgrade checks the rows of the `tightened` tables against
the new contract, references included.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from ..model import Change, Fault
from .contract import Contract
from .definitions import changed
from .rebuild import can_rebuild, rebuild
from .table import Index, Link, Table
from .tables import column_text, create_index, create_table, create_view, quoted, reference_text
from .tighten import Difference, differences

Kind = Literal["none", "additive", "destructive"]


@dataclass(frozen=True)
class Upgrade:
    """`changes`: the rows that come with new single parts. `tightened`: tables whose rows must be checked again."""

    kind: Kind
    steps: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    tightened: tuple[str, ...] = ()
    changes: list[Change] = field(default_factory=list)


def plan(old: Contract, new: Contract) -> Upgrade:
    """What brings a project from one contract to the other. The same contract needs nothing."""
    if old.hash == new.hash:
        return Upgrade("none")
    plans = [_TablePlan(old.tables[name], table) for name, table in new.tables.items() if name in old.tables]
    dropped = [table for name, table in old.tables.items() if name not in new.tables]
    added = [table for name, table in new.tables.items() if name not in old.tables]
    reasons = [f"{table.name}: the table and its rows are dropped" for table in dropped]
    reasons += [reason for one in plans for reason in one.reasons]
    tightened = tuple(one.new.name for one in plans if one.tightened)
    fresh = [*added, *(one.new for one in plans if one.recreated)]
    changes = [Change("i", table.name, (1,), {}, None) for table in fresh if table.singleton]
    steps = _steps(dropped, added, plans)
    steps = _around(old, new, steps)
    return Upgrade("destructive" if reasons else "additive", steps, reasons, tightened, changes)


def compatible(old: Contract, new: Contract, tables: Collection[str] | None = None) -> tuple[Fault, ...]:
    """Why a push made under the old contract cannot be understood under the new one; nothing if it can.

    `tables`: those that the push touches (None: all).
    """
    faults = []
    for name, table in old.tables.items():
        if tables is not None and name not in tables:
            continue
        if name not in new.tables:
            faults.append(Fault(f"the contract has no table {name} any more", name))
        else:
            faults += _misread(table, new.tables[name])
    return tuple(faults)


def _misread(old: Table, new: Table) -> list[Fault]:
    if old.key != new.key or old.singleton != new.singleton:
        return [Fault(f"the key of {old.name} has changed", old.name)]
    faults = []
    for name, column in old.columns.items():
        other = new.columns.get(name)
        if other is None:
            faults.append(Fault(f"{old.name} has no column {name} any more", old.name, pointer=column.pointer))
        elif (other.type, other.form) != (column.type, column.form):
            message = f"{name} of {old.name} was {column.type} and is {other.type}"
            faults.append(Fault(message, old.name, pointer=column.pointer))
        elif (other.default, type(other.default)) != (column.default, type(column.default)):
            faults.append(Fault(f"{name} of {old.name} has another default", old.name, pointer=column.pointer))
    return faults


class _TablePlan:
    """How one table that stays comes along: left alone, altered, rebuilt, or dropped and made anew."""

    def __init__(self, old: Table, new: Table) -> None:
        self.old, self.new = old, new
        found: list[Difference] = list(differences(old, new))
        self.recreated = not can_rebuild(old, new)
        self.added = [column for name, column in new.columns.items() if name not in old.columns]
        self.removed = [name for name in old.columns if name not in new.columns]
        self._new_links = _links_of_new_columns(old, new)
        self.rebuilt = not self.recreated and self._must_rebuild(found)
        self.reasons = [f"{new.name}: {one.reason}" for one in found if one.destructive]
        if self.recreated:
            self.reasons.append(f"{new.name}: its rows cannot be brought along and are dropped")
        self.tightened = any(one.tightens for one in found)
        shape = self.recreated or self.rebuilt or bool(self.added or self.removed)
        self.viewed = shape or create_view(old) != create_view(new)

    def _must_rebuild(self, found: list[Difference]) -> bool:
        old, new = self.old, self.new
        kept = [link for link in new.links if link not in self._new_links]
        gone = {link for link in old.links} - set(kept)
        bound = {name for link in old.links for name in link.columns} | set(old.key)
        return bool(
            any(one.rewrites for one in found)
            or gone
            or set(kept) - set(old.links)
            or bound & set(self.removed)
            or {column.name for column in self.added} & set(new.key)
        )

    def alter(self) -> list[str]:
        """Everything between the views: indexes that go, then the table itself, then indexes that come."""
        name = quoted(self.new.name)
        if self.recreated:
            return [f"DROP TABLE {name}", create_table(self.new), *_created(self.new, self.new.indexes)]
        if self.rebuilt:
            return [*rebuild(self.old, self.new), *_created(self.new, self.new.indexes)]
        links = {link.columns[0]: link for link in self._new_links}
        gone = [index for index in self.old.indexes if index not in self.new.indexes]
        come = [index for index in self.new.indexes if index not in self.old.indexes]
        steps = [f"DROP INDEX {quoted(index.name)}" for index in gone]
        steps += [f"ALTER TABLE {name} DROP COLUMN {quoted(column)}" for column in self.removed]
        for column in self.added:
            refers = reference_text(links[column.name]) if column.name in links else ""
            steps.append(f"ALTER TABLE {name} ADD COLUMN {column_text(self.new, column)}{refers}")
        return steps + _created(self.new, come)


def _steps(dropped: list[Table], added: list[Table], plans: list[_TablePlan]) -> list[str]:
    """Views go first and come last; a table that goes is dropped before those it refers to."""
    changed = [one for one in plans if one.viewed]
    return [
        *(f"DROP VIEW {quoted(table.name + '_full')}" for table in [*dropped, *(one.old for one in changed)]),
        *(create_table(table) for table in added),
        *(step for one in plans for step in one.alter()),
        *(f"DROP TABLE {quoted(table.name)}" for table in reversed(dropped)),
        *(step for table in added for step in _created(table, table.indexes)),
        *(create_view(table) for table in [*added, *(one.new for one in changed)]),
    ]


def _around(old: Contract, new: Contract, steps: list[str]) -> list[str]:
    """Triggers go before the tables that they are about change, and come after."""
    triggers, new_triggers = changed(old.triggers, new.triggers, bool(steps))
    return [
        *(f"DROP TRIGGER {quoted(name)}" for name in triggers),
        *steps,
        *new_triggers,
    ]


def _created(table: Table, indexes: Collection[Index]) -> list[str]:
    return [create_index(table, index) for index in indexes]


def _links_of_new_columns(old: Table, new: Table) -> list[Link]:
    """References of one new column: SQLite can add those to a table as it stands."""
    return [link for link in new.links if len(link.columns) == 1 and link.columns[0] not in old.columns]
