"""Many projects on a node: what those cost that nobody uses, and what it takes to open one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.running import RunningServer

from . import ground
from .figure import Bench, Figure
from .raw import new_client

#: Clients that make projects side by side.
AT_ONCE = 16
#: Projects that are used, each once, before the node is looked at.
USED = 2_000
IDLE_SECONDS = 1.0
ROWS, TEXT = 10_000, "x" * 900
PUSH_ROWS = 500


def measure(bench: Bench) -> list[Figure]:
    return [*many(bench), *cold(bench)]


def many(bench: Bench) -> list[Figure]:
    """The node after a start, a list, and some use that has gone by."""
    with RunningServer(bench.data()) as server:
        server.ask("GET", "/v1/projects")
        empty = ground.memory_kib(server.pid)
    options = ("--idle-seconds", str(IDLE_SECONDS), "--open-projects", "200", "--log-level", "WARNING")
    with RunningServer(bench.data(), *options) as server, ThreadPoolExecutor(AT_ONCE) as pool:
        start = time.perf_counter()
        names = [f"project {n}" for n in range(bench.projects)]
        made = list(pool.map(lambda name: server.create(name, ground.contract(10)), names))
        making = time.perf_counter() - start
        server.stop()
        start = time.perf_counter()
        server.start()
        starting = time.perf_counter() - start
        listing = min(asked(server, "/v1/projects") for _ in range(3))
        after_a_list = ground.memory_kib(server.pid) - empty
        list(pool.map(lambda project: asked(server, f"/v1/projects/{project}/commits"), made[:USED]))
        while 'sharelite_projects{state="open"} 0.0' not in ground.download(server, "/metrics").decode():
            time.sleep(0.2)
        time.sleep(3 * IDLE_SECONDS)  # memory goes back after the last one was closed
        used = ground.memory_kib(server.pid) - empty
    many = f"{bench.projects:,} idle projects"
    return [
        Figure(f"{many}: memory of the node beyond an empty one", "MiB", (after_a_list / 1024,), at_most=100),
        Figure(f"{many}: the same after {USED:,} of them were used", "MiB", (used / 1024,), at_most=100),
        Figure(f"{many}: start of the server", "s", (starting,)),
        Figure(f"{many}: the whole list", "ms", (1000 * listing,)),
        Figure(f"  (making them, {AT_ONCE} at once)", "projects/s", (bench.projects / making,)),
    ]


def cold(bench: Bench) -> list[Figure]:
    """The first request for a project of 10 MB after a start, and after it was closed because nobody used it."""
    with RunningServer(bench.data(), "--idle-seconds", "0.2") as server:
        project = server.create("ten", ten_megabytes())
        client = new_client()
        for counter in range(ROWS // PUSH_ROWS):
            first = counter * PUSH_ROWS
            rows = [["i", "item", [f"r{n}"], {"text": f"{TEXT}{n}"}] for n in range(first, first + PUSH_ROWS)]
            body = {"id": [client, counter + 1], "changes": rows}
            assert server.ask("POST", f"/v1/projects/{project}/mutations", body)[0] == 200
        address = f"/v1/projects/{project}/commits?after={ROWS // PUSH_ROWS + 1}"
        started = [after_a_restart(server, address) for _ in range(max(bench.runs, 5))]
        closed = [after_a_close(server, address) for _ in range(max(bench.runs, 5))]
        size = server.ask("GET", f"/v1/projects/{project}")[1]["size"]
    ten = f"a project of {size / 1e6:.0f} MB"
    return [
        Figure(f"opening {ten} after a start", "ms", tuple(1000 * seconds for seconds in started), at_most=100),
        Figure(f"opening {ten} that was closed", "ms", tuple(1000 * seconds for seconds in closed), at_most=100),
    ]


def ten_megabytes() -> object:
    text = {"id": {"type": "string"}, "text": {"type": "string"}}
    items = {"type": "object", "required": ["id"], "properties": text, "additionalProperties": False}
    return {"type": "object", "properties": {"item": {"type": "array", "items": items}}}


def after_a_restart(server: RunningServer, address: str) -> float:
    server.stop()
    server.start()
    asked(server, "/v1/projects")
    return asked(server, address)


def after_a_close(server: RunningServer, address: str) -> float:
    while 'sharelite_projects{state="open"} 0.0' not in ground.download(server, "/metrics").decode():
        time.sleep(0.05)
    return asked(server, address)


def asked(server: RunningServer, address: str) -> float:
    """Seconds until the whole answer is here."""
    start = time.perf_counter()
    ground.download(server, address)
    return time.perf_counter() - start
