"""A server killed in each phase of a driver's transaction (SPEC D6, Q12, Q13): all or nothing, as the driver says."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sharelite.driver import Connection, OperationalError, connect
from tests.roads import SCENE
from tests.running import PATIENCE, RunningServer

INSERT = "INSERT INTO note(id, text) VALUES (?, ?)"
PHASES: dict[str, Callable[[Connection, str], object]] = {
    "begin": lambda ann, name: ann.begin(),
    "read": lambda ann, name: ann.execute("SELECT count(*) FROM note").fetchone(),
    "write": lambda ann, name: ann.execute(INSERT, (f"{name}-1", "x")),
    "savepoint": lambda ann, name: ann.execute("SAVEPOINT s"),
    "many": lambda ann, name: ann.executemany(INSERT, [(f"{name}-{number}", "x") for number in range(2, 50)]),
    "release": lambda ann, name: ann.execute("RELEASE s"),
    "commit": lambda ann, name: ann.commit(),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data") as running:
        running.create("plan", SCENE)
        yield running


@pytest.fixture
def ann(server: RunningServer) -> Iterator[Connection]:
    connection = connect(f"sharelite://127.0.0.1:{server.port}/plan", timeout=PATIENCE)
    yield connection
    connection.close()


def found(connection: Connection, name: str) -> int:
    row = connection.execute("SELECT count(*) FROM note WHERE id LIKE ?", (f"{name}-%",)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("killed", PHASES)
def test_a_server_killed_behind_a_phase_leaves_all_or_nothing(
    server: RunningServer, ann: Connection, killed: str
) -> None:  # D6, Q12, Q13
    said = "there"
    try:
        for phase, step in PHASES.items():
            step(ann, killed)
            if phase == killed:
                server.kill()
                server.start()
    except OperationalError as problem:
        assert problem.code in ("unavailable", "lease_expired"), problem.code
        said = "nothing"
        ann.rollback()
    assert said == ("there" if killed == "commit" else "nothing")
    assert found(ann, killed) == (49 if said == "there" else 0)
    with ann:
        ann.execute(INSERT, ("after", "x"))
    assert found(ann, "after") == 0 and ann.execute("SELECT text FROM note WHERE id='after'").fetchone() == ("x",)


def start_behind(killer: threading.Thread, server: RunningServer) -> None:
    killer.join()
    server.start()


def test_a_server_killed_during_commits_leaves_what_the_driver_says(
    server: RunningServer, ann: Connection
) -> None:  # D6, Q12
    chance, said = random.Random(3), {}
    for number in range(10):
        name = f"round{number}"
        for phase in ("begin", "write", "savepoint", "many"):
            PHASES[phase](ann, name)
        killer = threading.Timer(chance.uniform(0, 0.006), server.kill)
        killer.start()
        starter = threading.Thread(target=start_behind, args=(killer, server))
        starter.start()
        try:
            ann.commit()
            said[name] = 49
        except OperationalError as problem:
            assert problem.code == "lease_expired", problem.code
            said[name] = 0
        starter.join(PATIENCE)
    assert {name: found(ann, name) for name in said} == said
