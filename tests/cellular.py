"""A cell of real processes on loopback, for scenarios and benchmarks: start, kill, stop, ask."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sharelite.cluster.plan import Address, Plan, new_key, text
from tests.ports import free_ports
from tests.running import PATIENCE, RunningServer
from tests.spaces import Network


class NodeProcess(RunningServer):
    """One node: `sharelite serve DATA --cluster PLAN`; its Raft process ends with it."""

    def __init__(self, folder: Path, plan: Plan, *options: str, network: Network | None = None) -> None:
        self.name, self._network = plan.node, network
        path = folder / f"{plan.node}.toml"
        path.write_text(text(plan, "cell.key"))
        super().__init__(folder / plan.node, "--cluster", str(path), *options)
        port = int(plan.me.url.rsplit(":", 1)[1])
        self._command[self._command.index("--port") + 1] = str(port)
        self.port, self.url = port, plan.me.url
        if network is not None:
            self._command = [*network.inside(self.name), *self._command]

    def dial(self, timeout: float) -> socket.socket:
        """A connection to where its clients come. Raises OSError."""
        if self._network is None:
            return socket.create_connection(("127.0.0.1", self.port), timeout)
        return self._network.dial(self.name, self.port, timeout)

    def connection(self, timeout: float = PATIENCE) -> http.client.HTTPConnection:
        return Dialled(self, timeout)

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


class Dialled(http.client.HTTPConnection):
    """To a node, on whatever network it is."""

    def __init__(self, node: NodeProcess, timeout: float) -> None:
        super().__init__("127.0.0.1", node.port, timeout=timeout)
        self._node, self._seconds = node, timeout

    def connect(self) -> None:
        self.sock = self._node.dial(self._seconds)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Cellular:
    """Nodes by name; on loopback, or each a machine of a network."""

    def __init__(self, folder: Path, names: str = "abc", *options: str, network: Network | None = None) -> None:
        self.folder, self.options, self.network = folder, options, network
        (folder / "cell.key").write_text(new_key())
        self.addresses = {name: node_address() if network is None else machine(network, name) for name in names}
        self.cluster = "c" * 32
        self.nodes = {name: self.made(name) for name in names}

    def made(self, name: str, joins: bool = False) -> NodeProcess:
        plan = Plan(self.cluster, name, b"", self.addresses, joins)
        return NodeProcess(self.folder, plan, *self.options, network=self.network)

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
        with closing(node.connection(3)) as connection:
            connection.request("GET", "/v1/cluster")
            answer = connection.getresponse()
            told: dict[str, Any] = json.load(answer)
            return told if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None


def node_address() -> Address:
    raft, peer, http = free_ports(3)
    return Address(f"127.0.0.1:{raft}", f"127.0.0.1:{peer}", f"http://127.0.0.1:{http}")


def machine(network: Network, name: str) -> Address:
    """Clients come from the machine itself; other nodes send them nowhere."""
    host = network.address(name)
    return Address(f"{host}:7400", f"{host}:7500", f"http://{host}:8080")


@contextmanager
def cellular(folder: Path, *options: str, names: str = "abc", network: Network | None = None) -> Iterator[Cellular]:
    cell = Cellular(folder, names, *options, network=network)
    try:
        cell.start()
        yield cell
    finally:
        cell.stop()


assert sys.platform != "win32"
