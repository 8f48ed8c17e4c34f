"""The replicated log of a cell alone: three nodes on loopback, each a serving and a Raft process, sync on."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sharelite.cluster.port import Proposal, Role
from sharelite.cluster.raft.guard import Pace
from sharelite.cluster.raft.handle import Handle
from sharelite.cluster.raft.journal import Sizes
from tests.raft_cells import PATIENCE, RealCell

from .figure import Bench, Figure, quantile

RECORD = 200
IN_SEQUENCE = 2000
AT_ONCE = 512
RECORDS = 60_000
IDLE_SECONDS = 10.0


def measure(bench: Bench) -> list[Figure]:
    runs = [one_run(bench.data()) for _ in range(bench.runs)]
    names = {
        "small Raft records, 512 in flight": ("1/s", None, 15_000.0),
        "one Raft record after the other, p50": ("ms", None, None),
        "one Raft record after the other, p99": ("ms", None, None),
        "idle Raft process, the busiest of three": ("% of a core", 3.0, None),
    }
    return [
        Figure(name, unit, tuple(run[place] for run in runs), at_most=most, at_least=least)
        for place, (name, (unit, most, least)) in enumerate(names.items())
    ]


def one_run(folder: Path) -> tuple[float, float, float, float]:
    cell = RealCell(folder, sizes=Sizes(), pace=Pace())
    with ExitStack() as stack:
        nodes = [stack.enter_context(Serving(cell, place)) for place in cell.members]
        leader = leading(nodes)
        seconds = leader.call(throughput)
        latencies = leader.call(sequence)
        idle = max(node.call(idle_share) for node in nodes)
    return RECORDS / seconds, quantile(latencies, 0.5) * 1000, quantile(latencies, 0.99) * 1000, idle * 100


class Serving:
    """A serving process of one node, which does what it is called with."""

    def __init__(self, cell: RealCell, place: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._mine, its = context.Pipe()
        self._process = context.Process(target=serve, args=(its, cell, place))

    def __enter__(self) -> Serving:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._mine.send(None)
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()

    def call(self, job: Callable[[Handle], Any]) -> Any:
        self._mine.send(job)
        return self._mine.recv()


class Counter:
    """An owner that does nothing with what it is told."""

    def on_record(self, index: int, term: int, payload: bytes) -> None:
        return None

    def on_role(self, role: Role) -> None:
        return None

    def on_manifest(self, index: int, term: int, manifest: bytes) -> None:
        return None

    def on_failure(self, why: str) -> None:
        raise SystemExit(why)


def serve(pipe: Connection, cell: RealCell, place: int) -> None:
    handle = Handle(cell.setup(place))
    handle.start(Counter())
    while (job := pipe.recv()) is not None:
        pipe.send(job(handle))
    handle.stop()


def leading(nodes: list[Serving]) -> Serving:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for node in nodes:
            if node.call(leads):
                return node
    raise TimeoutError("nobody leads")


def leads(handle: Handle) -> bool:
    return handle.role.leader


def throughput(handle: Handle) -> float:
    """Seconds for all records."""
    waiting: deque[Future[Proposal]] = deque()
    start = time.perf_counter()
    for number in range(RECORDS):
        waiting.append(handle.propose(number.to_bytes(RECORD, "big")))
        if len(waiting) >= AT_ONCE:
            check(waiting.popleft())
    while waiting:
        check(waiting.popleft())
    return time.perf_counter() - start


def sequence(handle: Handle) -> list[float]:
    """Seconds of each record."""
    found = []
    for number in range(IN_SEQUENCE):
        start = time.perf_counter()
        check(handle.propose(number.to_bytes(RECORD, "big")))
        found.append(time.perf_counter() - start)
    return found


def check(future: Future[Proposal]) -> None:
    assert future.result(PATIENCE) == "committed"


def idle_share(handle: Handle) -> float:
    """What share of a core the Raft process of an idle node uses."""
    assert handle.pid is not None
    before = cpu_seconds(handle.pid)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(handle.pid) - before) / IDLE_SECONDS


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
