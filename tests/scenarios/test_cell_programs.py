"""Programs at a cell of real processes that are killed under them (SPEC D6, D8, D10, D18): bulk, prepared statements,
HA USE, reading what one wrote, and the feed."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest

import sharelite
from sharelite.driver import Connection, OperationalError, connect
from tests.cell_story import settled
from tests.cellular import Cellular, NodeProcess, cellular
from tests.running import PATIENCE

INSERT = "INSERT INTO item(id, part) VALUES (?, ?)"
COUNT = "SELECT count(*), count(DISTINCT id) FROM item"


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cellular]:
    with cellular(tmp_path_factory.mktemp("programs")) as made:
        yield made


@pytest.fixture
def project(cell: Cellular) -> str:
    """With a table; all nodes live and know it."""
    for name, node in cell.nodes.items():
        if not node.alive:
            cell.start(name)
    status, answer = cell.leader().ask("POST", "/v1/projects", {"name": secrets.token_hex(8)})
    assert status == 201, answer
    made = str(answer["id"])
    for node in cell.running():
        node.comes(f"/v1/projects/{made}")
    with connect(url(cell, made), timeout=PATIENCE) as ann:
        ann.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, part TEXT)")
    settled(cell)
    return made


def url(cell: Cellular, project: str, *first: str) -> str:
    """All nodes, these before the others."""
    names = [*first, *sorted(set(cell.nodes) - set(first))]
    return f"sharelite://{','.join(f'127.0.0.1:{cell[name].port}' for name in names)}/{project}"


def followers(cell: Cellular) -> list[str]:
    return sorted(set(cell.nodes) - {cell.leader().name})


def used(cell: Cellular, connection: Connection) -> NodeProcess:
    """The node that a connection is at."""
    wire = connection._line.connected()
    return next(node for node in cell.nodes.values() if wire.host.endswith(f":{node.port}"))


def when_written(cell: Cellular, project: str, killed: str) -> threading.Thread:
    """Kills a node when the first rows are there."""

    def run() -> None:
        with connect(url(cell, project, *[name for name in "abc" if name != killed]), timeout=PATIENCE) as bob:
            while bob.execute(COUNT).fetchone() == (0, 0):
                threading.Event().wait(0.005)
        cell[killed].kill()
        bob.close()

    killer = threading.Thread(target=run)
    killer.start()
    return killer


@pytest.mark.parametrize("at", ["leader", "follower"])
def test_bulk_goes_on_over_the_death_of_the_leader_and_each_set_is_there_once(
    cell: Cellular, project: str, at: str
) -> None:  # D6, D7
    leader = cell.leader().name
    first = leader if at == "leader" else followers(cell)[0]
    ann = connect(url(cell, project, first), timeout=PATIENCE, autocommit=True)
    killer = when_written(cell, project, leader)
    done = ann.executemany(INSERT, ((number, "x" * 50) for number in range(40_000)))
    killer.join(PATIENCE)
    assert not cell[leader].alive
    assert done.rowcount in (40_000, -1)  # the count of a message went with its answer
    assert ann.execute(COUNT).fetchone() == (40_000, 40_000)
    ann.close()


def test_bulk_in_a_transaction_is_gone_with_the_leader_and_can_be_done_again(
    cell: Cellular, project: str
) -> None:  # D6, Q21
    leader = cell.leader()
    ann = connect(url(cell, project, followers(cell)[0]), timeout=PATIENCE)

    def sets() -> Iterator[tuple[int, str]]:
        for number in range(3000):
            if number == 2500 and leader.alive:
                leader.kill()
            yield number, "x"

    with pytest.raises(OperationalError) as gone:
        ann.executemany(INSERT, sets())
    assert gone.value.code in ("lease_expired", "unavailable"), gone.value.code
    ann.rollback()
    assert ann.execute(COUNT).fetchone() == (0, 0)
    with ann:
        ann.executemany(INSERT, sets())
    assert ann.execute(COUNT).fetchone() == (3000, 3000)
    ann.close()


def test_a_connection_goes_on_at_other_nodes_with_what_it_prepared_and_wrote(
    cell: Cellular, project: str
) -> None:  # D6, D8, D18, Q22
    other = secrets.token_hex(8)
    ann = connect(url(cell, project, *followers(cell)), timeout=PATIENCE, autocommit=True)
    ann.execute("HA CREATE DB ?", (other,))
    ann.execute("HA USE ?; CREATE TABLE item(id INTEGER PRIMARY KEY, part TEXT)", (other,))
    for number in range(3):
        was = used(cell, ann)
        ann.execute(INSERT, (number, "home"))
        ann.execute(f"HA USE ?; {INSERT}", (other, number, "other"))
        was.kill()
        assert ann.execute("SELECT max(id) FROM item").fetchone() == (number,)
        assert ann.execute("HA USE ?; SELECT max(id) FROM item", (other,)).fetchone() == (number,)
        ann.begin()
        ann.execute(INSERT, (100 + number, "home"))
        ann.commit()
        assert used(cell, ann) is not was and ann.execute("SELECT max(id) FROM item").fetchone() == (100 + number,)
        ann.execute("DELETE FROM item WHERE id >= 100")
        was.start()
        settled(cell)
    ann.execute(f"CREATE TABLE made_by_{cell.leader().name}(id INTEGER PRIMARY KEY)")
    ann.close()


def test_a_feed_tells_every_commit_once_over_the_deaths_of_its_node_and_of_the_leader(
    cell: Cellular, project: str
) -> None:  # D10
    leader, (mine, third) = cell.leader().name, followers(cell)
    ann = connect(url(cell, project, third), timeout=PATIENCE, autocommit=True)
    after = ann.version

    def write() -> None:
        for number in range(150):
            if number == 50:
                cell[mine].kill()
            if number == 100:
                cell[mine].start()
                settled(cell)
                cell[leader].kill()
            ann.execute(INSERT, (number, "x"))

    async def story() -> list[tuple[int, object]]:
        heard: list[tuple[int, object]] = []
        async with aclosing(sharelite.feed(url(cell, project, mine, leader), after=after)) as commits:
            writing = asyncio.create_task(asyncio.to_thread(write))
            while len(heard) < 150:
                commit = await asyncio.wait_for(anext(commits), 2 * PATIENCE)
                heard.append((commit.version, commit.changes[0].key[0]))
            await writing
        return heard

    assert asyncio.run(story()) == [(after + 1 + number, number) for number in range(150)]
    ann.close()
