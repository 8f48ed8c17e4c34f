"""Named contracts and their versions, as the catalog's rows hold them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import NotFound
from .model import Operation
from .records import ContractRecord
from .schema.contract import Contract

CONTRACTS = "SELECT name, version, hash, document, created, by FROM contract ORDER BY name, version"


class Shelf:
    """Every version of every named contract. `rows`: what `CONTRACTS` gives."""

    def __init__(self, rows: Iterable[Sequence[Any]] = ()) -> None:
        self._contracts: dict[str, list[ContractRecord]] = {}
        for name, version, digest, document, created, by in rows:
            self.learn(ContractRecord(name, version, digest, json.loads(document), created, by))

    def learn(self, record: ContractRecord) -> None:
        """The next version of a name, as the catalog has written it; one that is known already is the same."""
        versions = self._contracts.get(record.name, [])
        if record.version == len(versions) + 1:
            self._contracts[record.name] = [*versions, record]

    def newest(self) -> Sequence[ContractRecord]:
        """The newest version of each."""
        return [versions[-1] for versions in self._contracts.values()]

    def get(self, name: str, version: int | None = None) -> ContractRecord:
        """None: the newest. Raises NotFound."""
        for record in reversed(self._contracts.get(name, [])):
            if version in (None, record.version):
                return record
        raise NotFound("contract", name if version is None else f"{name} version {version}")

    def following(self, name: str, contract: Contract, now: int, by: str) -> tuple[ContractRecord, bool]:
        """The version that a contract is or would be, and whether it is new."""
        versions = self._contracts.get(name, [])
        if versions and versions[-1].hash == contract.hash:
            return versions[-1], False
        return ContractRecord(name, len(versions) + 1, contract.hash, contract.document, now, by), True


def insertion(record: ContractRecord) -> Operation:
    """What puts a version into the catalog."""
    values = {
        "hash": record.hash,
        "document": json.dumps(record.document, separators=(",", ":")),
        "created": record.created,
        "by": record.by,
    }
    return Operation("i", "contract", (record.name, record.version), values)
