"""The demo's database of some 25,000 annotations, as a browser loads it."""

from __future__ import annotations

from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure


def measure(bench: Bench) -> list[Figure]:
    with RunningServer(bench.data(), command="demo") as server:
        status, answer = server.ask("GET", "/v1/projects")
        assert status == 200, answer
        size = len(ground.download(server, f"/v1/projects/{answer['projects'][0]['id']}/db"))
    return [Figure("database of the demo, 25,000 annotations", "MB", (size / 1e6,), at_most=6)]
