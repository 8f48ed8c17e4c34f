"""Entries that no node can apply (SPEC K87): the project is set aside everywhere, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from sharelite.cluster.payload import DIGEST_BYTES, Item, pack
from sharelite.model import EncodedCommit
from sharelite.sync.entry import Entry, encode
from sharelite.sync.rehearsal import Rehearsal
from sharelite.yard import CATALOG_ID
from tests.company import Company, company
from tests.test_accord import eventually, opened
from tests.test_cell_service import push, texts, write
from tests.test_levelling import away


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Company]:
    with company(tmp_path) as made:
        yield made


def commit(version: int, **members: Any) -> bytes:
    return json.dumps({"v": version, "at": 1, "by": "mallory", "kind": "edit", "changes": [], **members}).encode()


def schema(version: int, *steps: str) -> bytes:
    return commit(version, kind="schema", contract={}, contract_hash="0" * 64, steps=steps)


POISON: dict[str, Callable[[int], bytes]] = {
    "a row that is not there": lambda v: commit(v, changes=[["u", "note", ["no"], {"text": "b"}, {"text": "a"}]]),
    "a row that is there": lambda v: commit(v, changes=[["i", "note", ["n"], {"text": "b"}]]),
    "a table that is not there": lambda v: commit(v, changes=[["i", "nothing", ["n"], {}]]),
    "a column that is not there": lambda v: commit(v, changes=[["u", "note", ["n"], {"no": 1}, {"no": 2}]]),
    "no old value": lambda v: commit(v, changes=[["u", "note", ["n"], {"text": "b"}, {}]]),
    "another type": lambda v: commit(v, changes=[["i", "note", ["m"], {"text": {"$b": "AAAA"}}]]),
    "a key of two parts": lambda v: commit(v, changes=[["i", "note", ["m", "k"], {"text": "b"}]]),
    "a number beyond 64 bits": lambda v: commit(v, changes=[["i", "note", ["m"], {"text": {"$i": str(1 << 70)}}]]),
    "no such kind of change": lambda v: commit(v, changes=[["x", "note", ["m"], {"text": "b"}]]),
    "a table that is there": lambda v: schema(v, 'CREATE TABLE "note"("id" TEXT PRIMARY KEY) STRICT'),
    "a statement that is no step": lambda v: schema(v, "DELETE FROM note"),
    "no JSON": lambda v: b"{",
    "no text": lambda v: b"\xff\xfe",
}


def poison(cell: Company, project: str, body: Callable[[int, int], bytes]) -> None:
    """Have the cell commit an entry that a healthy leader would never have made. `body`: from seq and version."""

    async def propose() -> None:
        node = cell.node(leader)
        held = node.catalog.own if project == CATALOG_ID else await opened(cell, leader, project)
        assert held is not None
        await held.level(lambda: False)
        position, rows = held.position, held._road.row_digest.to_bytes(16, "big")
        item = Item(
            project, held.epoch, b"t" * 16, position.seq, position.digest[:DIGEST_BYTES], rows, position.seq + 1,
            "commits", position.version + 1, body(position.seq + 1, position.version + 1),
        )  # fmt: skip
        node.cell.port.propose(pack([item]))

    (leader,) = [node for node in "abc" if cell.node(node).cell.leading]
    cell.run(leader, propose())


def entry(content: Callable[[int], bytes]) -> Callable[[int, int], bytes]:
    def body(seq: int, version: int) -> bytes:
        (record,) = encode(Entry(seq, version - 1, 1, (EncodedCommit(version, content(version)),)))
        return record.body

    return body


def set_aside_everywhere(cell: Company, project: str) -> None:
    """Each node says so, and why, to whoever asks."""
    for node in "abc":
        eventually(lambda node=node: cell.node(node).accord.differing == 1)  # type: ignore[misc]
        answer = cell[node].http.get(f"/v1/projects/{project}/commits")
        assert answer.status_code == 503 and "set aside" in answer.text, answer.text
        assert cell[node].http.get("/readyz").status_code == 503


@pytest.mark.parametrize("what", POISON)
def test_an_entry_that_no_node_can_apply_stops_its_project_and_nothing_else(cell: Company, what: str) -> None:  # K87
    project, other = cell.project(), cell.project()
    ended = ends(cell)
    write(cell, "a", project, "one")
    poison(cell, project, entry(POISON[what]))
    set_aside_everywhere(cell, project)
    assert write(cell, "b", other, "goes on") == 2
    assert [texts(cell, node, other, "?level=strict") for node in "abc"] == [["goes on"]] * 3
    assert ended == []


@pytest.mark.parametrize("body", [b"", b"\x93\x01", b"\x80\x04K\x01.", msgpack.packb([2, "commits", 3, 2, 1, [], []])])
def test_an_entry_that_no_node_can_read_stops_its_project_and_nothing_else(cell: Company, body: bytes) -> None:  # K87
    project, other = cell.project(), cell.project()
    ended = ends(cell)
    write(cell, "a", project, "one")
    poison(cell, project, lambda seq, version: body)
    set_aside_everywhere(cell, project)
    assert write(cell, "b", other, "goes on") == 2
    assert ended == []


def test_a_cell_starts_again_with_an_entry_that_no_node_can_apply(cell: Company) -> None:  # K87
    project, other = cell.project(), cell.project()
    write(cell, "a", project, "one")
    write(cell, "a", other, "one")
    poison(cell, project, entry(POISON["a row that is not there"]))
    set_aside_everywhere(cell, project)
    for node in "abc":
        away(cell, node)
    cell.start()
    ended = ends(cell)
    for node in "abc":
        assert cell[node].http.get(f"/v1/projects/{project}/commits").status_code == 503
    set_aside_everywhere(cell, project)
    assert write(cell, "b", other, "goes on", counter=2) == 3
    assert ended == []


def test_a_catalog_that_no_node_can_go_on_with_stays_where_it_is(cell: Company) -> None:  # K87
    project = cell.project()
    ended = ends(cell)
    poison(cell, CATALOG_ID, entry(POISON["a row that is not there"]))
    for node in "abc":
        eventually(lambda node=node: CATALOG_ID in cell[node].http.get("/readyz").text)  # type: ignore[misc]
        assert cell[node].http.get(f"/v1/projects/{project}/commits").status_code == 200
    assert ended == [] and not list(cell.folder.rglob("*.differed"))


def test_a_mutation_that_breaks_its_rehearsal_ends_no_node(cell: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    # K87
    run = Rehearsal.run

    def breaks(self: Rehearsal, mutations: Any) -> Any:
        if any("poison" in str(mutation.body) for mutation in mutations):
            raise KeyError("poison")
        return run(self, mutations)

    project, other = cell.project(), cell.project()
    ended = ends(cell)
    monkeypatch.setattr(Rehearsal, "run", breaks)
    assert cell["b"].http.post(f"/v1/projects/{project}/mutations", json=push("poison")).status_code == 503
    assert write(cell, "b", other, "goes on") == 2
    assert write(cell, "b", project, "goes on", client="2" * 32) == 2
    assert ended == []


def ends(cell: Company) -> list[str]:
    """What nodes say when they end, from now on."""
    said: list[str] = []
    for node in "abc":
        cell[node].app.ended = said.append
    return said
