"""One writer at 60 commits a second and many subscribers: how late each commit reaches each of them.

The writer puts the time of sending into the cell it sets; every subscriber takes it out again. So the delay includes
the whole road: push, rehearsal, sync, apply, announce, socket.
"""

from __future__ import annotations

import asyncio
import re
import time

import uvloop

from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure, quantile
from .raw import Wire, connect, new_client, push

STAMP = re.compile(rb'\{"c0":(\d+)\},\{')
RATE = 60
SECONDS = 10


def measure(bench: Bench) -> list[Figure]:
    few = [one_run(bench, 10) for _ in range(bench.runs)]
    many = [one_run(bench, 500) for _ in range(bench.runs)]
    expected = 500 * RATE * SECONDS
    return [
        Figure("commit to another client, 10 subscribers at 60/s, p50", "ms", few_ms(few, 0.5), at_most=5),
        Figure("commit to another client, 10 subscribers at 60/s, p99", "ms", few_ms(few, 0.99), at_most=30),
        Figure(
            "500 subscribers at 60/s for 10 s, delivered",
            "%",
            tuple(100 * len(r.delays) / expected for r in many),
            at_least=100,
            at_most=100,
        ),
        Figure("500 subscribers at 60/s for 10 s, latest", "ms", few_ms(many, 1), at_most=250),
        Figure("500 subscribers at 60/s for 10 s, p50", "ms", few_ms(many, 0.5)),
        Figure("500 subscribers at 60/s for 10 s, memory growth", "MiB", tuple(r.growth for r in many), at_most=8),
        Figure("  (messages per commit and subscriber)", "", tuple(r.messages / expected for r in many)),
    ]


def few_ms(runs: list[Delivered], share: float) -> tuple[float, ...]:
    return tuple(quantile(run.delays, share) * 1000 for run in runs)


class Delivered:
    """What all subscribers of a run received: the delay of each commit, and in how many messages they came."""

    def __init__(self, awaited: int) -> None:
        self.delays: list[float] = []
        self.messages, self.growth, self._awaited = 0, 0.0, awaited
        self.complete = asyncio.get_running_loop().create_future()

    def received(self, message: bytes) -> None:
        now = time.perf_counter_ns()
        stamps = STAMP.findall(message)
        self.messages += 1
        self.delays += [(now - int(stamp)) / 1e9 for stamp in stamps]
        if len(self.delays) >= self._awaited and not self.complete.done():
            self.complete.set_result(None)


def one_run(bench: Bench, subscribers: int) -> Delivered:
    with RunningServer(bench.data()) as server:
        return uvloop.run(load(server, ground.project(server, "fan-out"), subscribers))


async def load(server: RunningServer, project: str, subscribers: int) -> Delivered:
    delivered = Delivered(subscribers * RATE * SECONDS)
    wires = [await connect(server.port, project, new_client()) for _ in range(subscribers)]
    client = new_client()
    writer = await connect(server.port, project, client)
    writer.on_message = lambda message: None
    await steady(writer, client, range(1, RATE + 1))  # warms up; nobody counts yet
    for wire in wires:
        wire.on_message = delivered.received
    before = ground.memory_kib(server.pid)
    await steady(writer, client, range(RATE + 1, RATE * (SECONDS + 1) + 1))
    await asyncio.wait_for(delivered.complete, 30)
    delivered.growth = (ground.memory_kib(server.pid) - before) / 1024
    for wire in [*wires, writer]:
        wire.hang_up()
    return delivered


async def steady(writer: Wire, client: str, counters: range) -> None:
    """One push each 1/60 s, and a moment for the last one to come round."""
    start = time.perf_counter()
    for number, counter in enumerate(counters):
        await asyncio.sleep(start + number / RATE - time.perf_counter())
        writer.transport.write(push(client, counter, ground.set_cell(0, 0, time.perf_counter_ns())))
    await asyncio.sleep(0.5)
