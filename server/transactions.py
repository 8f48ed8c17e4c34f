"""Interactive transactions: a state of the project to read, then the turn to write, for as long as a lease allows.

`begin` stops nobody. Until it writes, a transaction reads one state on a reader of its own; its first write takes the
project's turn, and if anything was committed since what it read, it is in conflict. What it did becomes one mutation.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import apsw

from .errors import BadRequest, DiskFull, RateLimited, Refused, ShareliteError, Unavailable
from .model import Done, Mutation, MutationId, Outcome, Result, Sql, Statement
from .project import Project, to_its_end
from .readers import Borrowed
from .sql import answers, reading
from .sql.guard import READ_SECONDS
from .sql.lease import READING, WRITING, Lease, LeaseExpired
from .sql.requests import Mode, Request
from .statements import Judged, More, encoded, position, told
from .sync.held import Held, Moved

#: Open at once over HTTP, in all and of one user; and those that are over and still say why.
MOST = 1000
MOST_OF_USER = 64
REMEMBERED = 200
STOP_SECONDS = 0.05
#: Who wants to write waits for the turn so long.
PATIENCE = 15.0


class Transaction:
    """One interactive transaction of somebody on an open project, from `begin` to its end. Event loop's thread.

    Once it is over, `ended` says why, and every statement of it is answered with that.
    """

    def __init__(self, project: Project, user: str, mode: Mode) -> None:
        self.id = secrets.token_hex(16)
        self.user = user
        self.project = project.id
        self.ended: ShareliteError | None = None
        self._project, self._mode = project, mode
        self._loop = asyncio.get_running_loop()
        self._lease = Lease(self._loop.time(), READING)
        self._one_at_a_time = asyncio.Lock()
        self._busy = False
        self._reader: Borrowed | None = None
        #: The version of what it has read; None: nothing yet.
        self._base: int | None = None
        self._held: Held | None = None
        self._savepoints: list[str] = []
        self._alarm: asyncio.TimerHandle | None = None
        project.guests.add(self)
        self._set_alarm()

    @classmethod
    async def begin(cls, project: Project, user: str, mode: Mode) -> Transaction:
        """Raises what taking the turn raises, for `immediate`."""
        transaction = cls(project, user, mode)
        if mode == "immediate":
            async with transaction._statement():
                await transaction._take_turn()
        return transaction

    @property
    def version(self) -> int:
        """Of what it reads, or would if it began to."""
        if self._held is not None:
            return self._held.base
        return self._project.version if self._base is None else self._base

    @property
    def writing(self) -> bool:
        return self._held is not None

    @property
    def lease(self) -> Lease:
        return self._lease

    async def run(self, request: Request, more: More | None = None) -> bytes:
        """Run statements; the body of the answer, and rows of long reads before it to `more`. Raises Refused,
        LeaseExpired, NotJudged; `ended` says whether the transaction is over with it. Whoever asks may go away."""
        return await to_its_end(self._run(request, more))

    async def commit(self, id: MutationId | None, tag: str | None) -> Outcome:
        """Make it happen, or say why not. Raises Judged, LeaseExpired, NotJudged (`unknown`: ask again with the id)."""
        return await to_its_end(self._commit(id, tag))

    async def rollback(self) -> None:
        """Also where it is over already."""
        await to_its_end(self._finish(LeaseExpired("it was rolled back")))

    async def leave(self, why: str) -> None:
        """End it now, also in the middle of a statement."""
        await to_its_end(self._cut(LeaseExpired(why)))

    async def _run(self, request: Request, more: More | None) -> bytes:
        async with self._statement():
            found = [await self._answer(statement, place, more) for place, statement in enumerate(request.statements)]
            return answers.answer(self.version, found, b',"writing":true' if self.writing else b',"writing":false')

    async def _commit(self, id: MutationId | None, tag: str | None) -> Outcome:
        async with self._statement():
            try:
                outcome = await self._concluded(id, tag)
            finally:
                await self._end(LeaseExpired("it was committed or refused already"))
        if outcome.refusal is not None:
            raise Judged(outcome)
        return outcome

    async def _cut(self, why: LeaseExpired) -> None:
        """Stop whatever runs, and end it. A statement that was about to begin is stopped once it has."""
        ending = asyncio.ensure_future(self._finish(why))
        while not ending.done():
            self._stop(why.why)
            await asyncio.wait([ending], timeout=STOP_SECONDS)
        await ending

    async def _finish(self, why: LeaseExpired) -> None:
        async with self._one_at_a_time:
            await self._end(why)

    def _statement(self) -> _Busy:
        return _Busy(self)

    async def _answer(self, statement: Statement, place: int, more: More | None) -> bytes:
        kind = reading.kind(statement.sql)
        try:
            if kind == "transaction":
                return answers.result(await self._savepoint(statement.sql))
            if kind == "schema":
                raise Refused("failed", "the schema is changed outside of transactions, by requests of their own")
            if self._held is None and kind in ("read", "empty"):
                return await self._project.readers.run(self._read, statement, place, more)
            if self._held is None:
                await self._take_turn()
            (found,) = await encoded([await self._write(statement)])
            return found
        except Moved:
            raise
        except Refused as refused:
            raise refused.at(f"/statements/{place}") from None

    def _read(self, statement: Statement, place: int, more: More | None) -> bytes:
        """On a reader's thread."""
        if self._reader is None:
            self._reader = self._project.readers.borrow()
            self._reader[1].connection.execute("BEGIN")
            self._base = position(self._reader[1].connection)
        statements = self._reader[1]
        with statements.guard.within(READ_SECONDS):
            return told(statements, statement, place, more)

    async def _write(self, statement: Statement) -> Result:
        held = self._held
        assert held is not None, "it has the turn"
        try:
            return await self._project.in_turn(partial(_ran, held, statement))
        except ShareliteError as problem:
            if not await self._project.in_turn(held.there):
                await self._end(LeaseExpired(f"a statement took all of it back ({problem})"))
            raise

    async def _take_turn(self) -> None:
        """Raises Refused, Moved, Unavailable."""
        if self._mode == "read_only":
            raise Refused("forbidden", "this transaction only reads; begin another one to write")
        try:
            async with asyncio.timeout(PATIENCE):
                await self._project.lease()
        except TimeoutError:
            raise Unavailable("others have the turn of the project") from None
        try:
            held, arrival = await self._project.hold(self._base)
        except BaseException:
            self._project.give_back()
            raise
        self._project.arrived(arrival)
        if isinstance(held, Moved):
            self._project.give_back()
            await self._end(held)
            raise held
        self._held = held
        self._lease.begin(self._loop.time(), WRITING)
        self._set_alarm()
        await self._return_reader()
        await self._project.in_turn(partial(_set_savepoints, held, self._savepoints))

    async def _savepoint(self, sql: str) -> Result:
        found = reading.savepoint(sql)
        if found is None:
            raise BadRequest("a transaction is committed and rolled back as such, not by statements of it")
        verb, name = found
        held = self._held
        if held is not None:
            work: Callable[[str], None] = {
                "SAVEPOINT": held.savepoint, "RELEASE": held.release, "ROLLBACK": held.rollback_to,
            }[verb]  # fmt: skip
            await self._project.in_turn(lambda: work(name))
        elif verb == "SAVEPOINT":
            self._savepoints.append(name)
        else:
            place = self._place(name)
            del self._savepoints[place + (verb == "ROLLBACK") :]
        return Result((), (), [], 0, None, 0.0)

    def _place(self, name: str) -> int:
        for place in reversed(range(len(self._savepoints))):
            if self._savepoints[place].lower() == name.lower():
                return place
        raise Refused("failed", f"there is no savepoint {name!r}")

    async def _concluded(self, id: MutationId | None, tag: str | None) -> Outcome:
        held = self._held
        if held is None:
            if id is None:
                return Outcome("settled", self.version)
            return await self._project.mutate(Mutation(self.user, Sql(()), id, None, tag, body_hash(self.id)))
        try:
            done = await self._project.in_turn(held.finish)
            self._held = None
            return await self._project.conclude(Mutation(self.user, done, id, None, tag, body_hash(self.id)))
        finally:
            if self._held is None:
                self._project.give_back()

    async def _end(self, why: ShareliteError) -> None:
        """Let go of reader and turn. Whoever comes after hears why."""
        if self.ended is not None:
            return
        self.ended = why
        if self._alarm is not None:
            self._alarm.cancel()
        held, self._held = self._held, None
        try:
            if held is not None:
                await self._project.in_turn(held.abandon)
        finally:
            if held is not None:
                self._project.give_back()
            await self._return_reader()
            self._project.guests.discard(self)

    async def _return_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await self._project.readers.run(_returned, self._project, reader)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self.ended is None:
            self._alarm = self._loop.call_at(self._lease.left(self._busy), self._ring)

    def _ring(self) -> None:
        over = self._lease.over(self._loop.time(), self._busy)
        if over is None:
            self._set_alarm()
            return
        ending = self._loop.create_task(self._cut(over))
        ending.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _stop(self, why: str) -> None:
        """End the statement that runs now, if one does."""
        if self._reader is not None:
            self._reader[1].guard.stop(why)
        if self._held is not None:
            self._held.stop(why)


class Transactions:
    """Those that are open over HTTP, by their ids. Event loop's thread."""

    def __init__(self) -> None:
        self._open: dict[str, Transaction] = {}
        self._of_sockets: set[str] = set()
        #: Those that are over stay for a while, to say why.
        self._over: deque[str] = deque()

    async def begin(self, project: Project, user: str, mode: Mode, of_socket: bool = False) -> Transaction:
        """`of_socket`: of a websocket at another node, which has no other; those are not counted here. Raises
        RateLimited where there are too many already."""
        self._forget()
        counted = [each.user for id, each in self._open.items() if each.ended is None and id not in self._of_sockets]
        if not of_socket and (counted.count(user) >= MOST_OF_USER or len(counted) >= MOST):
            raise RateLimited("open transactions", 2.0)
        transaction = await Transaction.begin(project, user, mode)
        self._open[transaction.id] = transaction
        if of_socket:
            self._of_sockets.add(transaction.id)
        return transaction

    def get(self, id: str, project: str, user: str) -> Transaction:
        """Raises LeaseExpired where there is no such one, or it is somebody else's."""
        transaction = self._open.get(id)
        if transaction is None or (transaction.project, transaction.user) != (project, user):
            raise LeaseExpired("it is not open here")
        return transaction

    async def close(self) -> None:
        for transaction in list(self._open.values()):
            await transaction.leave("the server is going down")

    def _forget(self) -> None:
        over = [id for id, each in self._open.items() if each.ended is not None and id not in self._over]
        self._over += over
        while len(self._over) > REMEMBERED:
            self._open.pop(gone := self._over.popleft(), None)
            self._of_sockets.discard(gone)


class _Busy:
    """A statement or the end of a transaction: one at a time, and not being idle."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def __aenter__(self) -> None:
        transaction = self._transaction
        await transaction._one_at_a_time.acquire()
        if transaction.ended is not None:
            transaction._one_at_a_time.release()
            raise transaction.ended
        transaction._busy = True
        transaction._lease.touch(transaction._loop.time())
        transaction._set_alarm()

    async def __aexit__(self, *_: object) -> None:
        transaction = self._transaction
        transaction._busy = False
        transaction._lease.touch(transaction._loop.time())
        transaction._set_alarm()
        transaction._one_at_a_time.release()


async def repeat(project: Project, user: str, id: MutationId, transaction: str, why: str = "it is over") -> Outcome:
    """What became of the commit of a transaction that is gone. If nothing did, nothing ever will: that is its outcome,
    which says why. Raises Judged, NotJudged."""
    gone = LeaseExpired(f"{why}, and it was not committed")
    done = Done(0, refusal=Refused(gone.code, str(gone)).refusal())
    await project.lease()
    try:
        outcome = await project.conclude(Mutation(user, done, id, body_hash=body_hash(transaction)))
    finally:
        project.give_back()
    if outcome.refusal is not None:
        raise Judged(outcome)
    return outcome


def body_hash(transaction: str) -> bytes:
    """Of the commit of a transaction."""
    return hashlib.sha256(b"transaction " + transaction.encode()).digest()[:16]


def _set_savepoints(held: Held, names: Sequence[str]) -> None:
    for name in names:
        held.savepoint(name)


def _ran(held: Held, statement: Statement) -> Result:
    try:
        return held.run(statement)
    except UnicodeDecodeError:
        raise Refused("invalid", "a text is not UTF-8; read it as CAST(... AS BLOB)") from None
    except apsw.FullError:
        raise DiskFull from None


def _returned(project: Project, reader: Borrowed) -> None:
    connection = reader[1].connection
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    project.readers.bring_back(reader)
