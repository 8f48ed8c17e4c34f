"""SQL under bad luck: chance, cascades and REPLACE in every feed; a server killed and connections cut at every step."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sharelite.errors import Unavailable
from sharelite.model import Mutation, MutationId, Outcome, Statement
from sharelite.schema.contract import Contract
from sharelite.schema.tables import create_steps
from sharelite.sync import digest, wire
from sharelite.sync.apply import ChangeWriter
from sharelite.sync.held import Held
from sharelite.sync.log import Log
from sharelite.sync.shape import shapes
from tests.desks import Desk, Refusal, desk
from tests.roads import SCENE, new_road, one, rows
from tests.running import RunningServer
from tests.serving import PATIENCE

#: What nobody can do twice alike, or what SQLite does beside what it is told.
CHANCE = [
    "INSERT INTO layer(id, title) VALUES ('l1', 'one'), ('l2', 'two'), ('l3', 'three')",
    "INSERT INTO note(id, layer, text, size) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 60) "
    "SELECT hex(randomblob(4)), 'l' || (1 + n % 3), substr(datetime('now'), 1, 19), abs(random() % 100) FROM c",
    "UPDATE note SET text = time('now', '+' || abs(random() % 60) || ' seconds') WHERE id IN "
    "(SELECT id FROM note ORDER BY random() LIMIT 10)",
    "DELETE FROM note WHERE id IN (SELECT id FROM note ORDER BY random() LIMIT 5)",
    "REPLACE INTO layer(id, title) VALUES ('l9', 'two')",
    "INSERT INTO layer(id, title) VALUES ('l1', 'uno') ON CONFLICT(id) DO UPDATE SET title = excluded.title || id",
    "UPDATE layer SET id = id || '+' WHERE id = 'l9'",
    "DELETE FROM layer WHERE id = 'l3'",
]


TRIGGER = (
    'CREATE TRIGGER "told" AFTER DELETE ON note WHEN OLD.size > 50 BEGIN '
    "INSERT INTO note(id, text) VALUES ('t' || hex(randomblob(4)), time('now')); END"
)
TRIGGERED = {**SCENE, "x-sql": {"triggers": {"told": TRIGGER}}}


class Follower:
    """A browser, as far as its rows go: the tables of the contract, and every commit of its feed applied to them."""

    def __init__(self, server: RunningServer, project: str) -> None:
        self.database = apsw.Connection(":memory:")
        self.database.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        for step in create_steps(Contract.parse(TRIGGERED)):
            self.database.execute(step)
        self._writer = ChangeWriter(self.database)
        self.version = 0
        address = f"ws://127.0.0.1:{server.port}/v1/projects/{project}/live"
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(address, max_size=None))
        hello = {"type": "hello", "protocol": 1, "client": secrets.token_hex(16), "cursor": 0}
        self._socket.send(json.dumps(hello))

    def close(self) -> None:
        self._open.close()

    def follow(self, version: int) -> None:
        while self.version < version:
            message = json.loads(self._socket.recv(PATIENCE))
            for commit in message.get("commits", ()):
                assert commit["v"] == self.version + 1
                for change in wire.decode_commit(json.dumps(commit).encode()).changes:
                    self._writer.write(change)
                self.version = commit["v"]

    def digest(self) -> int:
        return digest.whole(self.database, shapes(self.database).values())


def stored_digest(data: Path, project: str) -> tuple[int, int]:
    """The row digest that the database states, and that of its rows."""
    database = apsw.Connection(str(data / "projects" / project / "data.db"))
    stated: Any = database.execute('SELECT row_digest FROM "_sharelite" WHERE id=1').fetchall()[0][0]
    return int.from_bytes(stated, "big"), digest.whole(database, shapes(database).values())


def test_what_chance_did_is_the_same_in_every_feed_and_after_recovery(tmp_path: Path) -> None:  # Q4, Q19
    with RunningServer(tmp_path / "data") as server:
        project = server.create("chance", TRIGGERED)
        followers = [Follower(server, project) for _ in range(3)]
        with desk(server, project) as ann:
            for text in CHANCE:
                version = ann.ask("sql", statements=[text])["version"]
            ann.begin()
            for text in ["UPDATE note SET size = abs(random() % 100)", "DELETE FROM note WHERE random() % 4 = 0"]:
                ann.run(text)
            version = ann.commit()["version"]
        for follower in followers:
            follower.follow(version)
            follower.close()
        server.kill()
        server.start()
        assert server.ask("POST", f"/v1/projects/{project}/sql", {"statements": ["SELECT 1"]})[0] == 200
        server.stop()
        assert {*stored_digest(server.data, project)} == {follower.digest() for follower in followers}
        assert rows(server.data / "projects" / project, "SELECT count(*) FROM note")[0][0] > 0


def steps(ann: Desk, id: list[Any], name: str) -> Iterator[Callable[[], object]]:
    """A transaction that writes two rows, step by step; it happens with the last one, whole, or not at all."""
    yield lambda: ann.begin()
    yield lambda: ann.run("SELECT count(*) FROM note")
    yield lambda: ann.run("INSERT INTO note(id) VALUES (?)", f"{name} 1")
    yield lambda: ann.run("SAVEPOINT s")
    yield lambda: ann.run("INSERT INTO note(id) VALUES (?)", f"{name} 2")
    yield lambda: ann.commit(id=id)


@pytest.mark.parametrize("end", ["server", "connection"])
def test_whatever_ends_in_the_middle_of_a_transaction_it_is_whole_or_nothing(tmp_path: Path, end: str) -> None:  # Q12
    with RunningServer(tmp_path / "data") as server:
        project = server.create("in the middle", SCENE)
        counter, client = 0, secrets.token_hex(16)
        for phase in range(2, 7):
            for delay in (0.0, 0.002) if phase == 5 else (0.001,):
                counter += 1
                outcome = interrupted(server, project, [client, counter], phase, delay, end)
                with desk(server, project) as again:
                    found = [row[0] for row in again.run("SELECT id FROM note WHERE id LIKE ? || ' %'", str(counter))]
                assert found == ([f"{counter} 1", f"{counter} 2"] if outcome == "committed" else [])
                assert phase < 6 or outcome == "committed"


def interrupted(server: RunningServer, project: str, id: list[Any], phase: int, delay: float, end: str) -> str:
    """Go as far as the phase, have it end there, and ask what became of it."""
    with desk(server, project) as ann:
        begun = ""
        for place, step in enumerate(steps(ann, id, str(id[1]))):
            if place == phase:
                threading.Thread(target=quietly, args=(step,)).start()
                time.sleep(delay)
                break
            answer = step()
            begun = str(answer["transaction"]) if isinstance(answer, dict) and "transaction" in answer else begun
        if end == "server":
            server.kill()
            server.start()
        else:
            ann.socket.socket.close()
    return asked_again(server, project, id, begun)


def asked_again(server: RunningServer, project: str, id: list[Any], transaction: str) -> str:
    with desk(server, project) as again:
        try:
            again.commit(id=id, transaction=transaction or "0" * 32)
        except Refusal as refused:
            return str(refused.code)
    return "committed"


def quietly(step: Callable[[], object]) -> None:
    try:
        step()
    except (ConnectionClosed, OSError, AssertionError):
        return


class _Full:
    """A replicator whose disk is full once."""

    def __init__(self) -> None:
        self.full = False

    def replicate(self, log: Log, records: Any, entry: Any) -> Any:
        if self.full:
            self.full = False
            raise apsw.FullError("disk full")
        log.append(records, entry)
        return "committed"


def test_a_commit_on_a_full_disk_is_nothing_and_may_be_asked_again(tmp_path: Path) -> None:  # Q12
    replicator = _Full()
    road = new_road(tmp_path, replicator=replicator)
    held, _ = road.hold(None)
    assert isinstance(held, Held)
    held.run(Statement("INSERT INTO note(id) VALUES ('a')"))
    mutation = Mutation("ann", held.finish(), MutationId("c" * 32, 1))
    replicator.full = True
    with pytest.raises(Unavailable, match="disk is full"):
        road.travel([mutation])
    assert rows(tmp_path, "SELECT id FROM note") == []
    assert one(road.travel([mutation])) == Outcome("committed", 2)
    assert rows(tmp_path, "SELECT id FROM note") == [("a",)]
    road.close()


TREE = {
    "type": "object",
    "properties": {
        "part": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "integer"},
                    "place": {"type": "integer", "x-sql": {"unique": True}},
                    "parent": {"type": "integer", "x-sql": {"references": "part", "onDelete": "cascade"}},
                },
            },
        }
    },
}


def test_cascades_into_the_same_table_and_swaps_of_unique_values(tmp_path: Path) -> None:  # Q4
    with RunningServer(tmp_path / "data") as server:
        project = server.create("tree", TREE)
        with desk(server, project) as ann:
            ann.run(
                "INSERT INTO part(id, place, parent) VALUES (1, 1, NULL), (2, 2, 1), (3, 3, 2), (4, 4, 3), (5, 5, NULL)"
            )
            assert ann.ask("sql", statements=["INSERT INTO part(place) VALUES (6)"])["results"][0]["last_id"] == 6
            with pytest.raises(Refusal, match="unique"):
                ann.run("UPDATE part SET place = CASE id WHEN 1 THEN 5 WHEN 5 THEN 1 END WHERE id IN (1, 5)")
            ann.begin()
            ann.run("UPDATE part SET place = -1 WHERE id = 1")
            ann.run("UPDATE part SET place = 1 WHERE id = 5")
            ann.run("UPDATE part SET place = 5 WHERE id = 1")
            ann.commit()
            assert ann.ask("sql", statements=["DELETE FROM part WHERE id = 1"])["results"][0]["affected"] == 1
            assert ann.run("SELECT id, place FROM part ORDER BY id") == [[5, 1], [6, 6]]
        server.stop()
        stated, found = stored_digest(server.data, project)
        assert stated == found
