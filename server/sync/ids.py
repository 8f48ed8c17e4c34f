"""Mutation ids: one effect and one answer for each, however often it is sent (design: Mutation ids, SPEC M)."""

from __future__ import annotations

from collections import OrderedDict

from ..errors import OutOfOrder, Refused, Unavailable
from ..model import Mutation, MutationId, Outcome
from .log import Log

#: Clients whose counters are in memory; more than a batch has, so that none of them is forgotten within one.
MOST_CLIENTS = 10_000


class Ids:
    """Takes each client's counters in order. Worker thread only; `forget` what was taken but not logged."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._clients: OrderedDict[str, tuple[str, int]] = OrderedDict()
        #: What was taken since the last batch was logged: the log does not know it yet.
        self._taken: dict[MutationId, bytes] = {}

    def take(self, mutation: Mutation) -> Outcome | None:
        """None: it is the next one of its client and is taken. An outcome: it was answered before.

        Raises OutOfOrder (nothing is recorded) and Refused `foreign_client`, `id_reused`, `expired_id`, which answer
        this sending only: the id keeps the outcome it has.
        """
        name = mutation.id
        if name is None:
            return None
        user, counter = self._client(name.client, mutation.user)
        if user != mutation.user:
            raise Refused("foreign_client", f"client {name.client} belongs to another user; make a new client id")
        if name.counter == counter + 1:
            self._clients[name.client] = (user, name.counter)
            self._taken[name] = mutation.body_hash
            return None
        if name.counter > counter:
            raise OutOfOrder(counter + 1, name.counter)
        kept = self._log.outcome(name)
        if kept is None and name in self._taken:
            raise _reused(name) if self._taken[name] != mutation.body_hash else Unavailable("it is being judged")
        if kept is None:
            raise Refused("expired_id", f"counter {name.counter} is older than the outcomes that are kept")
        if kept.body_hash != mutation.body_hash:
            raise _reused(name)
        return kept.outcome

    def logged(self) -> None:
        """The log has all that was taken."""
        self._taken.clear()

    def forget(self) -> None:
        """Nothing of the open batch was logged: start again from what the log says."""
        self._clients.clear()
        self._taken.clear()

    def _client(self, client: str, user: str) -> tuple[str, int]:
        known = self._clients.get(client)
        if known is None:
            known = self._log.client(client) or (user, 0)
            self._clients[client] = known
            if len(self._clients) > MOST_CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(client)
        return known


def _reused(name: MutationId) -> Refused:
    return Refused("id_reused", f"counter {name.counter} was used for another mutation; use the next counter")
