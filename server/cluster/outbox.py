"""Proposals on their way: those that wait together travel in one record (SPEC K50)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Literal

from ..errors import Unavailable
from .payload import ITEM_BYTES, Item, pack
from .port import Port, Proposal

#: Bytes of a record that holds several entries; a single one may take all that Raft carries.
AIM = 256 << 10
#: Full records on their way. What would not fill one gathers while any is: a record costs each node more than an entry.
MOST_IN_FLIGHT = 4

Fate = Literal["open", "committed", "not_leader", "unknown"]


class Ticket:
    """One proposed item and what is known of it. `fate` is set on the port's thread, before `told` is called."""

    __slots__ = ("fate", "item", "told")

    def __init__(self, item: Item, told: Callable[[], None]) -> None:
        self.item, self.told = item, told
        self.fate: Fate = "open"


class Outbox:
    """Groups tickets into records and proposes them in order. Any thread."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._bytes = 0
        self._in_flight = 0

    def add(self, tickets: Sequence[Ticket]) -> None:
        with self._lock:
            self._waiting.extend(tickets)
            self._bytes += sum(map(_size, tickets))
        self._send()

    def _send(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._in_flight >= (MOST_IN_FLIGHT if self._bytes >= AIM else 1):
                    return
                group = self._group()
                self._in_flight += 1
                try:
                    # Within the lock: the parts of one entry must be appended in their order.
                    future = self._port.propose(pack([ticket.item for ticket in group]))
                except Unavailable:  # nothing was appended
                    future = Future()
                    future.set_result("not_leader")
            future.add_done_callback(partial(self._settled, group))

    def _group(self) -> list[Ticket]:
        group = [self._waiting.popleft()]
        size = _size(group[0])
        while self._waiting and size + _size(self._waiting[0]) <= AIM:
            group.append(self._waiting.popleft())
            size += _size(group[-1])
        self._bytes -= size
        return group

    def _settled(self, group: Sequence[Ticket], done: Future[Proposal]) -> None:
        with self._lock:
            self._in_flight -= 1
        fate: Fate = "unknown" if done.cancelled() or done.exception() is not None else done.result()
        for ticket in group:
            ticket.fate = fate
            ticket.told()
        self._send()


def _size(ticket: Ticket) -> int:
    return len(ticket.item.body) + ITEM_BYTES
