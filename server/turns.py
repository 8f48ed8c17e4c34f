"""Who has the turn of a project: a batch, something that is not a batch, or an interactive transaction; and how many
projects may have a batch on its way at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from .errors import ShareliteError

#: Seconds between two turns of interactive transactions, while mutations wait.
LEASE_PAUSE = 0.1


class Slots:
    """For the batches of all projects of a node. A project that waits for one gathers a larger batch meanwhile: where
    many are busy, fewer and larger batches cost less than one for each mutation. On the event loop's thread."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._line: dict[Callable[[], None], None] = {}

    def take(self, again: Callable[[], None]) -> bool:
        """Take one; or wait in line for it: `again` is called when one is free, and may take it."""
        if self._free == 0:
            self._line[again] = None
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        self._free += 1
        while self._free and self._line:
            again = next(iter(self._line))
            del self._line[again]
            again()


class Turns:
    """One at a time has the turn. On the event loop's thread."""

    def __init__(self, follow: Callable[[], None]) -> None:
        """`follow` is called when the turn is free again: to give it to whoever is next."""
        self._follow = follow
        self.busy = False
        #: Why there are no more of them; None while there are.
        self.ended: ShareliteError | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        #: Those who want the turn for something that is not a batch: they go before the next one.
        self._queued = 0
        #: Interactive transactions that want the turn, and when they may have it though mutations wait.
        self._lessees: deque[asyncio.Future[None]] = deque()
        self._lease_after = 0.0

    @property
    def wanted(self) -> bool:
        """Whether somebody has the turn, or wants it for something that is not a batch."""
        return bool(self.busy or self._queued or self._lessees)

    def taken(self, crowded: bool) -> bool:
        """Whether there is no turn for a batch now; a transaction that may have it gets it.

        `crowded`: mutations wait."""
        return self.busy or self._queued > 0 or self.ended is not None or self._grant(crowded)

    def begin(self) -> None:
        """Take the turn, which is free."""
        self.busy = True
        self._idle.clear()

    def finish(self) -> None:
        """Free the turn, for those who wait in line."""
        self.busy = False
        self._idle.set()

    async def idle(self) -> None:
        """Until the turn is free. It may be taken again when the caller goes on."""
        await self._idle.wait()

    @asynccontextmanager
    async def own(self) -> AsyncIterator[None]:
        """Hold the turn for something that is not a batch. Raises why there are none any more."""
        self._queued += 1
        try:
            while self.busy:
                await self._idle.wait()
        except asyncio.CancelledError:
            self._queued -= 1
            self._follow()  # those behind were held up for this one
            raise
        self._queued -= 1
        if self.ended is not None:
            raise self.ended
        self.begin()
        try:
            yield
        finally:
            self.give_back()

    async def lease(self) -> None:
        """Take the turn for an interactive transaction; it lasts until `give_back`. While mutations wait, they are let
        in between, so that at most one of these turns begins every tenth of a second. Raises why there are none."""
        if self.ended is not None:
            raise self.ended
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lessees.append(granted)
        self._follow()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.give_back_lease()
            raise

    def give_back_lease(self) -> None:
        self._lease_after = asyncio.get_running_loop().time() + LEASE_PAUSE
        self.give_back()

    def give_back(self) -> None:
        """Free the turn, and have whoever is next take it."""
        self.finish()
        self._follow()

    def end(self, why: ShareliteError) -> None:
        """No more turns; the one that is under way goes on."""
        self.ended = why
        while self._lessees:
            lessee = self._lessees.popleft()
            if not lessee.done():
                lessee.set_exception(why)

    def _grant(self, crowded: bool) -> bool:
        """Give the turn to the next interactive transaction, if it may have it."""
        while self._lessees and self._lessees[0].done():
            self._lessees.popleft()
        if not self._lessees or (crowded and asyncio.get_running_loop().time() < self._lease_after):
            return False
        self.begin()
        self._lessees.popleft().set_result(None)
        return True
