"""Opening a project: the first greeting after a start of the server, with a long and with a short history behind it."""

from __future__ import annotations

import asyncio
import time

import uvloop

from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure
from .raw import Line, new_client
from .throughput import open_writers

SOCKETS = 8
IN_FLIGHT = 64


def measure(bench: Bench) -> list[Figure]:
    with RunningServer(bench.data()) as server:
        short, long = ground.project(server, "short"), ground.project(server, "long")
        for project, commits in ((short, 10), (long, bench.history)):
            uvloop.run(write(server, project, commits))
        runs = [after_a_restart(server, short, long) for _ in range(max(bench.runs, 5))]
    shorts, longs = (tuple(1000 * run[n] for run in runs) for n in (0, 1))
    return [
        Figure("opening a project with 10 commits behind it", "ms", shorts),
        Figure(f"opening a project with {bench.history:,} commits behind it", "ms", longs),
        Figure(
            "  (the one compared with the other)",
            "times",
            tuple(b / a for a, b in zip(shorts, longs, strict=True)),
            at_most=1.5,
        ),
    ]


async def write(server: RunningServer, project: str, commits: int) -> None:
    """At least so many commits, by a few writers."""
    writers = await open_writers(server, project, SOCKETS)
    for writer in writers:
        writer.more(min(IN_FLIGHT, commits))
    while sum(writer.done for writer in writers) < commits:
        await asyncio.sleep(0.05)
        assert not any(writer.wire.closed.done() for writer in writers), "a connection was lost on the way"
    for writer in writers:
        writer.wire.hang_up()


def after_a_restart(server: RunningServer, *projects: str) -> list[float]:
    """Seconds from hello to welcome for each project, on a server that has opened none of them."""
    server.stop()
    server.start()
    server.ask("GET", "/v1/projects")
    return [greeting(server, project) for project in projects]


def greeting(server: RunningServer, project: str) -> float:
    start = time.perf_counter()
    Line(server.port, project, new_client()).close()
    return time.perf_counter() - start
