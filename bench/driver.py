"""The driver, as a program sees it: single statements, bulk, many connections; beside the standard `sqlite3`.

That one writes to a file of its own in the same process, with WAL and synchronous=FULL, so that a commit is as durable
as ours: what the way to a server, its checks and its feed cost is the difference.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import sharelite
from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure, quantile
from .sql import INSERT, ROWS, WRITERS

STATEMENTS = 500
#: Inserts of all writers together.
AT_ONCE = 6_000
READ = "SELECT * FROM item WHERE id = ?"
ALL = "SELECT id, c0, c1, c2, c3 FROM item LIMIT ?"
#: For a server that may be busy.
PATIENCE = 60.0


def measure(bench: Bench) -> list[Figure]:
    ours = [run(bench) for _ in range(bench.runs)]
    theirs = [beside(bench) for _ in range(bench.runs)]

    def pair(name: str, unit: str, which: str, **gate: float) -> list[Figure]:
        return [
            Figure(f"driver: {name}", unit, tuple(each[which] for each in ours), **gate),
            Figure(f"driver:   the same with sqlite3: {name}", unit, tuple(each[which] for each in theirs)),
        ]

    return [
        *pair("one read, p50", "ms", "read", at_most=2.0),
        *pair("one insert, p50", "ms", "write", at_most=3.0),
        *pair("one transaction of read, insert, commit, p50", "ms", "transaction"),
        *pair("executemany of 100,000 rows of 5 columns", "rows/s", "many", at_least=25_000),
        *pair("fetchall of 100,000 rows of 5 columns", "rows/s", "rows", at_least=200_000),
        *pair("inserts over 32 connections of 32 threads", "inserts/s", "at once"),
    ]


def run(bench: Bench) -> dict[str, float]:
    with RunningServer(bench.data()) as server:
        url = f"sharelite://127.0.0.1:{server.port}/{ground.project(server, 'driver')}"
        return through(lambda: sharelite.connect(url, timeout=PATIENCE, autocommit=True))


def beside(bench: Bench) -> dict[str, float]:
    folder = bench.data()
    folder.mkdir()
    path = folder / "beside.db"
    with closing(plain(path)) as made:
        columns = ", ".join(f"c{n} INTEGER" for n in range(9))
        made.execute(f"CREATE TABLE item(id TEXT NOT NULL PRIMARY KEY, {columns}) STRICT")
        made.executemany(INSERT, [(f"r{n}", 0, 0, 0, 0) for n in range(ground.ROWS)])
    return through(lambda: plain(path))


def plain(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def through(connect: Callable[[], Any]) -> dict[str, float]:
    """Every figure once, through connections of one kind or the other, which are used in the same way."""
    found: dict[str, float] = {}
    numbers = iter(range(10_000_000))
    with closing(connect()) as one:
        found["read"] = middle(lambda: one.execute(READ, ("r7",)).fetchall())
        found["write"] = middle(lambda: one.execute(INSERT, row("w", next(numbers))))
        found["transaction"] = middle(lambda: transaction(one, next(numbers)))
        rows = [row("m", number) for number in range(ROWS)]
        found["many"] = ROWS / seconds(lambda: bulk(one, rows))
        found["rows"] = ROWS / seconds(lambda: one.execute(ALL, (ROWS,)).fetchall())
    found["at once"] = AT_ONCE / at_once(connect)
    return found


def transaction(connection: Any, number: int) -> None:
    connection.execute("BEGIN")
    connection.execute(READ, ("r7",)).fetchall()
    connection.execute(INSERT, row("t", number))
    connection.execute("COMMIT")


def bulk(connection: Any, rows: list[tuple[Any, ...]]) -> None:
    """`sqlite3` would commit each row alone without a transaction; the driver makes a commit of each message."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("BEGIN")
    connection.executemany(INSERT, rows)
    if isinstance(connection, sqlite3.Connection):
        connection.execute("COMMIT")


def at_once(connect: Callable[[], Any]) -> float:
    """The seconds of 32 threads with a connection each, one insert of each under way."""
    connections = [connect() for _ in range(WRITERS)]

    def write(place: int) -> None:
        for number in range(AT_ONCE // WRITERS):
            connections[place].execute(INSERT, row(f"c{place}.", number))

    with ThreadPoolExecutor(WRITERS) as pool:
        taken = seconds(lambda: list(pool.map(write, range(WRITERS))))
    for connection in connections:
        connection.close()
    return taken


def row(prefix: str, number: int) -> tuple[Any, ...]:
    return f"{prefix}{number}", number, number + 1, number + 2, number + 3


def middle(action: Callable[[], object]) -> float:
    """The median of its milliseconds."""
    return 1000 * quantile([seconds(action) for _ in range(STATEMENTS)], 0.5)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
