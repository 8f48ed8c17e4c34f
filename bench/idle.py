"""What a connection costs that has been greeted and then says nothing."""

from __future__ import annotations

import uvloop

from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure
from .raw import connect, new_client

CONNECTIONS = 1000


def measure(bench: Bench) -> list[Figure]:
    measured = tuple(one_run(bench) for _ in range(bench.runs))
    return [Figure("idle connection", "KiB", measured, at_most=40)]


def one_run(bench: Bench) -> float:
    with RunningServer(bench.data()) as server:
        return uvloop.run(cost(server, ground.project(server, "idle")))


async def cost(server: RunningServer, project: str) -> float:
    """KiB of the server's resident memory for each connection, after some that warm it up."""
    wires = [await connect(server.port, project, new_client()) for _ in range(100)]
    before = ground.memory_kib(server.pid)
    wires += [await connect(server.port, project, new_client()) for _ in range(CONNECTIONS)]
    after = ground.memory_kib(server.pid)
    for wire in wires:
        wire.hang_up()
    return (after - before) / CONNECTIONS
