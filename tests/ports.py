"""Ports for servers that are started, killed and started again on the same one."""

from __future__ import annotations

import itertools
import os
import random
import socket

#: Below what Linux, macOS and Windows hand out to outgoing connections, so that none of these takes one between two
#: starts; each worker of a test run has a stretch of its own.
FIRST, STRETCH = 10_000, 1_000
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_next = itertools.count(random.randrange(STRETCH))


def free_port() -> int:
    """One that nobody listens on, and that this process was not given lately."""
    for _ in range(STRETCH):
        port = FIRST + WORKER % 20 * STRETCH + next(_next) % STRETCH
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"all ports from {FIRST + WORKER % 20 * STRETCH} on are taken")


def free_ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]
