"""The nodes of a cell make the same images, and one whose bytes differ is noticed (SPEC K76, K77)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from sharelite.cluster.agreement import Judgement, judge
from sharelite.cluster.lane import Lane
from sharelite.config import ImagePolicy
from sharelite.project import Project
from sharelite.publishing import Alike, NotPublished, Pinned
from sharelite.storage.files import PAGE_SIZE
from sharelite.storage.manifest import CHUNK, Image
from sharelite.sync.entry import Entry, Published
from tests.company import Company, company
from tests.roads import databases, new_road, publisher
from tests.test_accord import eventually, opened, settled, word
from tests.test_cell_service import texts, write

#: Its row fills a page of its own but for the last bytes, which belong to nothing.
LONG = "x" * 4100
#: Images are made when somebody asks.
SELDOM = ImagePolicy(quiet=1e6, every=1e6, behind=1e6)


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Company]:
    with company(tmp_path, images=SELDOM) as made:
        yield made


def leader(cell: Company) -> str:
    (found,) = [node for node in "abc" if cell.node(node).cell.leading]
    return found


def followers(cell: Company) -> list[str]:
    return [node for node in "abc" if node != leader(cell)]


def long(cell: Company) -> str:
    """A project with the long row, on every node."""
    project = cell.project()
    write(cell, "a", project, LONG, row="long")
    for node in "abc":
        texts(cell, node, project, "?level=strict")
    return project


def flip(cell: Company, node: str, project: str) -> None:
    """One bit of a node's database that no row uses, beneath its feet."""

    async def settle() -> None:
        found = await opened_there(cell, node, project)
        async with found.own_turn():
            await found.in_turn(found._road.checkpoint)

    cell.run(node, settle())
    path = cell.folder / node / "projects" / project / "data.db"
    content = bytearray(path.read_bytes())
    (place,) = [end for end in range(PAGE_SIZE, len(content) + 1, PAGE_SIZE) if _tail(content, end)]
    with path.open("r+b") as file:
        file.seek(place - 1)
        file.write(bytes([content[place - 1] ^ 1]))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def _tail(content: bytearray, end: int) -> bool:
    """Whether a page holds the end of the long text, and nothing at its own end."""
    page = content[end - PAGE_SIZE : end]
    return page[4:1004] == b"x" * 1000 and page[-100:] == bytes(100)


async def opened_there(cell: Company, node: str, project: str) -> Project:
    async with cell.node(node).catalog.hold(project) as found:
        return found


def image(cell: Company, node: str, project: str) -> dict[str, Any]:
    answer = cell[node].http.get(f"/v1/projects/{project}/image")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def publish(cell: Company, project: str) -> int:
    return cell[leader(cell)].http.get(f"/v1/projects/{project}/db").status_code


def shown_everywhere(cell: Company, project: str, text: str) -> None:
    """Every node has the same newest image, and that is right."""
    eventually(lambda: len({str(image(cell, node, project)) for node in "abc"}) == 1)
    described = image(cell, "a", project)
    for node in "abc":
        content = cell[node].http.get(described["url"]).content
        pieces = [hashlib.sha256(content[at : at + CHUNK]).digest() for at in range(0, len(content), CHUNK)]
        assert hashlib.sha256(b"".join(pieces)).hexdigest() == described["hash"]
        rows = apsw.Connection(":memory:")
        rows.deserialize("main", content)
        assert text in [row[0] for row in rows.execute("SELECT text FROM note")]


def test_an_image_that_the_leader_publishes_is_at_every_node_with_the_same_address(cell: Company) -> None:  # K76, I2
    project = long(cell)
    for number, text in enumerate(("one", "two")):
        write(cell, "b", project, text, row="n", counter=number + 2)
        assert publish(cell, project) == 200
        shown_everywhere(cell, project, text)
    for node in "abc":
        assert len(list((cell.folder / node / "projects" / project / "images").glob("*-*"))) == 2


def test_a_follower_with_another_byte_is_fetched_anew(cell: Company) -> None:  # K76, K71
    project, node = long(cell), followers(cell)[0]
    flip(cell, node, project)
    write(cell, "a", project, "one", row="n", counter=2)
    assert publish(cell, project) == 200
    eventually(lambda: (cell.folder / node / "projects" / project / "log.db.differed").exists())
    settled(cell, node, project)
    write(cell, "a", project, "two", row="n", counter=3)
    assert publish(cell, project) == 200
    shown_everywhere(cell, project, "two")


def test_a_leader_with_another_byte_publishes_nothing_and_is_fetched_anew(cell: Company) -> None:  # K76, K71
    project, node = long(cell), leader(cell)
    flip(cell, node, project)
    write(cell, "a", project, "one", row="n", counter=2)
    assert publish(cell, project) == 503
    eventually(lambda: (cell.folder / node / "projects" / project / "log.db.differed").exists())
    settled(cell, node, project)
    eventually(lambda: publish(cell, project) == 200)
    shown_everywhere(cell, project, "one")


def test_where_no_two_have_the_same_bytes_each_makes_its_file_from_its_log(cell: Company) -> None:  # K77
    project = long(cell)
    one, other = followers(cell)
    flip(cell, one, project)
    flip(cell, other, project)
    path = cell.folder / other / "projects" / project / "data.db"
    with path.open("r+b") as file:  # another byte than that of the first one
        file.seek(-2, 2)
        file.write(bytes([path.read_bytes()[-2] ^ 1]))
    write(cell, "a", project, "one", row="n", counter=2)
    publish(cell, project)
    eventually(lambda: publish(cell, project) == 200)
    shown_everywhere(cell, project, "one")
    assert not list(cell.folder.glob(f"*/projects/{project}/*.differed"))


def test_a_node_with_another_build_of_sqlite_is_not_compared(cell: Company) -> None:  # K77
    project, node = long(cell), followers(cell)[0]
    flip(cell, node, project)
    found = cell.run(node, opened(cell, node, project))
    found._imaging._publisher.build = bytes(8)
    write(cell, "a", project, "one", row="n", counter=2)
    assert publish(cell, project) == 200
    newest = image(cell, leader(cell), project)
    eventually(lambda: image(cell, node, project)["version"] == newest["version"])
    assert image(cell, node, project)["hash"] != newest["hash"]
    assert cell[node].http.get(newest["url"]).status_code == 200
    assert not list(cell.folder.glob(f"*/projects/{project}/*.differed"))


def test_images_are_compared_only_between_equal_builds() -> None:  # K77
    one, two, other = b"build--1" + b"x", b"build--1" + b"y", b"build--2" + b"y"
    rows = {7: b"rows"}
    assert word(rows | {-5: one}, rows | {-5: two}, rows | {-5: two}, seq=-5) == "differs"
    assert word(rows | {-5: one}, rows | {-5: other}, rows | {-5: two}, seq=-5) == "agrees"
    assert judge("a", dict(zip("abc", [rows | {-5: one}, rows | {-5: two}, rows], strict=True)), 3, -5).word == (
        "undecided"
    )


def test_what_was_made_last_is_compared_whatever_was_in_doubt_before() -> None:  # K76
    x, y = b"build--1x", b"build--1y"
    told = [{9: b"r", -5: y, -7: y}, {9: b"r", -5: x, -7: x}, {9: b"r", -7: x}]
    assert judge("a", dict(zip("abc", told, strict=True)), 3, -5) == Judgement("differs", frozenset("bc"))
    assert word({9: b"r"}, {9: b"r", -7: x}, {9: b"r", -7: x}, seq=-7) == "agrees"


def test_a_node_that_does_not_lead_keeps_no_more_images_than_the_leader(cell: Company) -> None:  # I11, K76
    project = long(cell)
    for number in range(3):
        write(cell, "b", project, str(number), row="n", counter=number + 2)
        assert publish(cell, project) == 200
        shown_everywhere(cell, project, str(number))
    for node in "abc":
        gallery = cell.node(node).catalog.gallery
        gallery.retire_old(ImagePolicy(unread=0, read=0), True)
        assert [name.version for name in gallery.of(project).names()] == [5]
    shown_everywhere(cell, project, "2")


def test_who_can_make_no_image_does_not_hold_up_the_others(cell: Company) -> None:  # K77
    project = long(cell)
    for node in followers(cell):
        found = cell.run(node, opened(cell, node, project))
        found._imaging._publisher.make = full_disk
    write(cell, "a", project, "one", row="n", counter=2)
    assert publish(cell, project) == 200
    newest = image(cell, leader(cell), project)
    for node in "abc":
        assert cell[node].http.get(newest["url"]).status_code == 200
    assert not list(cell.folder.glob(f"*/projects/{project}/*.differed"))


def full_disk(pinned: Pinned) -> Image:
    raise NotPublished("the disk is full")


def test_an_image_that_was_made_before_a_restart_is_shown_when_it_is_published(tmp_path: Path) -> None:  # K76, I14
    files = databases(tmp_path)
    road = new_road(tmp_path, files=files)
    made = publisher(road, files, tmp_path)
    pinned = made.ready()
    made.begin(pinned)
    staged = made.make(pinned)
    pinned.close()
    told = Published(pinned.seq, pinned.version, staged.hash, made.build)
    again = publisher(road, files, tmp_path, in_cell=True)
    again.settle()
    Alike(again, Lane("p", *[lambda *_: None] * 4)).heard(
        Entry(pinned.seq + 1, pinned.version, 0, kind="published", image=told)
    )
    assert [name.hash for name in publisher(road, files, tmp_path).images.names()] == [staged.hash]
    road.close()


def test_what_is_asked_for_meanwhile_takes_no_image_away_that_waits_for_its_entry(tmp_path: Path) -> None:  # K76
    files = databases(tmp_path)
    road = new_road(tmp_path, files=files)
    node = publisher(road, files, tmp_path, in_cell=True)
    alike = Alike(node, Lane("p", *[lambda *_: None] * 4))
    with closing(node.ready()) as pinned:
        node.begin(pinned)
        alike.made(pinned, (image := node.make(pinned)))
    node.ready().close()
    told = Published(pinned.seq, pinned.version, image.hash, node.build)
    alike.heard(Entry(pinned.seq + 1, pinned.version, 0, kind="published", image=told))
    assert [name.hash for name in node.images.names()] == [image.hash]
    road.close()
