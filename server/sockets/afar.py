"""Transactions of a websocket of SQL at a node that does not lead: they are open at the leader (SPEC Q21)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ..errors import NotJudged, ShareliteError, Unavailable, UnknownOutcome
from ..handing import JSON, OF_SOCKET, hand_on
from ..sql.lease import LeaseExpired
from ..sql.requests import Mode

if TYPE_CHECKING:
    from ..auth import Identity
    from ..cellnode import CellNode

#: Until the leader has to have rolled back what nobody will commit; else its time there runs out.
ROLLBACK_SECONDS = 5.0
HEAD = (JSON, (OF_SOCKET.encode(), b"1"))
AWAY = "the leader of the cell went away, and what was open there is rolled back"


class Refusal(ShareliteError):
    """An error of the leader, with all that it `said`."""

    def __init__(self, body: bytes) -> None:
        self.said: dict[str, Any] = msgspec.json.decode(body)
        self.code, self._message = str(self.said["error"]["code"]), str(self.said["error"]["message"])

    def __str__(self) -> str:
        return self._message


class Leader:
    """Whoever leads, asked about one project in somebody's name. What it answers is JSON."""

    def __init__(self, node: CellNode, project: str) -> None:
        self._node, self._project = node, project

    async def ask(self, identity: Identity, method: str, path: str, body: bytes = b"", seen: bool = False) -> bytes:
        """`path`: behind that of the project. `seen`: come back when what it did is here. Raises Refusal, NotLeading
        (nothing happened), UnknownOutcome, Passed."""
        address = f"/v1/projects/{self._project}{path}"
        index, status, _, answer = await hand_on(self._node, identity, method, address, body, headers=HEAD)
        if status >= 400:
            raise Refusal(answer)
        if seen:
            await self._node.seen(self._project, index)
        return answer

    async def define(self, identity: Identity, body: bytes) -> bytes:
        """Statements that change tables."""
        return await self.ask(identity, "POST", "/sql", body, seen=True)

    async def commit(self, identity: Identity, transaction: str, id: Any, tag: str | None) -> bytes:
        """Also of a transaction that is gone: then what became of it. Its name may be anything that somebody said."""
        body = msgspec.json.encode({"id": id, "tag": tag})
        return await self.ask(identity, "POST", f"/transactions/{quote(transaction, safe='')}/commit", body, seen=True)


class Afar:
    """One transaction at the leader."""

    def __init__(self, leader: Leader, id: str) -> None:
        self._leader, self.id = leader, id
        #: Why nothing more can be asked of it.
        self.ended: LeaseExpired | None = None

    @classmethod
    async def begin(cls, leader: Leader, identity: Identity, mode: Mode) -> tuple[Afar, bytes]:
        """It, and what whoever begins it is told. Raises as `Leader.ask`, but never that nobody knows: one that may
        have begun and was lost is rolled back by its leader."""
        try:
            told = await leader.ask(identity, "POST", "/transactions", msgspec.json.encode({"mode": mode}))
        except UnknownOutcome:
            raise Unavailable("the leader of the cell went away; begin again") from None
        return cls(leader, msgspec.json.decode(told)["transaction"]), told

    async def run(self, identity: Identity, body: bytes) -> bytes:
        """Statements. Raises Refusal, LeaseExpired."""
        if self.ended is not None:
            raise self.ended
        try:
            return await self._leader.ask(identity, "POST", f"/transactions/{self.id}/sql", body)
        except Refusal as refusal:
            if refusal.said.get("transaction") == "gone" or refusal.code == LeaseExpired.code:
                self.ended = LeaseExpired(AWAY)
                refusal.said["transaction"] = "gone"
            raise
        except NotJudged:
            self.ended = LeaseExpired(AWAY)
            raise self.ended from None

    async def commit(self, identity: Identity, id: Any, tag: str | None) -> bytes:
        """It is over with this. Raises as `Leader.ask`."""
        self.ended = LeaseExpired("it was committed or refused already")
        return await self._leader.commit(identity, self.id, id, tag)

    async def rollback(self, identity: Identity) -> None:
        """Also where it is over already. A leader that cannot be asked lets its time run out."""
        if self.ended is None:
            self.ended = LeaseExpired("it was rolled back")
            with suppress(NotJudged, Refusal, TimeoutError):
                async with asyncio.timeout(ROLLBACK_SECONDS):
                    await self._leader.ask(identity, "DELETE", f"/transactions/{self.id}")
