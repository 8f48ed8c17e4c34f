"""A cell of real processes on loopback, for scenarios and benchmarks: start, kill, stop, ask."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sharelite.cluster.plan import Address, Plan, new_key, text
from tests.running import PATIENCE, RunningServer


class NodeProcess(RunningServer):
    """One node: `sharelite serve DATA --cluster PLAN`; its Raft process ends with it."""

    def __init__(self, folder: Path, plan: Plan, *options: str) -> None:
        self.name = plan.node
        path = folder / f"{plan.node}.toml"
        path.write_text(text(plan, "cell.key"))
        super().__init__(folder / plan.node, "--cluster", str(path), *options)
        port = int(plan.me.url.rsplit(":", 1)[1])
        self._command[self._command.index("--port") + 1] = str(port)
        self.port, self.url = port, plan.me.url

    def begin(self) -> None:
        """Start without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=self.data.parent, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )  # fmt: skip

    def wait(self) -> None:
        self._wait_until_ready()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ended_well(self) -> bool:
        """Stop it tidily; whether it said that all was well."""
        self.stop()
        assert self.process is not None
        return self.process.returncode == 0

    def comes(self, path: str) -> None:
        """Waits until there is something at a path: what a new leader still has to put there."""
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while (status := self.ask("GET", path)[0]) != 200:
            assert time.monotonic() < deadline, f"{path}: still {status}"
            pause.wait(0.05)

    def raft_pid(self) -> int:
        """Its Raft process."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return next(int(pid) for pid in children if b"raft.process" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def send(self, number: signal.Signals) -> None:
        """To both of its processes."""
        for pid in (self.pid, self.raft_pid()):
            os.kill(pid, number)


class Cellular:
    """Nodes by name."""

    def __init__(self, folder: Path, names: str = "abc", *options: str) -> None:
        self.folder, self.options = folder, options
        (folder / "cell.key").write_text(new_key())
        self.addresses = {name: node_address() for name in names}
        self.cluster = "c" * 32
        self.nodes = {name: self.made(name) for name in names}

    def made(self, name: str, joins: bool = False) -> NodeProcess:
        return NodeProcess(self.folder, Plan(self.cluster, name, b"", self.addresses, joins), *self.options)

    def start(self, *names: str) -> None:
        chosen = [self.nodes[name] for name in names or self.nodes]
        for node in chosen:
            node.begin()
        for node in chosen:
            node.wait()

    def stop(self) -> None:
        for node in self.nodes.values():
            if node.alive:
                node.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
        for node in self.nodes.values():
            node.stop()

    def __getitem__(self, name: str) -> NodeProcess:
        return self.nodes[name]

    def running(self) -> list[NodeProcess]:
        return [node for node in self.nodes.values() if node.alive]

    def leader(self) -> NodeProcess:
        """The node that leads, by what the running ones say; waits until there is one."""
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while time.monotonic() < deadline:
            for node in self.running():
                told = look(node)
                if told is not None and told["leads"] == node.name:
                    return node
            pause.wait(0.05)
        raise AssertionError("nobody leads")


def look(node: NodeProcess) -> dict[str, Any] | None:
    """What a node says of its cell; None if it does not say anything now."""
    try:
        with urllib.request.urlopen(f"{node.url}/v1/cluster", timeout=3) as answer:
            told: dict[str, Any] = json.load(answer)
            return told
    except (OSError, ValueError):
        return None


def node_address() -> Address:
    raft, peer, http = (kept_port() for _ in range(3))
    return Address(f"127.0.0.1:{raft}", f"127.0.0.1:{peer}", f"http://127.0.0.1:{http}")


def kept_port() -> int:
    """A free port below those that the system gives to connections: a node that is restarted needs it again."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def cellular(folder: Path, *options: str) -> Iterator[Cellular]:
    cell = Cellular(folder, "abc", *options)
    try:
        cell.start()
        yield cell
    finally:
        cell.stop()


assert sys.platform != "win32"
