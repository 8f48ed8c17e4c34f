"""Trimming the journal, and coming back without what it had (SPEC K61, K62)."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sharelite import copies
from sharelite.catalog import Catalog
from sharelite.cluster.alone import Alone
from sharelite.cluster.lane import Lane
from sharelite.cluster.payload import Item
from sharelite.copies import Copies
from sharelite.errors import Damaged
from sharelite.exchange import Exchange
from sharelite.following import Following
from sharelite.project import Project, Workers
from sharelite.storage.files import Files
from sharelite.storage.images import Gallery
from sharelite.storage.manifest import CHUNK
from sharelite.sync.apply import Mismatch
from sharelite.yard import NotHere, Yard
from tests.carrying import imported
from tests.company import Company, company
from tests.foreign_files import SAMPLE, small
from tests.roads import row_digest
from tests.test_accord import eventually, settled, spoil
from tests.test_cell_service import gone, texts, write


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Company]:
    with company(tmp_path) as made:
        yield made


def trim(cell: Company, *nodes: str) -> list[int]:
    return [cell.run(node, cell.node(node).levelling.trim()) for node in nodes]


async def opened(cell: Company, node: str, project: str) -> Project:
    """As it is at a node now."""
    async with cell.node(node).catalog.hold(project) as found:
        return found


def away(cell: Company, node: str) -> None:
    """Stopped, and its end of the log is gone with it."""
    cell[node].stop()
    del cell.serving[node]
    cell.memory.restart(node)


def test_the_journal_forgets_only_what_is_synced(cell: Company) -> None:  # K61
    project = cell.project()
    write(cell, "a", project, "one")
    (upto,) = trim(cell, "a")
    assert upto == cell.node("a").cell.delivered == int((cell.folder / "a" / "level").read_text())
    assert cell.memory.log.trimmed is not None and cell.memory.log.trimmed[0] == upto
    assert [lane.unsynced for lane in cell.node("a").cell.lanes()] == [None, None]


def test_a_project_that_is_not_level_keeps_the_journal(cell: Company) -> None:  # K61
    project = cell.project()
    lane = cell.node("b").cell.lane(project)
    assert cell["b"].http.get(f"/v1/projects/{project}?level=strict").status_code == 200
    cell.run("b", opened(cell, "b", project))
    trim(cell, "b")
    lane.next, first = lambda: None, lane.next  # type: ignore[method-assign]
    version = write(cell, "a", project, "one")
    cell.node("b").cell.level -= 1
    level = cell.node("b").cell.level
    waits, lane.waits_for = lane.waits_for, lambda index: False  # type: ignore[method-assign]
    trim(cell, "b")
    assert lane.unsynced is not None
    lane.next, lane.waits_for = first, waits  # type: ignore[method-assign]
    lane.call()
    assert texts(cell, "b", project, f"?at_least={version}") == ["one"] and level >= 0


def test_a_node_that_was_away_for_too_long_fetches_what_is_forgotten(cell: Company) -> None:  # K62
    project, dropped = cell["a"].project("stays"), cell["a"].project("goes")
    write(cell, "a", project, "one")
    away(cell, "c")
    for number in range(20):
        write(cell, "b", project, str(number), counter=number + 2)
    later = cell["b"].project("made meanwhile")
    cell["b"].http.delete(f"/v1/projects/{dropped}")
    trim(cell, "a", "b")
    cell.start("c")
    assert texts(cell, "c", project, "?level=strict") == ["one", *map(str, range(20))]
    assert cell["c"].http.get(f"/v1/projects/{later}?level=strict").status_code == 200
    gone(cell, "c", dropped)


def test_a_deletion_that_a_node_had_not_brought_to_its_end_is_ended_at_its_next_start(cell: Company) -> None:  # K55
    project = cell.project()
    folder = cell.folder / "c" / "projects" / project
    assert folder.exists()
    cell["b"].http.delete(f"/v1/projects/{project}")
    gone(cell, "c", project)
    away(cell, "c")
    shutil.copytree(cell.folder / "c" / "catalog", folder)  # killed before it was removed
    cell.start("c")
    gone(cell, "c", project)


def test_a_deletion_that_is_delivered_before_the_catalog_is_read_is_seen(cell: Company) -> None:  # K55, K62
    stays, dropped = cell.project(), cell.project()
    away(cell, "c")
    cell["b"].http.delete(f"/v1/projects/{dropped}")
    write(cell, "a", stays, "one")
    found = Catalog.found

    async def late(self: Catalog, lane: Lane) -> Project:
        while lane.first() is None:
            await asyncio.sleep(0.01)
        return await found(self, lane)

    Catalog.found = late  # type: ignore[method-assign]
    try:
        cell.start("c")
    finally:
        Catalog.found = found  # type: ignore[method-assign]
    gone(cell, "c", dropped)
    assert texts(cell, "c", stays, "?level=strict") == ["one"]


def test_what_is_delivered_before_the_catalog_is_read_is_not_lost(
    cell: Company, monkeypatch: pytest.MonkeyPatch
) -> None:  # K55, K62
    stays = cell.project()
    away(cell, "c")
    write(cell, "a", stays, "one")
    load, attend, asked = Catalog.load, Following.attend, dict[str, Following]()

    def noted(self: Following, project: str) -> None:
        asked[project] = self
        attend(self, project)

    async def late(self: Catalog, own: Project) -> None:
        while stays not in asked:
            await asyncio.sleep(0.01)
        asked[stays].stir()  # as when the role changes
        for _ in range(20):  # whoever asks too early whether there is such a project has his answer by now
            await asyncio.sleep(0.01)
        await load(self, own)

    monkeypatch.setattr(Following, "attend", noted)
    monkeypatch.setattr(Catalog, "load", late)
    cell.start("c")
    assert texts(cell, "c", stays, "?level=strict") == ["one"]


def test_a_wiped_node_comes_back_with_everything(cell: Company) -> None:  # K62
    project = cell.project()
    for number in range(30):
        write(cell, "a", project, str(number), counter=number + 1)
    away(cell, "b")
    shutil.rmtree(cell.folder / "b")
    trim(cell, "a", "c")
    cell.start("b")
    assert texts(cell, "b", project, "?level=strict") == list(map(str, range(30)))
    assert write(cell, "b", project, "29", counter=30) == 31
    nodes = [cell.run(node, opened(cell, node, project)) for node in "abc"]
    assert len({node.position for node in nodes}) == 1
    assert len({(node.epoch, node._road.row_digest) for node in nodes}) == 1


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Projects that were copied; those of ten commits are."""
    made: list[str] = []
    place = Copies._place

    def noted(self: Copies, folder: Path) -> None:
        place(self, folder)
        made.append(folder.name)

    monkeypatch.setattr(Copies, "_place", noted)
    monkeypatch.setattr(copies, "LONG_COMMITS", 10)
    monkeypatch.setattr(copies, "COMMIT_BYTES", 1 << 20)
    return made


def long(cell: Company, project: str, entries: int = 30, size: int = 1) -> list[str]:
    """So many mutations; their texts."""
    made = [f"{number}" * size for number in range(entries)]
    for number, text in enumerate(made):
        write(cell, "a", project, text, row=f"n{number}", counter=number + 1)
    return made


def wiped(cell: Company, node: str) -> None:
    """Started again with nothing, and nothing of before is in the journals."""
    away(cell, node)
    shutil.rmtree(cell.folder / node)
    trim(cell, *(other for other in "abc" if other != node))
    cell.start(node)


def same_everywhere(cell: Company, project: str) -> None:
    for node in "abc":
        assert cell[node].http.get(f"/v1/projects/{project}?level=strict").status_code == 200
    found = [cell.run(node, opened(cell, node, project)) for node in "abc"]
    assert len({each.position for each in found}) == 1
    assert len({(each.epoch, each._road.row_digest) for each in found}) == 1
    digests = {row_digest(cell.folder / node / "projects" / project) for node in "abc"}
    assert len(digests) == 1


def test_a_wiped_node_copies_a_long_project(cell: Company, copied: list[str]) -> None:  # K62
    project, short = cell.project(), cell["a"].project("short")
    made = long(cell, project)
    write(cell, "a", short, "one")
    wiped(cell, "b")
    assert texts(cell, "b", project, "?level=strict") == made and copied == [project]
    assert texts(cell, "b", short, "?level=strict") == ["one"]
    assert write(cell, "b", project, "29", row="n29", counter=30) == 31  # a repeat
    assert write(cell, "b", project, "more", row="m", counter=31) == 32
    same_everywhere(cell, project)
    assert not list((cell.folder / "b" / "projects" / project).glob("*.part*"))


def test_entries_behind_the_rows_that_were_copied_follow(cell: Company, copied: list[str]) -> None:  # K62
    project = cell.project()
    made = long(cell, project)
    for node in "ac":
        assert cell[node].http.get(f"/v1/projects/{project}/image").status_code == 200
    write(cell, "a", project, "after", row="m", counter=31)
    wiped(cell, "b")
    assert texts(cell, "b", project, "?level=strict") == [*made, "after"] and copied == [project]
    same_everywhere(cell, project)


def test_what_has_come_of_a_copy_is_not_asked_for_again(
    cell: Company, copied: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # K62
    project = cell.project()
    long(cell, project, 40, 10_000)
    texts(cell, "c", project, "?level=strict")
    image = cell["c"].http.get(f"/v1/projects/{project}/image").json()
    content = bytearray(cell["c"].http.get(image["url"]).content)
    content[3 * CHUNK + 7] ^= 1
    asked: list[bytes] = []
    read = Exchange._read

    def noted(self: Exchange, hash: bytes) -> bytes | None:
        asked.append(hash)
        return read(self, hash)

    monkeypatch.setattr(Exchange, "_read", noted)
    away(cell, "b")
    shutil.rmtree(cell.folder / "b")
    trim(cell, "a", "c")
    folder = cell.folder / "b" / "projects" / project
    folder.mkdir(parents=True)
    (folder / "data.db.part").write_bytes(content)
    cell.start("b")
    same_everywhere(cell, project)
    assert copied == [project] and len(content) > 10 * CHUNK
    assert 1 <= len(asked) <= 2  # the spoilt one, and the first, which says the entry, where another node was asked


def test_rows_that_are_not_what_they_state_are_not_taken(cell: Company, copied: list[str]) -> None:  # K62
    project = cell.project()
    made = ["one", *long(cell, project)]
    write(cell, "a", project, "one", row="first", counter=31)
    texts(cell, "c", project, "?level=strict")
    spoil(cell, "c", project, log=False)
    wiped(cell, "b")
    assert sorted(texts(cell, "b", project, "?level=strict")) == sorted(made)
    assert row_digest(cell.folder / "a/projects" / project) == row_digest(cell.folder / "b/projects" / project)


def test_without_an_image_in_order_the_log_is_replayed(
    cell: Company, copied: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # K62
    monkeypatch.setattr(Exchange, "_read", lambda *_: None)
    monkeypatch.setattr(copies, "ATTEMPTS", 1)
    project = cell.project()
    made = long(cell, project)
    wiped(cell, "b")
    assert texts(cell, "b", project, "?level=strict") == made and copied == []
    same_everywhere(cell, project)
    assert not list((cell.folder / "b" / "projects" / project).glob("*.part*"))


def test_a_long_project_that_differs_is_copied_anew(cell: Company, copied: list[str]) -> None:  # K62, K71
    project = cell.project()
    made = long(cell, project)
    write(cell, "a", project, "one", row="first", counter=31)
    texts(cell, "c", project, "?level=strict")
    spoil(cell, "c", project, log=True)
    write(cell, "a", project, "two", row="m", counter=32)
    eventually(lambda: copied == [project])
    settled(cell, "c", project)
    assert texts(cell, "c", project) == [*made, "one", "two"]
    same_everywhere(cell, project)


def test_a_long_project_of_an_imported_file_is_copied_with_it(cell: Company, copied: list[str]) -> None:  # K62, K68
    sample = small(cell.folder / "sample.db", SAMPLE)
    project = imported(cell["a"].http, sample, "by file")["project"]
    for number in range(15):
        changes = {"changes": [["u", "shape-v2", [1], {"Total": number + 0.5}]]}
        assert cell["a"].http.post(f"/v1/projects/{project}/mutations", json=changes).status_code == 200
    wiped(cell, "c")
    same_everywhere(cell, project)
    assert copied == [project] and list((cell.folder / "c" / "projects" / project).glob("base-*.db"))


def test_a_node_that_was_stopped_tidily_takes_nothing_again(cell: Company) -> None:  # K61
    project = cell.project()
    write(cell, "a", project, "one")
    texts(cell, "c", project, "?level=strict")
    away(cell, "c")
    level = int((cell.folder / "c" / "level").read_text())
    cell.start("c")
    assert cell.node("c").cell.level == level
    assert texts(cell, "c", project, "?level=strict") == ["one"]


def test_a_file_that_is_imported_at_any_node_is_on_every_node(cell: Company) -> None:  # K68
    sample = small(cell.folder / "sample.db", SAMPLE)
    project = imported(cell["b"].http, sample, "by file")["project"]
    changes = {"changes": [["u", "shape-v2", [1], {"Total": 9.5}]]}
    assert cell["c"].http.post(f"/v1/projects/{project}/mutations", json=changes).json() == {"version": 2}
    for node in "abc":
        assert cell[node].http.get(f"/v1/projects/{project}/commits?level=strict").json()["version"] == 2
        (base,) = (cell.folder / node / "projects" / project).glob("base-*.db")
        assert hashlib.sha256(base.read_bytes()).hexdigest() in base.name


def test_a_wiped_node_fetches_the_files_that_logs_go_on_from(cell: Company) -> None:  # K68
    project = imported(cell["a"].http, small(cell.folder / "sample.db", SAMPLE), "by file")["project"]
    away(cell, "c")
    shutil.rmtree(cell.folder / "c")
    trim(cell, "a", "b")
    cell.start("c")
    assert cell["c"].http.get(f"/v1/projects/{project}/commits?level=strict").json()["version"] == 1
    assert list((cell.folder / "c" / "projects" / project).glob("base-*.db"))


def test_a_replica_that_cannot_follow_is_fetched_anew_while_its_node_goes_on(cell: Company) -> None:  # K60
    project, other = cell.project(), cell.project()
    write(cell, "a", project, "one")
    texts(cell, "c", project, "?level=strict")
    opened = cell.node("c").catalog._openings.look(project)
    assert opened is not None
    road: Any = opened._road
    road._bring = _mismatch
    write(cell, "a", project, "two", counter=2)
    version = write(cell, "a", other, "three")
    assert texts(cell, "c", other, f"?at_least={version}") == ["three"]
    assert texts(cell, "b", project, "?level=strict") == ["one", "two"]
    eventually(lambda: opened.trouble is not None)
    settled(cell, "c", project)
    assert texts(cell, "c", project) == ["one", "two"]


def _mismatch(*_: object) -> None:
    raise Mismatch("not what it was")


def test_files_that_the_power_emptied_are_damaged_only_where_the_cell_goes_on_from_more(tmp_path: Path) -> None:  # K85
    project, files = "a" * 32, Files(in_cell=True)
    (tmp_path / "projects" / project).mkdir(parents=True)
    files.log(tmp_path / "projects" / project / "log.db").close()
    lane = Lane(project, lambda _: None, lambda _: None, lambda *_: None, lambda *_: None)
    with ThreadPoolExecutor(2) as pool:
        yard = Yard(files, tmp_path, Workers.of(pool, pool), Alone(), {}, Gallery(files, tmp_path))
        with pytest.raises(NotHere, match="not on this node yet"):
            yard.open(project, lane)
        lane.put_at(9, Item(project, "e" * 32, b"t" * 16, 5, b"d" * 16, b"", 6, "commits", 6, b""))
        with pytest.raises(Damaged, match="holds no version"):
            yard.open(project, lane)


def test_an_empty_log_that_nothing_will_bring_is_fetched_anew(cell: Company) -> None:  # K84, K85
    project = cell.project()
    write(cell, "a", project, "kept")
    trim(cell, *"abc")
    cell["c"].stop()
    folder = cell.folder / "c" / "projects" / project
    for path in folder.glob("*.db*"):
        path.unlink()
    Files(in_cell=True).log(folder / "log.db").close()
    cell.start("c")
    eventually(lambda: cell["c"].http.get(f"/v1/projects/{project}/commits").status_code == 200)
    assert texts(cell, "c", project) == ["kept"]
