"""The projects of a node by id and by name, as the catalog's rows hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .errors import NotFound
from .model import Operation
from .names import folded
from .records import ProjectRecord

PROJECTS = "SELECT id, name, state, created, by, contract, public FROM project ORDER BY created, id"


class Roll:
    """Every project with its record."""

    def __init__(self) -> None:
        self._records: dict[str, ProjectRecord] = {}
        self._names: dict[str, str] = {}

    def read(self, rows: Iterable[Sequence[Any]]) -> None:
        """Begin anew with what `PROJECTS` gives."""
        self._records.clear()
        self._names.clear()
        for id, name, state, created, by, contract, public in rows:
            self.put(ProjectRecord(id, name, state, created, by, contract, bool(public)))

    def put(self, record: ProjectRecord) -> None:
        """A record that the catalog has written."""
        self._drop_name(record.id)
        self._records[record.id] = record
        self._names[folded(record.name)] = record.id

    def drop(self, project: str) -> None:
        self._drop_name(project)
        self._records.pop(project, None)

    def ready(self) -> Sequence[ProjectRecord]:
        return [record for record in self._records.values() if record.state == "ready"]

    def unfinished(self) -> Sequence[ProjectRecord]:
        """Being made or deleted."""
        return [record for record in self._records.values() if record.state != "ready"]

    def all(self) -> Sequence[ProjectRecord]:
        """Also those that are being made or deleted."""
        return list(self._records.values())

    def known(self, project: str) -> ProjectRecord | None:
        """Also one that is being made or deleted."""
        return self._records.get(project)

    def get(self, project: str) -> ProjectRecord:
        """Raises NotFound; a project that is being made or deleted is not there."""
        record = self._records.get(project)
        if record is None or record.state != "ready":
            raise NotFound("project", project)
        return record

    def named(self, name: str) -> ProjectRecord | None:
        record = self._records.get(self._names.get(folded(name), ""))
        return record if record is not None and record.state == "ready" else None

    def _drop_name(self, project: str) -> None:
        known = self._records.get(project)
        if known is not None and self._names.get(folded(known.name)) == project:
            del self._names[folded(known.name)]


def written(op: str, record: ProjectRecord) -> Operation:
    """What writes a record into the catalog. `op`: i or u."""
    values = {
        "name": record.name,
        "fold": folded(record.name),
        "state": record.state,
        "created": record.created,
        "by": record.by,
        "contract": record.contract,
        "public": record.public,
    }
    return Operation("i" if op == "i" else "u", "project", (record.id,), values)
