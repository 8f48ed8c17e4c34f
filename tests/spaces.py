"""A network of a test's own, on which every node is a machine with an address and each way can be cut, one direction at
a time. Made of Linux network namespaces; nothing of it can be reached from elsewhere, nor reach anything."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.iproute import find

CLONE_NEWNET = 0x40000000
NOWHERE = "02:53:4c:ff:ff:ff"
libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """Machines by name, each with `eth0` at a switch. They know each other's hardware addresses; a way is cut by
    telling the sender a wrong one, so what it sends is lost without a word, as on a broken wire."""

    def __init__(self, names: str) -> None:
        self._mark = f"sl{os.getpid()}"
        self._places = {name: place for place, name in enumerate(names, 1)}

    def address(self, name: str) -> str:
        return f"10.203.0.{self._places[name]}"

    def inside(self, name: str) -> list[str]:
        """What begins the command of a process that runs on a machine; it keeps its process id."""
        return [_ip(), "netns", "exec", self._space(name)]

    def build(self) -> None:
        _run("netns", "add", self._space("switch"))
        self._in("switch", "link", "add", "switch", "type", "bridge")
        self._in("switch", "link", "set", "switch", "up")
        for name, place in self._places.items():
            _run("netns", "add", self._space(name))
            wire, hardware = f"wire{place}", _hardware(place)
            self._in("switch", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", self._space(name))
            self._in("switch", "link", "set", wire, "master", "switch", "up")
            self._in(name, "link", "set", "lo", "up")
            self._in(name, "link", "set", "eth0", "address", hardware, "up")
            self._in(name, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
        self.heal()

    def remove(self) -> None:
        for name in ("switch", *self._places):
            subprocess.run([_ip(), "netns", "delete", self._space(name)], check=True)

    def cut(self, sender: str, *receivers: str) -> None:
        """Lose what `sender` sends to these, from now on."""
        for receiver in receivers:
            self._point(sender, receiver, NOWHERE)

    def part(self, *sides: str) -> None:
        """Nobody reaches anybody on another side."""
        for side in sides:
            others = "".join(other for other in sides if other != side)
            for sender in side:
                self.cut(sender, *others)

    def heal(self) -> None:
        for sender in self._places:
            for receiver, place in self._places.items():
                if receiver != sender:
                    self._point(sender, receiver, _hardware(place))

    def dial(self, name: str, port: int, timeout: float) -> socket.socket:
        """A connection from a machine to itself: who asks is not on the network and sees no cut. Raises OSError."""
        with Path(f"/run/netns/{self._space(name)}").open() as there, Path("/proc/thread-self/ns/net").open() as here:
            _enter(there.fileno())
            try:
                sock = socket.socket()
            finally:
                _enter(here.fileno())
        try:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return sock

    def _space(self, name: str) -> str:
        return f"{self._mark}-{name}"

    def _point(self, sender: str, receiver: str, hardware: str) -> None:
        what = ("neighbour", "replace", self.address(receiver), "lladdr", hardware, "dev", "eth0", "nud", "permanent")
        self._in(sender, *what)

    def _in(self, name: str, *words: str) -> None:
        _run("-n", self._space(name), *words)


def _hardware(place: int) -> str:
    return f"02:53:4c:00:00:{place:02x}"


def _ip() -> str:
    path = find()
    assert path, "no ip command: `make test` finds or installs one"
    return path


def _run(*words: str) -> None:
    done = subprocess.run([_ip(), *words], capture_output=True, text=True)
    assert not done.returncode, f"ip {' '.join(words)}: {done.stderr}"


def _enter(space: int) -> None:
    """This thread is in a network namespace from now on."""
    if libc.setns(space, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def network(names: str) -> Iterator[Network]:
    """Where nobody may make one the test fails and says so: partitions are not to go untested unnoticed."""
    assert os.path.exists("/proc/self/ns/net") and os.geteuid() == 0, (
        "partitions need network namespaces: Linux, and root; without them `pytest -k 'not partitions'` runs the rest"
    )
    made = Network(names)
    try:
        made.build()
        yield made
    finally:
        made.remove()
