"""SQL over a kept connection: single statements, bulk, long reads, many writers, and what editors notice of it.

The first lines are the set of those who come from ha-sqlite: a thousand inserts in sequence, ten thousand at once.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import uvloop

from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure, quantile
from .raw import Line, Wire, connect, new_client, push, text_frame

STATEMENTS = 1000
ROWS = 100_000
#: Rows in one message of a bulk, as a driver sends them.
PIECE = 1000
WRITERS = 32
AT_ONCE = 10_000
INSERT = "INSERT INTO item(id, c0, c1, c2, c3) VALUES (?, ?, ?, ?, ?)"


def measure(bench: Bench) -> list[Figure]:
    runs = [run(bench) for _ in range(bench.runs)]

    def figure(name: str, unit: str, which: str, **gate: float) -> Figure:
        return Figure(f"SQL: {name}", unit, tuple(each[which] for each in runs), **gate)

    return [
        figure("1,000 inserts in sequence", "inserts/s", "sequence"),
        figure("10,000 inserts over 32 connections", "inserts/s", "at once", at_least=3000),
        figure("one read over a kept websocket, p50", "ms", "read", at_most=2.0),
        figure("one read over a kept HTTP connection, p50", "ms", "read http", at_most=2.0),
        figure("one insert over a kept websocket, p50", "ms", "write", at_most=3.0),
        figure("one insert over a kept HTTP connection, p50", "ms", "write http", at_most=3.0),
        figure("one transaction of begin, insert, commit, p50", "ms", "transaction"),
        figure("one request of 1,000 inserts", "rows/s", "bulk", at_least=20_000),
        figure("100,000 rows of 5 columns by 1,000", "rows/s", "many", at_least=25_000),
        figure("a read of 100,000 rows of 5 columns", "rows/s", "rows", at_least=200_000),
        figure("  a push of an editor while 32 write, p99", "ms", "push while writing", at_most=250),
        figure("  a push of an editor during the 100,000 rows, p99", "ms", "push while bulk", at_most=250),
    ]


def run(bench: Bench) -> dict[str, float]:
    """Every figure once, on a server and a project of its own."""
    found: dict[str, float] = {}
    with RunningServer(bench.data()) as server:
        project = ground.project(server, "sql")
        singles(server, project, found)
        found["bulk"] = PIECE / bulk(server, project, "b", PIECE)
        found["at once"], found["push while writing"] = uvloop.run(writers(server, project))
        found["many"], found["push while bulk"] = uvloop.run(many(server, project))
        found["rows"] = ROWS / seconds_of(lambda: whole(server, project))
    return found


def singles(server: RunningServer, project: str, found: dict[str, float]) -> None:
    line = Line(server.port, project, None)
    counted = iter(range(1_000_000))
    read = body("SELECT * FROM item WHERE id = ?", "r7")
    found["read"] = middle(lambda: ask(line, "sql", read))
    found["sequence"] = STATEMENTS / seconds_of(
        lambda: [ask(line, "sql", inserted("s", next(counted))) for _ in range(STATEMENTS)]
    )
    found["write"] = middle(lambda: ask(line, "sql", inserted("w", next(counted))))
    found["transaction"] = middle(lambda: transaction(line, next(counted)), STATEMENTS // 4)
    line.close()
    with over_http(server, project) as post:
        found["read http"] = middle(lambda: post(read))
        found["write http"] = middle(lambda: post(inserted("h", next(counted))))


def transaction(line: Line, number: int) -> None:
    ask(line, "begin", "")
    ask(line, "sql", inserted("t", number))
    ask(line, "commit", "")


def body(sql: str, *params: Any) -> str:
    """The members of a request, without its braces."""
    return json.dumps({"statements": [{"sql": sql, "params": params}]})[1:-1]


def inserted(prefix: str, number: int) -> str:
    return body(INSERT, f"{prefix}{number}", number, 2, 3, 4)


def message(type: str, members: str) -> bytes:
    comma = "," if members else ""
    return text_frame(f'{{"type":"{type}","n":1{comma}{members}}}'.encode())


def ask(line: Line, type: str, members: str) -> bytes:
    line.send(message(type, members))
    answer = line.receive()
    assert answer.startswith(b'{"type":"answer"'), answer
    return answer


@contextmanager
def over_http(server: RunningServer, project: str) -> Iterator[Callable[[str], None]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)

    def post(members: str) -> None:
        headers = {"content-type": "application/json"}
        connection.request("POST", f"/v1/projects/{project}/sql", "{" + members + "}", headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()

    with closing(connection):
        yield post


def middle(action: Callable[[], object], times: int = STATEMENTS) -> float:
    """The median of its milliseconds."""
    return 1000 * quantile([seconds_of(action) for _ in range(times)], 0.5)


def seconds_of(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def bulk(server: RunningServer, project: str, prefix: str, count: int) -> float:
    """The least seconds of ten requests of so many inserts."""
    line = Line(server.port, project, None)
    times = [seconds_of(lambda n=n: ask(line, "sql", rows_of(f"{prefix}{n}.", count))) for n in range(10)]  # type: ignore[misc]
    line.close()
    return quantile(times, 0.5)


def rows_of(prefix: str, count: int) -> str:
    many = [[f"{prefix}{n}", n, n + 1, n + 2, n + 3] for n in range(count)]
    return json.dumps({"statements": [{"sql": INSERT, "many": many}]})[1:-1]


def whole(server: RunningServer, project: str) -> None:
    """Read 100,000 rows to the last byte of the answer."""
    line = Line(server.port, project, None)
    line.send(message("sql", body("SELECT id, c0, c1, c2, c3 FROM item WHERE id LIKE 'm%' LIMIT ?", ROWS)))
    while not line.receive().startswith(b'{"type":"answer"'):
        pass
    line.close()


async def writers(server: RunningServer, project: str) -> tuple[float, float]:
    """Inserts per second of 32 connections with one insert each under way, and the p99 of an editor meanwhile."""
    editor = asyncio.create_task(pushes(server, project, stop := asyncio.Event()))
    wires = [Asking(await connect(server.port, project, None)) for _ in range(WRITERS)]
    start, numbers = time.perf_counter(), iter(range(AT_ONCE))
    await asyncio.gather(*[insert(wire, numbers) for wire in wires])
    rate = AT_ONCE / (time.perf_counter() - start)
    stop.set()
    return rate, await editor


async def insert(wire: Asking, numbers: Iterator[int]) -> None:
    for number in numbers:
        await wire.ask("sql", inserted("c", number))


async def many(server: RunningServer, project: str) -> tuple[float, float]:
    """100,000 rows, a thousand in a message, two messages under way; and the p99 of an editor meanwhile."""
    editor = asyncio.create_task(pushes(server, project, stop := asyncio.Event()))
    pieces = [message("sql", rows_of(f"m{n}.", PIECE)) for n in range(ROWS // PIECE)]
    wire = Asking(await connect(server.port, project, None))
    start = time.perf_counter()
    await wire.ask_all(pieces)
    rate = ROWS / (time.perf_counter() - start)
    stop.set()
    return rate, await editor


class Asking:
    """A connection for SQL whose answers come one by one."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        wire.on_message = self._answers.put_nowait

    async def ask(self, type: str, members: str) -> None:
        self._wire.transport.write(message(type, members))
        await self._answered()

    async def ask_all(self, messages: list[bytes]) -> None:
        for place, each in enumerate(messages):
            self._wire.transport.write(each)
            if place:
                await self._answered()
        await self._answered()

    async def _answered(self) -> None:
        answer = await self._answers.get()
        assert answer.startswith(b'{"type":"answer"'), answer


async def pushes(server: RunningServer, project: str, stop: asyncio.Event) -> float:
    """The p99 of somebody who moves something twenty times a second, in milliseconds."""
    client, times = new_client(), []
    wire = await connect(server.port, project, client)
    mine: asyncio.Queue[None] = asyncio.Queue()
    counter = 0

    def received(text: bytes) -> None:
        if f'"id":["{client}",{counter}]'.encode() in text:
            mine.put_nowait(None)

    wire.on_message = received
    while not stop.is_set() or counter < 20:
        counter += 1
        start = time.perf_counter()
        wire.transport.write(push(client, counter, ground.set_cell(counter, 3, counter)))
        await mine.get()
        times.append(time.perf_counter() - start)
        await asyncio.sleep(0.05)
    return 1000 * quantile(times, 0.99)
