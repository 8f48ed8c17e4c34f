"""Programs that speak SQL to a cell of real processes while its nodes are killed (SPEC D6, Q12, Q21): what a driver
says of each transaction is true, and what statements did by chance is the same on every node."""

from __future__ import annotations

import json
import random
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sharelite.driver import LEGACY_TRANSACTION_CONTROL, OperationalError, OutcomeUnknown, connect
from tests.cell_story import position, settled
from tests.cellular import Cellular, cellular
from tests.running import PATIENCE

TABLES = (
    "CREATE TABLE account(id INTEGER PRIMARY KEY, sum INTEGER NOT NULL)",
    "CREATE TABLE mark(id TEXT PRIMARY KEY, account INTEGER REFERENCES account(id) ON DELETE CASCADE, chance, at TEXT)",
    "CREATE TABLE seen(id INTEGER PRIMARY KEY AUTOINCREMENT, mark TEXT, chance INTEGER)",
    "CREATE TRIGGER each_mark AFTER INSERT ON mark BEGIN INSERT INTO seen(mark, chance) VALUES (NEW.id, random()); END",
)
ACCOUNTS, EACH = 4, 1000
MARK = "INSERT INTO mark(id, account, chance, at) VALUES (?, ?, random() / 1e18, datetime('now'))"
#: What says that nothing happened, and that one may begin again.
NOTHING = {"conflict", "lease_expired", "unavailable", "rate_limited", "not_leader"}


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cellular]:
    with cellular(tmp_path) as made:
        yield made


class Teller(threading.Thread):
    """Moves money between accounts, and leaves a mark for each time; it knows of each mark whether it must be there."""

    def __init__(self, hosts: list[str], project: str, seed: int, over: threading.Event) -> None:
        super().__init__(name=f"teller-{seed}")
        self.chance, self.over = random.Random(seed), over
        self.chance.shuffle(hosts)
        self.connection = connect(f"sharelite://{','.join(hosts)}/{project}", timeout=PATIENCE)
        self.said: dict[str, str] = {}
        self.trouble: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.over.is_set():
                mark = f"{self.name}-{len(self.said)}"
                self.said[mark] = self.done(self.move if self.chance.random() < 0.7 else self.write, mark)
        except BaseException as problem:
            self.trouble = problem
        finally:
            self.connection.close()

    def done(self, work: Callable[[str], None], mark: str) -> str:
        """Whether the mark must be there now."""
        try:
            work(mark)
            return "there"
        except OutcomeUnknown:
            return "unknown"
        except OperationalError as problem:
            assert problem.code in NOTHING, (problem.code, str(problem))
            return "nothing"
        finally:
            with suppress(OperationalError):  # what there was to roll back went with its leader
                self.connection.rollback()
            self.connection.autocommit = LEGACY_TRANSACTION_CONTROL

    def move(self, mark: str) -> None:
        """One transaction."""
        one, other = self.chance.sample(range(ACCOUNTS), 2)
        amount = self.chance.randrange(1, 50)
        self.connection.begin(self.chance.choice(("deferred", "immediate")))
        ((left,),) = self.connection.execute("SELECT sum FROM account WHERE id=?", (one,)).fetchall()
        self.connection.execute("SAVEPOINT s")
        self.connection.execute("UPDATE account SET sum=sum-? WHERE id=?", (amount, one))
        self.connection.execute("UPDATE account SET sum=sum+? WHERE id=?", (amount, other))
        if left < amount:
            self.connection.execute("ROLLBACK TO s")
        self.connection.execute(MARK, (mark, one))
        self.connection.commit()

    def write(self, mark: str) -> None:
        """Statements that each are a commit."""
        self.connection.autocommit = True
        self.connection.execute(
            "UPDATE mark SET chance=random() WHERE id IN (SELECT id FROM mark ORDER BY random() LIMIT 3)"
        )
        self.connection.execute(MARK, (mark, self.chance.randrange(ACCOUNTS)))


def bank(cell: Cellular, hosts: list[str]) -> str:
    status, answer = cell.leader().ask("POST", "/v1/projects", {"name": f"bank {secrets.token_hex(4)}"})
    assert status == 201, answer
    project = str(answer["id"])
    for node in cell.running():
        node.comes(f"/v1/projects/{project}")
    with connect(f"sharelite://{hosts[-1]}/{project}", timeout=PATIENCE) as made:
        for sql in TABLES:
            made.execute(sql)
        made.executemany("INSERT INTO account VALUES (?, ?)", [(number, EACH) for number in range(ACCOUNTS)])
    return project


def rows(cell: Cellular, name: str, project: str, sql: str) -> list[Any]:
    wanted = {"statements": [sql], "level": "linearizable"}
    status, answer = cell[name].ask("POST", f"/v1/projects/{project}/sql", wanted)
    assert status == 200, answer
    found: list[Any] = answer["results"][0]["rows"]
    return found


def story(cell: Cellular, rounds: int, seed: int) -> None:
    hosts = [f"127.0.0.1:{node.port}" for node in cell.nodes.values()]
    project, over, chance = bank(cell, hosts), threading.Event(), random.Random(seed)
    tellers = [Teller(list(hosts), project, seed * 100 + number, over) for number in range(3)]
    for teller in tellers:
        teller.start()
    pause = threading.Event()
    for number in range(rounds):
        pause.wait(chance.uniform(0.2, 1.0))
        leader = cell.leader().name
        name = leader if number % 2 == 0 else chance.choice(sorted(set(cell.nodes) - {leader}))
        cell[name].kill()
        pause.wait(chance.uniform(0.0, 1.0))
        cell[name].start()
        settled(cell)
    pause.wait(1)
    over.set()
    for teller in tellers:
        teller.join(2 * PATIENCE)
        assert not teller.is_alive()
        if teller.trouble is not None:
            raise teller.trouble
    check(cell, project, {mark: said for teller in tellers for mark, said in teller.said.items()})


def check(cell: Cellular, project: str, said: dict[str, str]) -> None:
    found = {name: rows(cell, name, project, "SELECT id, chance, at FROM mark ORDER BY id") for name in cell.nodes}
    first = next(iter(found.values()))
    assert all(each == first for each in found.values()), "chance is not the same everywhere"
    there = {row[0] for row in first}
    assert {mark for mark, what in said.items() if what == "there"} <= there, "an acknowledged transaction is lost"
    assert not {mark for mark, what in said.items() if what == "nothing"} & there, "what did not happen is there"
    assert sum(what == "there" for what in said.values()) > 10, said
    (((total,),), counted) = (
        rows(cell, "a", project, "SELECT sum(sum) FROM account"),
        rows(cell, "a", project, "SELECT mark FROM seen"),
    )
    assert total == ACCOUNTS * EACH, "half of a transaction happened"
    assert sorted(row[0] for row in counted) == sorted(there), "the trigger did not run once for each"
    cell.stop()
    assert len({position(node.data, project) for node in cell.nodes.values()}) == 1


def test_what_a_driver_says_of_a_transaction_is_true_whoever_is_killed(cell: Cellular) -> None:  # D6, Q12, Q21
    story(cell, 4, 1)


@pytest.mark.long
def test_what_a_driver_says_of_a_transaction_is_true_in_forty_rounds(cell: Cellular) -> None:  # D6, Q12, Q21
    story(cell, 40, 2)


def test_statements_of_chance_are_one_entry_and_the_same_on_every_node_and_after_recovery(cell: Cellular) -> None:  # Q1
    hosts = [f"127.0.0.1:{node.port}" for node in cell.nodes.values()]
    project = bank(cell, hosts)
    with connect(f"sharelite://{hosts[0]}/{project}", timeout=PATIENCE) as ann:
        before = ann.version
        ann.executemany(MARK, [(str(number), number % ACCOUNTS) for number in range(20)])
        ann.execute("DELETE FROM mark WHERE id IN (SELECT id FROM mark ORDER BY random() LIMIT 5)")
        ann.execute("INSERT OR REPLACE INTO mark SELECT id, account, random(), at FROM mark ORDER BY random() LIMIT 5")
        ann.execute("DELETE FROM account WHERE id=(SELECT id FROM account ORDER BY random() LIMIT 1)")
        ann.commit()
        assert ann.version == before + 1, "one transaction is one version"
    feeds = {name: commits(cell, name, project, before) for name in cell.nodes}
    assert feeds["a"] == feeds["b"] == feeds["c"] and len(feeds["a"]) == 1
    for name in cell.nodes:
        cell[name].kill()
    cell.start()
    settled(cell)
    assert {name: commits(cell, name, project, before) for name in cell.nodes} == feeds
    kept = [json.dumps(rows(cell, name, project, "SELECT * FROM mark ORDER BY id")) for name in cell.nodes]
    assert len(set(kept)) == 1
    cell.stop()
    assert len({position(node.data, project) for node in cell.nodes.values()}) == 1


def commits(cell: Cellular, name: str, project: str, after: int) -> list[Any]:
    status, answer = cell[name].ask("GET", f"/v1/projects/{project}/commits?level=strict&after={after}")
    assert status == 200, answer
    found: list[Any] = answer["commits"]
    return found
