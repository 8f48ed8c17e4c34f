"""Projects that follow a named contract: by themselves where nothing is lost, else by a migration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import apsw
from msgspec import Struct

from .errors import NotJudged, Refused, ShareliteError
from .project import Project, UpgradeReport
from .records import ContractRecord, ProjectRecord
from .schema.contract import Contract

logger = logging.getLogger(__name__)


class Migrated(Struct, frozen=True):
    """What a migration means or meant for one project; `problem` where it was refused."""

    record: ProjectRecord
    report: UpgradeReport | None
    problem: str | None = None


async def follow(project: Project, record: ProjectRecord, newest: ContractRecord) -> None:
    """An additive upgrade needs nobody's leave; another waits for `contract migrate`, and the log says so."""
    if newest.hash == project.contract_hash:
        return
    contract = Contract.parse(newest.document, newest.name)
    planned = await project.plan_upgrade(contract)
    stays = f"project {record.name} stays on an older version of contract {newest.name}"
    if planned.kind == "destructive":
        logger.warning("%s: %s", stays, "; ".join(planned.reasons))
        return
    try:
        await project.upgrade(contract, "contract")
    except (Refused, NotJudged) as problem:
        logger.warning("%s: %s", stays, problem)


async def migrated(
    hold: Callable[[str], AbstractAsyncContextManager[Project]],
    record: ProjectRecord,
    contract: Contract,
    by: str,
    *,
    dry_run: bool,
    destructive: bool,
) -> Migrated:
    """What stands in the way of one project is told, and stops no other."""
    planned: UpgradeReport | None = None
    try:
        async with hold(record.id) as project:
            planned = await project.plan_upgrade(contract)
            return Migrated(record, planned if dry_run else await project.upgrade(contract, by, destructive))
    except (ShareliteError, apsw.Error) as problem:
        return Migrated(record, planned, str(problem))
