"""The driver's connection cut at each step of a transaction, at a server that is alone and at a follower: nothing is
half done, what the driver says is true, others get the turn, and the connection goes on (SPEC D6, Q12, Q13, Q21)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from sharelite.driver import Connection, OperationalError, connect
from sharelite.driver.wire import Lost, Wire
from tests.company import company
from tests.serving import PATIENCE, Serving

INSERT = "INSERT INTO note(id, text) VALUES (?, ?)"
STEPS: dict[str, Callable[[Connection, str], object]] = {
    "begin": lambda ann, name: ann.begin("deferred"),
    "read": lambda ann, name: ann.execute("SELECT count(*) FROM note").fetchone(),
    "savepoint": lambda ann, name: ann.execute("SAVEPOINT s"),
    "write": lambda ann, name: ann.execute(INSERT, (f"{name}-1", "x")),
    "many": lambda ann, name: ann.executemany(INSERT, [(f"{name}-{number}", "x") for number in range(2, 20)]),
    "release": lambda ann, name: ann.execute("RELEASE s"),
    "commit": lambda ann, name: ann.commit(),
}
#: To the project: at the node that is used, and at another one.
Urls = tuple[str, str]


@pytest.fixture(scope="module", params=["alone", "follower"])
def urls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Urls]:
    folder = tmp_path_factory.mktemp("cuts")
    if request.param == "alone":
        with Serving(folder / "data") as server:
            url = f"sharelite://127.0.0.1:{server.port}/{server.project()}"
            yield url, url
        return
    with company(folder) as cell:
        project = cell.project()
        yield f"sharelite://127.0.0.1:{cell['b'].port}/{project}", f"sharelite://127.0.0.1:{cell['a'].port}/{project}"


@pytest.fixture
def ann(urls: Urls) -> Iterator[Connection]:
    connection = connect(urls[0], timeout=PATIENCE)
    yield connection
    connection.close()


@pytest.fixture
def bob(urls: Urls) -> Iterator[Connection]:
    connection = connect(urls[1], timeout=PATIENCE, autocommit=True)
    yield connection
    connection.close()


def cut(wire: Wire) -> None:
    """As a network does it: no goodbye of websockets."""
    with suppress(OSError):
        wire._socket.socket.shutdown(socket.SHUT_RDWR)


def cut_before(connection: Connection) -> None:
    wire = connection._line.wire
    assert wire is not None
    cut(wire)


def cut_behind(connection: Connection) -> None:
    """The next request is heard, its answer is not."""
    wire = connection._line.wire
    assert wire is not None
    exchange = wire._exchange

    def once(message: bytes, timeout: float | None = None) -> dict[str, Any]:
        exchange(message, timeout)
        cut(wire)
        wire.close()
        raise Lost("the answer did not come")

    wire._exchange = once  # type: ignore[method-assign]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("where", [cut_before, cut_behind])
def test_a_cut_at_a_step_leaves_all_or_nothing(
    ann: Connection, bob: Connection, step: str, where: Callable[[Connection], None]
) -> None:  # D6, Q12, Q13, Q21
    name = f"{step}-{where.__name__}"
    said = "there"
    try:
        for each, run in STEPS.items():
            if each == step:
                where(ann)
            run(ann, name)
    except OperationalError as problem:
        assert problem.code in ("unavailable", "lease_expired"), (problem.code, str(problem))
        said = "nothing"
        ann.rollback()
    assert said == ("there" if step == "begin" or (step, where) == ("commit", cut_behind) else "nothing")
    found = "SELECT count(*) FROM note WHERE id LIKE ?"
    bob.execute(INSERT, (f"bob {name}", None))
    assert ann.execute(found, (f"{name}-%",)).fetchone() == (19 if said == "there" else 0,)
    with ann:
        ann.execute(INSERT, (f"after {name}", "x"))
    assert ann.execute(found, (f"after {name}",)).fetchone() == (1,)


def test_a_cut_in_the_middle_of_a_statement_ends_it_and_gives_back_the_turn(
    ann: Connection, bob: Connection
) -> None:  # Q13, Q21
    ann.begin("immediate")
    wire = ann._line.wire
    assert wire is not None
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    failed: list[BaseException] = []

    def run() -> None:
        try:
            ann.execute(f"INSERT INTO note(id, text) {endless.replace('max(i)', 'max(i), 1')}")
        except OperationalError as problem:
            failed.append(problem)

    running = threading.Thread(target=run)
    running.start()
    threading.Event().wait(0.3)
    cut(wire)
    running.join(PATIENCE)
    bob.execute(INSERT, ("bob in the middle", None))
    assert len(failed) == 1
    ann.rollback()
    with ann:
        ann.execute(INSERT, ("ann afterwards", None))
