"""A cell of three nodes on this machine, each of two processes and syncing: what a commit costs, and what it costs when
nodes die, come back and join. Beside it one node alone, at the same moment."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvloop

from tests.cell_story import settled
from tests.cellular import Cellular, NodeProcess, cellular, node_address
from tests.running import PATIENCE, RunningServer
from tests.serving import NOTES

from . import ground
from .figure import Bench, Figure, quantile
from .raft import cpu_seconds
from .raw import Line, new_client, push
from .sequential import latencies, medians
from .throughput import load, open_writers

PROJECTS, IN_FLIGHT = 20, 3
WRITES = PROJECTS * IN_FLIGHT
FAILOVERS = 10
AWAY_SECONDS, A_SECOND = 20.0, 200
JOINING_MB, JOINING_MB_FULL, IN_ONE_PROJECT_MB = 200, 1000, 20
IDLE_SECONDS = 10.0
PAUSE = 0.005


def measure(bench: Bench) -> list[Figure]:
    folder = bench.data()
    folder.mkdir()
    with cellular(folder) as cell, RunningServer(bench.data()) as alone:
        return [
            *sequences(bench, cell, alone),
            *throughputs(bench, cell, alone),
            *troubles(cell),
            *joining(cell, JOINING_MB_FULL if bench.full else JOINING_MB),
        ]


def sequences(bench: Bench, cell: Cellular, alone: RunningServer) -> list[Figure]:
    leader = cell.leader()
    project, other = ground.project(leader, "sequence"), ground.project(alone, "sequence")
    follower = follower_with(cell, project)
    here, there, single = [], [], []
    for _ in range(bench.runs):
        here.append(latencies(leader, project))
        there.append(latencies(follower, project))
        single.append(latencies(alone, other))
    return [
        Figure("cell: one client in sequence at the leader, p50", "ms", medians(here, 0.5), at_most=3),
        Figure("cell: one client in sequence at the leader, p99", "ms", medians(here, 0.99), at_most=20),
        Figure("cell: one client in sequence through a follower, p50", "ms", medians(there, 0.5), at_most=5),
        Figure("cell: (one node alone, at the same time, p50)", "ms", medians(single, 0.5)),
    ]


def throughputs(bench: Bench, cell: Cellular, alone: RunningServer) -> list[Figure]:
    leader = cell.leader()
    project, other = ground.project(leader, "throughput"), ground.project(alone, "throughput")
    several = [ground.project(leader, f"throughput {number}") for number in range(PROJECTS)]
    one, cost, single, many = [], [], [], []
    for _ in range(bench.runs):
        before = busy(cell)
        one.append(uvloop.run(load(leader, project, bench.seconds))[0])
        cost.append((busy(cell) - before) / (one[-1] * bench.seconds) * 1e6)
        many.append(uvloop.run(spread(leader, several, bench.seconds)))
        single.append(uvloop.run(load(alone, other, bench.seconds))[0])
    return [
        Figure("cell: 64 in flight, one project", "commits/s", tuple(one), at_least=2500),
        Figure(f"cell: {WRITES} in flight over {PROJECTS} projects", "commits/s", tuple(many), at_least=3500),
        Figure("cell: (one node alone, at the same time, 64 in flight)", "commits/s", tuple(single)),
        Figure("cell: (processor time of all six processes for one commit)", "us", tuple(cost)),
    ]


def troubles(cell: Cellular) -> list[Figure]:
    settled(cell)
    idle = idle_share(cell)
    project = ground.project(cell.leader(), "troubles")
    lost = [failover(cell, project) for _ in range(FAILOVERS)]
    settled(cell)
    away = absence(cell, project)
    return [
        Figure("cell: idle node, the busiest of three", "% of a core", (idle,), at_most=3),
        Figure("cell: first commit after kill -9 of the leader, p95 of 10", "s", (quantile(lost, 0.95),), at_most=2),
        Figure("cell: start of a node that missed 20 s of 200 writes/s, until level", "s", (away,), at_most=5),
    ]


def joining(cell: Cellular, megabytes: int) -> list[Figure]:
    """A node with nothing joins while others write."""
    leader = cell.leader()
    project = ground.project(leader, "joining")
    for number in range(megabytes // IN_ONE_PROJECT_MB):
        fill(leader, f"full {number}", IN_ONE_PROJECT_MB)
    with Steady(leader, project).writing() as steady:
        began = time.perf_counter()
        cell.addresses["d"] = node_address()
        cell.nodes["d"] = cell.made("d", joins=True)
        cell.start("d")
        level(leader, cell["d"], project)
        took = time.perf_counter() - began
    name = f"cell: a node joins that lacks {megabytes:,} MB"
    return [
        Figure(f"{name}, commits meanwhile, p99", "ms", (quantile(steady.latencies, 0.99) * 1000,), at_most=250),
        Figure(f"{name} (until level)", "s", (took,)),
    ]


def follower_with(cell: Cellular, project: str) -> NodeProcess:
    leader = cell.leader()
    follower = next(node for node in cell.nodes.values() if node is not leader)
    follower.comes(f"/v1/projects/{project}")
    return follower


async def spread(server: NodeProcess, projects: Sequence[str], seconds: float) -> float:
    """Commits per second over several projects at once."""
    first = time.time_ns() % 2**40
    writers = [(await open_writers(server, project, 1, first))[0] for project in projects]
    start = time.perf_counter()
    for writer in writers:
        writer.more(IN_FLIGHT)
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - start
    for writer in writers:
        writer.wire.hang_up()
    return sum(writer.done for writer in writers) / elapsed


def busy(cell: Cellular) -> float:
    """Processor seconds of all nodes."""
    return sum(node_seconds(node) for node in cell.running())


def node_seconds(node: NodeProcess) -> float:
    return cpu_seconds(node.pid) + cpu_seconds(node.raft_pid())


def idle_share(cell: Cellular) -> float:
    """Percent of a core that the busiest node takes while nobody asks for anything."""
    before = {node.name: node_seconds(node) for node in cell.running()}
    time.sleep(IDLE_SECONDS)
    return max(node_seconds(node) - before[node.name] for node in cell.running()) / IDLE_SECONDS * 100


def failover(cell: Cellular, project: str) -> float:
    """Seconds from the death of the leader until another node acknowledges a write; the dead one comes back."""
    leader = cell.leader()
    other = follower_with(cell, project)
    changes = {"changes": [["s", "item", ["r0"], {"c0": time.time_ns() % 2**40}]]}
    leader.kill()
    start = time.perf_counter()
    while other.ask("POST", f"/v1/projects/{project}/mutations", changes)[0] != 200:
        time.sleep(PAUSE)
    took = time.perf_counter() - start
    leader.start()
    settled(cell)
    return took


def absence(cell: Cellular, project: str) -> float:
    """Seconds from the start of a node that was away until it has what had been acknowledged by then."""
    leader, follower = cell.leader(), follower_with(cell, project)
    with Steady(leader, project).writing():
        follower.kill()
        time.sleep(AWAY_SECONDS)
        began = time.perf_counter()
        follower.start()
        level(leader, follower, project)
        return time.perf_counter() - began


def level(leader: NodeProcess, node: NodeProcess, project: str) -> None:
    """Until a node has the version that the leader has now."""
    wanted, deadline = version(leader, project), time.monotonic() + PATIENCE
    while version(node, project) < wanted:
        assert time.monotonic() < deadline, f"node {node.name} is not level"
        time.sleep(PAUSE)


def version(node: NodeProcess, project: str) -> int:
    """-1: it does not know the project yet."""
    status, answer = node.ask("GET", f"/v1/projects/{project}?level=any")
    return int(answer["version"]) if status == 200 and answer["version"] is not None else -1


def fill(leader: NodeProcess, name: str, megabytes: int) -> None:
    """A project of so many MB, by mutations of 2 MB."""
    project = leader.create(name, NOTES)
    for part in range(megabytes // 2):
        text = f"{part:04}" * 500
        changes = [["i", "note", [f"{part}-{row}"], {"text": text}] for row in range(1000)]
        body = json.dumps({"changes": changes}).encode()
        status, answer = leader.ask("POST", f"/v1/projects/{project}/mutations", body)
        assert status == 200, answer


class Steady(threading.Thread):
    """One writer who sends at a steady pace, whatever has come back; `latencies` are from sending to the commit."""

    def __init__(self, node: NodeProcess, project: str) -> None:
        super().__init__(name="steady")
        self._client = new_client()
        self._line = Line(node.port, project, self._client)
        self._over = threading.Event()
        self._sent: list[float] = []
        self.latencies: list[float] = []

    @contextmanager
    def writing(self) -> Iterator[Steady]:
        hearing = threading.Thread(target=self._hear, name="hearing")
        self.start()
        hearing.start()
        try:
            yield self
        finally:
            self._over.set()
            self.join()
            hearing.join()
            self._line.close()

    def run(self) -> None:
        began = time.perf_counter()
        while not self._over.is_set():
            counter = len(self._sent) + 1
            time.sleep(max(0.0, began + counter / A_SECOND - time.perf_counter()))
            self._sent.append(time.perf_counter())
            self._line.send(push(self._client, counter, ground.set_cell(counter, 3, time.time_ns() % 2**40)))

    def _hear(self) -> None:
        mine = re.compile(rf'"id":\["{self._client}",(\d+)\]'.encode())
        while not self._over.is_set() or len(self.latencies) < len(self._sent):
            counters = mine.findall(self._line.receive())
            now = time.perf_counter()
            self.latencies += [now - self._sent[int(counter) - 1] for counter in counters]
