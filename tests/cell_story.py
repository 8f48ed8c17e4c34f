"""Writers and readers of a cell under faults, what they saw, and what must hold of it afterwards."""

from __future__ import annotations

import http.client
import json
import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import apsw
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.cellular import Cellular, NodeProcess, look
from tests.linear import INFINITE, Operation, linearizable
from tests.running import PATIENCE
from tests.serving import NOTES

#: What says that nothing was judged: the same bytes may be sent again.
#: `damaged`: at this node.
AGAIN = {"damaged", "unavailable", "unknown", "out_of_order", "rate_limited", "unreachable"}
ROWS = 4
CLIENT = "f" * 32


class Writer(threading.Thread):
    """One client that appends rows of its own, and writes and reads rows that all share; it sends to any node, and
    again with the same id until it has an answer, also when all is over: then nothing is on its way any more."""

    def __init__(self, story: Story, seed: int) -> None:
        super().__init__(name=f"writer-{seed}")
        self.story, self.chance = story, random.Random(seed)
        self.client, self.counter = secrets.token_hex(16), 0
        self.acked: dict[int, int] = {}
        self.history: list[tuple[str, Operation]] = []
        self.slowest = 0.0

    def run(self) -> None:
        while not self.story.over.is_set():
            if self.chance.random() < 0.3:
                self.read(f"shared-{self.chance.randrange(ROWS)}")
            else:
                self.write()

    def write(self) -> None:
        self.counter += 1
        value, shared = f"{self.name}-{self.counter}", f"shared-{self.chance.randrange(ROWS)}"
        changes = [["i", "note", [value], {"text": "x"}], ["s", "note", [shared], {"text": value}]]
        called, version = time.monotonic(), None
        while version is None and not self.story.given_up.is_set():
            status, answer = self.story.ask(
                self.chance, "mutations", {"id": [self.client, self.counter], "changes": changes}
            )
            if status == 200:
                version = int(answer["version"])
            else:
                assert status == 0 or answer["error"]["code"] in AGAIN, answer
                self.story.given_up.wait(0.01)
        returned = time.monotonic() if version is not None else INFINITE
        if version is not None:
            self.acked[self.counter] = version
            self.slowest = max(self.slowest, returned - called)
        self.history.append((shared, Operation(called, returned, "write", value)))

    def read(self, row: str) -> None:
        wanted = {"statements": [{"sql": "SELECT text FROM note WHERE id=?", "params": [row]}], "level": "linearizable"}
        called = time.monotonic()
        status, answer = self.story.ask(self.chance, "sql", wanted)
        if status == 200:
            found = answer["results"][0]["rows"]
            operation = Operation(called, time.monotonic(), "read", found[0][0] if found else None)
            self.history.append((row, operation))
        else:
            self.story.over.wait(0.01)


class Listener(threading.Thread):
    """Follows the feed at one node, and goes on from its cursor whenever it loses the node."""

    def __init__(self, story: Story, place: str) -> None:
        super().__init__(name=f"listener at {place}", daemon=True)
        self.story, self.place, self.version = story, place, 1
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.over():
            try:
                self.listen(self.story.cell.nodes[self.place])
            except (OSError, WebSocketException, TimeoutError):
                self.story.given_up.wait(0.1)
            except KeyError:
                return  # the node has left the cell

    def over(self) -> bool:
        return self.story.given_up.is_set() or self.version == self.story.last or bool(self.faults)

    def listen(self, node: NodeProcess) -> None:
        address = f"ws://127.0.0.1:{node.port}/v1/projects/{self.story.project}/live"
        with connect(address, sock=node.dial(3.0), compression=None, max_size=None, open_timeout=10) as socket:
            socket.send(json.dumps({"type": "hello", "protocol": 1, "client": CLIENT, "cursor": self.version}))
            while not self.over():
                with suppress(TimeoutError):
                    self.hear(json.loads(socket.recv(0.5)))

    def hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "goodbye":
            raise OSError("the node closes")
        if message["type"] == "reset" or message.get("reset"):
            self.faults.append(f"reset at {self.version}: {message}")
        for commit in message.get("commits", []):
            if commit["v"] != self.version + 1:
                self.faults.append(f"version {commit['v']} after {self.version}")
            self.version = commit["v"]


class Story:
    """A project of a cell, and those who work on it."""

    def __init__(self, cell: Cellular, writers: int = 4, patience: float = 20.0) -> None:
        """`patience`: seconds until a writer asks again, at any node."""
        self.cell, self.patience = cell, patience
        self.project = cell.leader().create(f"story {secrets.token_hex(4)}", NOTES)
        for node in cell.running():
            node.comes(f"/v1/projects/{self.project}")
        self.over, self.given_up = threading.Event(), threading.Event()
        #: The version at which listeners have heard everything, once that is known.
        self.last: int | None = None
        self.writers = [Writer(self, seed) for seed in range(writers)]
        self.listeners = [Listener(self, name) for name in cell.nodes]

    def ask(self, chance: random.Random, what: str, body: Any) -> tuple[int, Any]:
        """Any node; (0, None) where there was no answer."""
        node = chance.choice(list(self.cell.nodes.values()))
        connection = node.connection(self.patience)
        try:
            headers = {"content-type": "application/json"}
            connection.request("POST", f"/v1/projects/{self.project}/{what}", json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        everybody: list[threading.Thread] = [*self.writers, *self.listeners]
        for each in everybody:
            each.start()
        try:
            yield
        except BaseException:
            self.given_up.set()
            raise
        finally:
            self.over.set()
            for writer in self.writers:
                writer.join(PATIENCE)

    def acked(self) -> int:
        return sum(len(writer.acked) for writer in self.writers)

    def until_acked(self, more: int, seconds: float = PATIENCE) -> float:
        """Until so many more writes were acknowledged; how long that took."""
        began, wanted = time.monotonic(), self.acked() + more
        pause = threading.Event()
        while self.acked() < wanted:
            assert time.monotonic() - began < seconds, f"no write was acknowledged within {seconds} s"
            pause.wait(0.01)
        return time.monotonic() - began

    def check(self) -> None:
        """All nodes run. What was acknowledged is there once, on all of them alike, and happened in one order."""
        try:
            self._check()
        finally:
            self.given_up.set()

    def _check(self) -> None:
        assert not [writer.name for writer in self.writers if writer.is_alive()], "a write has no answer"
        commits = [self.commits(node) for node in self.cell.nodes.values()]
        for name, found in zip(self.cell.nodes, commits, strict=True):
            differs = [pair for pair in zip_longest(commits[0], found) if pair[0] != pair[1]]
            assert not differs, f"{name} differs from the first node: {differs[:3]}"
        assert [commit["v"] for commit in commits[0]] == list(range(1, len(commits[0]) + 1))
        ids = [tuple(commit["id"]) for commit in commits[0] if "id" in commit]
        assert len(ids) == len(set(ids)), "a mutation had two effects"
        versions = {tuple(commit["id"]): commit["v"] for commit in commits[0] if "id" in commit}
        for writer in self.writers:
            for counter, version in writer.acked.items():
                assert versions.get((writer.client, counter)) == version, f"{writer.name}-{counter} was acknowledged"
        rows: dict[str, list[Operation]] = {}
        for writer in self.writers:
            for row, operation in writer.history:
                rows.setdefault(row, []).append(operation)
        for row, history in rows.items():
            assert linearizable(history), f"no order of what happened to {row} explains what was seen"
        self.check_listeners(len(commits[0]))

    def check_listeners(self, last: int) -> None:
        """Everybody who listened has heard every version once, in order."""
        self.last = last
        for listener in self.listeners:
            if listener.place in self.cell.nodes:
                listener.join(PATIENCE)
                assert listener.version == last and not listener.faults, (listener.name, listener.version, last)
        self.given_up.set()

    def commits(self, node: NodeProcess) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        query = f"/v1/projects/{self.project}/commits?level=strict&limit=1000&after="
        while True:
            status, answer = node.ask("GET", f"{query}{len(found)}")
            assert status == 200, (node.name, answer)
            if not answer["commits"]:
                return found
            found += answer["commits"]

    def check_files(self) -> None:
        """After a tidy stop: the same position, log digest and row digest on every node, in both files."""
        found = {position(node.data, self.project) for node in self.cell.nodes.values()}
        assert len(found) == 1, found
        for node in self.cell.nodes.values():
            for name in ("data.db", "log.db"):
                connection = apsw.Connection(str(node.data / "projects" / self.project / name))
                assert connection.pragma("integrity_check") == "ok"
                connection.close()


def position(data: Path, project: str) -> tuple[Any, ...]:
    connection = apsw.Connection(str(data / "projects" / project / "data.db"))
    row: Any = connection.execute(
        'SELECT epoch, seq, version, log_digest, row_digest FROM "_sharelite" WHERE id=1'
    ).fetchone()
    connection.close()
    return tuple(row)


def settled(cell: Cellular, seconds: float = PATIENCE) -> None:
    """Every node runs and follows the same leader."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < deadline:
        told = [look(node) for node in cell.nodes.values()]
        if all(each is not None and each["leads"] is not None and not each["trouble"] for each in told):
            return
        pause.wait(0.05)
    raise AssertionError(f"the cell did not settle: {told}")
