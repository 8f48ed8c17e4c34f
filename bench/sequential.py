"""One client, one update at a time: from sending a push to holding its commit, durable, in hand."""

from __future__ import annotations

import time

from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure, quantile
from .raw import Line, new_client, push

COMMITS = 2000


def measure(bench: Bench) -> list[Figure]:
    with RunningServer(bench.data()) as server:
        project = ground.project(server, "sequential")
        runs = [latencies(server, project) for _ in range(bench.runs)]
    return [
        Figure("one client in sequence, acknowledged commit, p50", "ms", medians(runs, 0.5), at_most=1.2),
        Figure("one client in sequence, acknowledged commit, p99", "ms", medians(runs, 0.99)),
    ]


def medians(runs: list[list[float]], share: float) -> tuple[float, ...]:
    return tuple(quantile(run, share) * 1000 for run in runs)


def latencies(server: RunningServer, project: str) -> list[float]:
    """Seconds of each commit of one run."""
    client, measured = new_client(), []
    line = Line(server.port, project, client)
    for counter in range(1, COMMITS + 1):
        frame = push(client, counter, ground.set_cell(counter, 3, counter))
        mine = f'"id":["{client}",{counter}]'.encode()
        start = time.perf_counter()
        line.send(frame)
        while mine not in (message := line.receive()):
            pass
        measured.append(time.perf_counter() - start)
        assert message.startswith(b'{"type":"commits"'), message
    line.close()
    return measured
