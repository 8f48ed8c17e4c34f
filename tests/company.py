"""Three servers of one cell in this process, over the port in memory: for tests that want their objects at hand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sharelite.app import InCell, Sharelite, create_app
from sharelite.cellnode import CellNode
from sharelite.cluster.plan import Address, Plan
from tests.cells import MemoryCell
from tests.ports import free_port
from tests.serving import Serving

KEY = bytes(range(32))


class Company:
    """Nodes by name; `apps` are those of the latest start."""

    def __init__(self, folder: Path, memory: MemoryCell, names: str = "abc") -> None:
        self.folder, self.memory = folder, memory
        self.addresses = {
            name: Address("memory", f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}") for name in names
        }
        self.serving: dict[str, Serving] = {}

    def app(self, name: str, **options: Any) -> Sharelite:
        plan = Plan("c" * 32, name, KEY, self.addresses)
        port = self.memory.port(name)
        # A node that has a journal is known to its cell.
        (self.folder / name / "raft" / "journal").mkdir(parents=True, exist_ok=True)
        return create_app(self.folder / name, cell=InCell(plan, lambda *_: port), **options)

    def start(self, *names: str, **options: Any) -> None:
        """All at once: none is ready before there is a majority."""
        starting = []
        for name in names or self.addresses:
            self.serving[name] = serving = Serving(self.folder / name, self.app(name, **options))
            thread = threading.Thread(target=serving.__enter__)
            thread.start()
            starting.append(thread)
        for thread in starting:
            thread.join(30)
            assert not thread.is_alive()

    def run(self, name: str, work: Any) -> Any:
        """Something asynchronous on a node's own loop."""
        node = self.node(name)
        return asyncio.run_coroutine_threadsafe(work, node._loop).result(30)

    def node(self, name: str) -> CellNode:
        found = self.serving[name].app.state.house.node
        assert isinstance(found, CellNode)
        return found

    def project(self, at: str = "a") -> str:
        """A new project of notes, made at one node and known to all of them."""
        made = self[at].project()
        deadline = time.monotonic() + 30
        for serving in self.serving.values():
            while serving.http.get(f"/v1/projects/{made}").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        return made

    def stop(self) -> None:
        for serving in self.serving.values():
            serving.stop()

    def __getitem__(self, name: str) -> Serving:
        return self.serving[name]


@contextmanager
def company(folder: Path, **options: Any) -> Iterator[Company]:
    with MemoryCell("a", "b", "c").running() as memory:
        made = Company(folder, memory)
        made.start(**options)
        try:
            yield made
        finally:
            made.stop()
