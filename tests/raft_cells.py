"""Cells of real Raft processes on loopback, for tests and benchmarks: nothing of SQLite, records are bytes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sharelite.cluster.port import Member, Role
from sharelite.cluster.raft.guard import Pace
from sharelite.cluster.raft.handle import Handle
from sharelite.cluster.raft.journal import Sizes
from sharelite.cluster.raft.setup import Setup
from tests.ports import free_port, free_ports

KEY = bytes(range(32))
PATIENCE = 60.0
SMALL = Sizes(segment=256 << 10, grow=64 << 10, cache=1 << 20, keep=64 << 10)
#: For a machine on which everything else runs too.
STEADY = Pace(heartbeat=0.1, election=1.0)


class Told:
    """An owner that keeps what it is told, and lets others wait for it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.records: list[tuple[int, bytes]] = []
        self.manifests: list[tuple[int, bytes]] = []
        self.roles: list[Role] = []
        self.failure: str | None = None

    def on_record(self, index: int, term: int, payload: bytes) -> None:
        with self.changed:
            self.records.append((index, payload))
            self.changed.notify_all()

    def on_role(self, role: Role) -> None:
        with self.changed:
            self.roles.append(role)
            self.changed.notify_all()

    def on_manifest(self, index: int, term: int, manifest: bytes) -> None:
        with self.changed:
            self.manifests.append((index, manifest))
            self.records.clear()
            self.changed.notify_all()

    def on_failure(self, why: str) -> None:
        with self.changed:
            self.failure = why
            self.changed.notify_all()

    def wait(self, until: Callable[[], Any], seconds: float = PATIENCE) -> None:
        with self.changed:
            assert self.changed.wait_for(until, seconds), self.described()

    def described(self) -> str:
        newest = self.records[-1] if self.records else None
        return f"{len(self.records)} records, the newest {newest}, roles {self.roles[-3:]}, failure {self.failure}"

    @property
    def payloads(self) -> list[bytes]:
        with self.changed:
            return [payload for _, payload in self.records]


class RealCell:
    """Nodes 0, 1, 2 ... of one cell under a folder."""

    def __init__(self, folder: Path, nodes: int = 3, sizes: Sizes = SMALL, pace: Pace = STEADY) -> None:
        self.folder, self._sizes, self._pace = folder, sizes, pace
        ports = free_ports(nodes)
        self.founders = tuple(Member(f"n{place}", 1, f"127.0.0.1:{port}") for place, port in enumerate(ports))
        self.members = dict(enumerate(self.founders))
        self.handles: dict[int, Handle] = {}
        self.told: dict[int, Told] = {}

    def __enter__(self) -> RealCell:
        for place in self.members:
            self.start(place)
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles.values():
            handle.stop()

    def setup(self, place: int, **more: Any) -> Setup:
        member = self.members[place]
        founders = self.founders if member in self.founders else ()
        given: dict[str, Any] = {"key": KEY, "pace": self._pace, "sizes": self._sizes, "founders": founders} | more
        return Setup(self.folder / f"{member.id}", "cell", member, **given)

    def start(self, place: int, **more: Any) -> Told:
        self.handles[place] = Handle(self.setup(place, **more))
        told = self.told[place] = Told()
        self.handles[place].start(told)
        return told

    def kill(self, place: int) -> None:
        """kill -9, and wait until its owner knows."""
        pid = self.handles[place].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.told[place].wait(lambda: self.told[place].failure is not None)

    def join(self, incarnation: int = 1, node: str = "") -> int:
        """A node that is not in the cell yet, on a port of its own."""
        place = max(self.members) + 1
        self.members[place] = Member(node or f"n{place}", incarnation, f"127.0.0.1:{free_port()}")
        self.start(place)
        return place

    def leader(self, seconds: float = PATIENCE) -> int:
        """The node that leads; waits until one does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for place, handle in self.handles.items():
                if handle.role.leader and self.told[place].failure is None:
                    return place
            threading.Event().wait(0.01)
        raise AssertionError(f"nobody leads: {[told.described() for told in self.told.values()]}")

    def write(self, payload: bytes, seconds: float = PATIENCE) -> None:
        """Until it is acknowledged, whoever leads; it may be there several times then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            place = self.leader()
            if self.handles[place].propose(payload).result(seconds) == "committed":
                return
        raise AssertionError("nothing was acknowledged")

    def level(self, payload: bytes, *places: int) -> None:
        """Wait until these nodes have been told this record."""
        for place in places or self.members:
            told = self.told[place]
            told.wait(lambda told=told: any(one == payload for _, one in told.records[-2000:]))  # type: ignore[misc]
