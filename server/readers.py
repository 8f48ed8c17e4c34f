"""The readers of a project: connections that see committed data, each on a thread of the readers' pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import apsw

from .errors import ShareliteError, Unavailable
from .model import EncodedCommit
from .sql.guard import Watchdog
from .sql.statements import Statements
from .storage.databases import Databases
from .sync.apply import WRONG
from .sync.log import commits

T = TypeVar("T")

#: Bytes of commits that are read at once.
COMMITS_BYTES = 4 << 20
KEPT = 8

#: A reader, and which of the files that have been data.db it is open on.
Borrowed = tuple[int, Statements]
#: A connection to the image of a version, for as long as the `with` lasts; None: there is none.
Shown = Callable[[int], AbstractContextManager[apsw.Connection | None]]


class Readers:
    """`run` and what goes with it belong to the event loop's thread; `borrow` and `bring_back` to a reader's."""

    def __init__(self, databases: Databases, watch: Watchdog, pool: Executor, shown: Shown) -> None:
        self._databases, self._watch, self._pool, self._shown = databases, watch, pool, shown
        self._kept: list[Borrowed] = []
        #: What reader threads do now, also for those who have stopped waiting for it.
        self._reading: set[asyncio.Future[Any]] = set()
        #: Why nothing is read any more.
        self.ended: ShareliteError | None = None
        #: What to say where the project's files are not what they should be.
        self.misread: Callable[[Exception], Exception] = lambda problem: problem

    @property
    def at_work(self) -> bool:
        return bool(self._reading)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """On a reader's thread. Whoever asked may go away meanwhile: the thread goes on, and the files stay open."""
        if self.ended is not None:
            raise self.ended
        reading = asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        return await asyncio.shield(reading)

    async def query(self, function: Callable[[Statements], T], at: int | None = None) -> T:
        """Run a function with a reader: of the image of a version, if that is asked for and has one."""
        if at is not None:
            return await self.run(self._with_image, function, at)
        return await self._own(self._with_reader, function)

    async def log(self, function: Callable[[apsw.Connection], T]) -> T:
        """Run a function with a read-only connection to the log."""
        return await self._own(self._with_log, function)

    async def commits(self, after: int, limit: int) -> list[EncodedCommit]:
        """Commits of the log after a version: at least one if there is one, at most `limit` or some 4 MiB."""
        return await self.log(lambda log: commits(log, after, limit, COMMITS_BYTES))

    def borrow(self) -> Borrowed:
        """A reader for oneself, until `bring_back`."""
        while self._kept:
            generation, reader = self._kept.pop()
            if generation == self._databases.generation:
                return generation, reader
            reader.close()
        return self._databases.generation, Statements(self._databases.data("read"), self._watch)

    def bring_back(self, borrowed: Borrowed) -> None:
        """Outside of a transaction."""
        if len(self._kept) < KEPT and not borrowed[1].connection.in_transaction:
            self._kept.append(borrowed)
        else:
            borrowed[1].close()

    async def end(self, why: ShareliteError | None) -> None:
        """Read nothing more, and wait for those who still do."""
        self.ended = why or Unavailable("the project is closed")
        if self._reading:
            await asyncio.wait(set(self._reading))

    def close(self) -> None:
        """Close the connections, when all has ended. On a worker's thread."""
        while self._kept:
            self._kept.pop()[1].close()

    async def _own(self, function: Callable[..., T], *args: object) -> T:
        """`run`, for what reads the project's own files."""
        try:
            return await self.run(function, *args)
        except WRONG as problem:
            raise self.misread(problem) from problem

    def _with_reader(self, function: Callable[[Statements], T]) -> T:
        borrowed = self.borrow()
        try:
            return function(borrowed[1])
        finally:
            self.bring_back(borrowed)

    def _with_image(self, function: Callable[[Statements], T], at: int) -> T:
        with self._shown(at) as connection:
            if connection is not None:
                return function(Statements(connection, self._watch))
        return self._with_reader(function)

    def _with_log(self, function: Callable[[apsw.Connection], T]) -> T:
        connection = self._databases.log_reader()
        try:
            return function(connection)
        finally:
            connection.close()
