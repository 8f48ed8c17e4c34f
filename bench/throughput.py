"""64 one-property updates in flight over 8 websockets on one project; each socket also receives every commit."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator

import uvloop

from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure
from .raw import Wire, connect, new_client, push

SOCKETS = 8
IN_FLIGHT = 8


def measure(bench: Bench) -> list[Figure]:
    narrow, wide = (runs(bench, columns) for columns in (10, 120))
    name = "64 in flight over 8 websockets, one project, {} columns"
    return [
        Figure(name.format(10), "commits/s", tuple(rate for rate, _ in narrow), at_least=6000),
        Figure(name.format(120), "commits/s", tuple(rate for rate, _ in wide)),
        Figure("  (processor time of the load generator)", "% of a core", tuple(100 * busy for _, busy in narrow)),
    ]


def runs(bench: Bench, columns: int) -> list[tuple[float, float]]:
    with RunningServer(bench.data()) as server:
        project = ground.project(server, "throughput", columns)
        return [uvloop.run(load(server, project, bench.seconds)) for _ in range(bench.runs)]


async def load(server: RunningServer, project: str, seconds: float) -> tuple[float, float]:
    """Commits per second, and the share of a core that this process took."""
    writers = await open_writers(server, project, SOCKETS)
    start, busy = time.perf_counter(), time.process_time()
    for writer in writers:
        writer.more(IN_FLIGHT)
    await asyncio.sleep(seconds)
    elapsed, busy = time.perf_counter() - start, time.process_time() - busy
    done = sum(writer.done for writer in writers)
    for writer in writers:
        writer.wire.hang_up()
    return done / elapsed, busy / elapsed


async def open_writers(server: RunningServer, project: str, count: int, first: int = 1) -> list[Writer]:
    """`first`: the smallest value that they write."""
    clients, values = [new_client() for _ in range(count)], itertools.count(first)
    return [Writer(await connect(server.port, project, client), client, values) for client in clients]


class Writer:
    """Keeps its pushes in flight: for each commit of its own that comes back, one more is sent.

    No value is written twice, or a push would change nothing and have no commit.
    """

    def __init__(self, wire: Wire, client: str, values: Iterator[int]) -> None:
        self.wire, self.client, self.sent, self.done, self._values = wire, client, 0, 0, values
        self._mine = f'"id":["{client}",'.encode()
        wire.on_message = self.received

    def received(self, message: bytes) -> None:
        assert message.startswith(b'{"type":"commits"'), message
        answered = message.count(self._mine)
        if answered:
            self.done += answered
            self.more(answered)

    def more(self, count: int) -> None:
        frames = [self._next() for _ in range(count)]
        self.wire.transport.write(b"".join(frames))

    def _next(self) -> bytes:
        self.sent += 1
        return push(self.client, self.sent, ground.set_cell(self.sent, 3, next(self._values)))
