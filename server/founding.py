"""Opening a project's road, and giving a new project its first version."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .model import Change, Fault
from .ports import InCell, Replicator
from .road import Road
from .schema.contract import Contract
from .schema.steps import compatible
from .schema.tables import create_steps, singletons
from .schemachange import schema_change
from .storage.databases import Databases
from .sync.rules import Rules
from .sync.statements import Function


def open_road(
    databases: Databases,
    replicator: Replicator,
    functions: Mapping[str, Function],
    epoch: str,
    inbox: InCell | None = None,
) -> Road:
    """Open the files of a project and bring them level. Blocks: call it on a worker."""
    databases.resync()
    try:
        return Road(databases, replicator, functions, epoch, misread, inbox, Contract.parse)
    except BaseException:
        databases.close()
        raise


def misread(former: dict[str, Any], present: Rules, tables: Collection[str]) -> tuple[Fault, ...]:
    """Why a push on these tables, made under a former contract, would be misread under the present one."""
    assert isinstance(present, Contract), "a project follows a contract"
    return compatible(Contract.parse(former), present, tables)


def begin(road: Road, contract: Contract, by: str) -> None:
    """Give a new project its first version: the schema commit of its contract, with its singletons."""
    first: Sequence[Change] = singletons(contract)
    road.change_schema(schema_change(contract, create_steps(contract), ()), by, first=first)
