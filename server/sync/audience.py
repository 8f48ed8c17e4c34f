"""The audience of one project: who is here, what they point at, and when they are next served.

Presence is kept like the feed: each session holds the stamp up to which it has heard, so a slow one costs nothing and
hears only the newest state. Signals are handed on at once and forgotten. Nothing here awaits or knows a clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec import Raw, Struct

from . import messages

#: Peers who left are remembered until everybody has heard of it; looked at when there are this many.
GONE_KEPT = 64


class Listener(Protocol):
    """A session, as its audience sees it."""

    client: str
    user: str
    heard: int

    def relay(self, text: str) -> None: ...


class Seen(Struct, frozen=True, gc=False):
    stamp: int
    user: str
    #: JSON; None: gone.
    state: bytes | None
    #: The node of the cell where he is; empty: here.
    node: str = ""


class Outward(Protocol):
    """The audiences of the same project on the other nodes of a cell."""

    def presence(self, client: str, user: str, state: bytes | None) -> None: ...
    def signal(self, client: str, topic: str, data: bytes) -> None: ...


class Audience:
    """The sessions of one project by client id."""

    def __init__(self, outward: Outward | None = None) -> None:
        self._outward = outward
        self._listeners: dict[str, Listener] = {}
        #: In the order of their stamps.
        self._seen: dict[str, Seen] = {}
        self._stamp = 0
        self._texts: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._listeners.values())

    def at(self, client: str) -> Listener | None:
        return self._listeners.get(client)

    def enter(self, listener: Listener) -> Listener | None:
        """Take a session in; returns the older one of the same client, which is to be sent away."""
        older = self._listeners.get(listener.client)
        self._listeners[listener.client] = listener
        return older

    def leave(self, listener: Listener) -> bool:
        """Whether there is news for the others. An older session of a client does not end the presence of the newer."""
        if self._listeners.get(listener.client) is not listener:
            return False
        del self._listeners[listener.client]
        if listener.client not in self._seen:
            return False
        self._show(listener, None)
        self._forget_gone()
        return True

    def show(self, listener: Listener, state: bytes) -> None:
        """Somebody's newest presence."""
        self._show(listener, state)

    def signal(self, listener: Listener, topic: str, data: bytes) -> None:
        text = messages.signal(listener.client, topic, data)
        for other in self._listeners.values():
            if other is not listener:
                other.relay(text)
        if self._outward is not None:
            self._outward.signal(listener.client, topic, data)

    # From and for other nodes.

    def present(self) -> list[tuple[str, str, bytes]]:
        """Those who show themselves here: client, user, state."""
        return [
            (client, seen.user, seen.state)
            for client, seen in self._seen.items()
            if seen.state is not None and not seen.node
        ]

    def show_far(self, node: str, client: str, user: str, state: bytes | None) -> bool:
        """The newest presence of somebody on another node; whether that is news. Who is here by now is here, and who
        has gone on to a third node has not left because the second one says so."""
        seen = self._seen.get(client)
        if client in self._listeners or (state is None and (seen is None or seen.node != node)):
            return False
        self._put(client, user, state, node)
        return True

    def signal_far(self, client: str, topic: str, data: bytes) -> None:
        text = messages.signal(client, topic, data)
        for other in self._listeners.values():
            other.relay(text)

    def lose(self, node: str) -> bool:
        """A node is away, and with it those who are there; whether there were any."""
        lost = [(client, seen.user) for client, seen in self._seen.items() if seen.node == node and seen.state]
        for client, user in lost:
            self._put(client, user, None, node)
        return bool(lost)

    def presence(self, listener: Listener) -> str | None:
        """What the listener has not heard yet of the others, as one message; None if nothing."""
        since, listener.heard = listener.heard, self._stamp
        if since == self._stamp:
            return None
        own = self._seen.get(listener.client)
        if own is not None and own.stamp > since:
            return self._text(since, listener.client)
        if since not in self._texts:
            self._texts[since] = self._text(since, None) or ""
        return self._texts[since] or None

    def _show(self, listener: Listener, state: bytes | None) -> None:
        self._put(listener.client, listener.user, state, "")
        if self._outward is not None:
            self._outward.presence(listener.client, listener.user, state)

    def _put(self, client: str, user: str, state: bytes | None, node: str) -> None:
        self._stamp += 1
        self._texts.clear()
        self._seen.pop(client, None)
        self._seen[client] = Seen(self._stamp, user, state, node)

    def _text(self, since: int, without: str | None) -> str | None:
        peers: dict[str, Raw | None] = {}
        users: dict[str, str] = {}
        for client, seen in reversed(self._seen.items()):
            if seen.stamp <= since:
                break
            if client == without or (seen.state is None and since == 0):
                continue
            peers[client] = None if seen.state is None else Raw(seen.state)
            if seen.state is not None:
                users[client] = seen.user
        return messages.presence(peers, users) if peers else None

    def _forget_gone(self) -> None:
        gone = [client for client, seen in self._seen.items() if seen.state is None]
        if len(gone) < GONE_KEPT:
            return
        heard = min((listener.heard for listener in self._listeners.values()), default=self._stamp)
        for client in gone:
            if self._seen[client].stamp <= heard:
                del self._seen[client]


class Pacing:
    """When the next pass over all sockets may begin: at once while passes are cheap, else after a pause as long as the
    last one took, times `rest`; commits gather meanwhile. Never longer than `longest`."""

    def __init__(self, rest: float = 1.5, longest: float = 0.1) -> None:
        self._rest, self._longest = rest, longest
        self._next = 0.0

    def wait(self, now: float) -> float:
        return max(0.0, self._next - now)

    def passed(self, started: float, ended: float) -> None:
        self._next = ended + min((ended - started) * self._rest, self._longest)
