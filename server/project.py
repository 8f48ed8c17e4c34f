"""One open project: who waits for what on the event loop, while its road runs on a worker thread.

`mutate` is the whole story: admit, rehearse, replicate, apply, announce. While one batch is on the road the next one
gathers; that is the group commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

import apsw
from msgspec import Struct

from .errors import CursorGone, NotJudged, NotLeading, Refused, ShareliteError, Stopped, Unavailable, UnknownOutcome
from .model import Change, EncodedCommit, Fault, Mutation, MutationId, Outcome
from .publishing import Publisher
from .road import Arrival, InCell, Replicator, Road, SchemaChange, Superseded
from .schema.contract import Contract
from .schema.steps import Upgrade, compatible, plan
from .schema.tables import create_steps, singletons
from .sql.statements import Statements
from .storage.databases import Databases
from .storage.manifest import Image
from .sync.apply import Mismatch
from .sync.feed import Feed
from .sync.held import Held, Moved
from .sync.log import Position, commits
from .sync.rules import Rules
from .sync.statements import Function

T = TypeVar("T")

#: Mutations in one batch: more would make the first of them wait for long.
BATCH = 256
#: A batch takes no more on board behind so many bytes of pushes, for their memory and for those who wait.
BATCH_BYTES = 8 << 20
#: Mutations that may wait, and their bytes; beyond it a sender is told to come back.
MOST_WAITING = 20_000
MOST_WAITING_BYTES = 256 << 20
COMMITS_BYTES = 4 << 20
READERS_KEPT = 8
#: Between two turns of interactive transactions, while mutations wait.
LEASE_PAUSE = 0.1

#: A reader, and which of the files that have been data.db it is open on.
Borrowed = tuple[int, Statements]
#: After so long a project looks again whether its disk has room for what the cell has delivered.
FULL_SECONDS = 1.0
LEVEL_SECONDS = 0.001
ABREAST_SECONDS = 5.0


class Workers(Struct, frozen=True):
    """The thread pools of a node: `turns` run roads, `reads` run readers."""

    turns: Executor
    reads: Executor


class Elsewhere(Protocol):
    """The cell of a node, as a project sees it: another node may have to take its mutations."""

    @property
    def leading(self) -> bool: ...

    def submit(self, project: Project, mutation: Mutation) -> asyncio.Future[Outcome]:
        """Have the leader take it, and answer when the feed here has passed the version of the outcome."""

    def again(self, project: Project, mutation: Mutation, future: asyncio.Future[Outcome], problem: NotJudged) -> None:
        """This node stopped leading with the mutation on its way: see to its answer."""

    async def fresh(self, project: str) -> None:
        """Until a project is here as whoever leads has acknowledged it. Raises NotLeading."""

    def spread(self, project: str, base: str) -> None:
        """Have a majority of the cell fetch and sync the file that a new project's log will go on from. Worker thread.
        Raises Unavailable."""

    async def greet(self, project: str) -> None:
        """Have the leader bring a project to the newest version of its contract, if it can, and wait for it."""

    def differs(self, project: str, why: str) -> None:
        """What the cell says of a project does not fit to what is here, although it was made anew from its log."""

    def broken(self, problem: BaseException) -> None:
        """Files of this node could not be written or read: it has to end."""


class Wakes(InCell, Protocol):
    """What comes from the cell, and who is called when it does: `wake`, on another thread; else somebody is found."""

    wake: Callable[[], None] | None

    def call(self) -> None: ...


class Guest(Protocol):
    """Has a reader or the turn of a project for longer than one call."""

    async def leave(self, why: str) -> None:
        """Let go of it, soon."""


class UpgradeReport(Struct, frozen=True):
    """What following another contract means or meant for a project."""

    kind: str
    steps: tuple[str, ...]
    reasons: tuple[str, ...]
    version: int


class Project:
    """An open project. Everything here belongs to the event loop's thread unless it says otherwise."""

    def __init__(
        self,
        road: Road,
        databases: Databases,
        workers: Workers,
        contract: Contract,
        publisher: Publisher,
        elsewhere: Elsewhere | None = None,
        inbox: Wakes | None = None,
    ) -> None:
        self.id = databases.project
        self.epoch: str = road.epoch
        self.contract = contract
        self.feed = Feed(road.position.version)
        self._road = road
        self._databases = databases
        self._workers = workers
        self._elsewhere, self._inbox = elsewhere, inbox
        self._stirred = False
        self._publisher = publisher
        #: Held while an image is made; who waits for it shares what comes next.
        self._publishing = asyncio.Lock()
        self._waiting: deque[tuple[Mutation, asyncio.Future[Outcome]]] = deque()
        self._waiting_bytes = 0
        #: By id: whose it is, its body, and the future of its answer.
        self._inflight: dict[MutationId, tuple[tuple[str, bytes], asyncio.Future[Outcome]]] = {}
        self._busy = False
        #: Those who want the turn for something that is not a batch: they go before the next one.
        self._queued = 0
        #: Interactive transactions that want the turn, and when they may have it though mutations wait.
        self._lessees: deque[asyncio.Future[None]] = deque()
        self._lease_after = 0.0
        #: Those who have something of this project open, and have to let go of it before its end.
        self.guests: set[Guest] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped: ShareliteError | None = None
        self._readers: list[tuple[int, Statements]] = []
        #: What reader threads do now, also for those who have stopped waiting for it.
        self._reading: set[asyncio.Future[Any]] = set()
        self._closed = False
        #: Called when the project takes nothing more.
        self.when_stopped: Callable[[Project, Stopped], None] = lambda project, why: None

    @property
    def version(self) -> int:
        return self.feed.version

    @property
    def position(self) -> Position:
        """Where its log is."""
        return self._road.position

    @property
    def size(self) -> int:
        """Bytes of the database and its write-ahead log."""
        return self._databases.size()

    @property
    def trouble(self) -> Stopped | None:
        """Why the project takes nothing more until it is opened anew; None while all is well."""
        return self._stopped if isinstance(self._stopped, Stopped) else None

    @property
    def at_work(self) -> bool:
        """Whether something is under way here, whoever waits for it."""
        busy = self._busy or self._waiting or self._queued or self._lessees or self._reading
        busy = busy or self._publishing.locked()
        return bool(busy or self.guests or self._road.behind or self.feed.subscribed)

    @property
    def leads(self) -> bool:
        """Whether this node orders the mutations of the project."""
        return self._elsewhere is None or self._elsewhere.leading

    @property
    def contract_hash(self) -> str:
        return self.contract.hash

    async def mutate(self, mutation: Mutation) -> Outcome:
        """Take a mutation along the road: admit, rehearse, replicate, apply, announce; then its one answer.

        A repeat gets the outcome it had (`committed` with that version, also where the caller's feed has passed it).
        Raises NotJudged where nothing is recorded: send the same bytes again.
        """
        return await asyncio.shield(self.submit(mutation))

    def submit(self, mutation: Mutation) -> asyncio.Future[Outcome]:
        """`mutate` without a task of its own: the future of the answer. Raises what admission raises at once."""
        if self._stopped is not None:
            raise self._stopped
        if self._elsewhere is not None and not self._elsewhere.leading:
            return self._elsewhere.submit(self, mutation)
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable(f"{MOST_WAITING:,} mutations are waiting for this project")
        if self._waiting_bytes > MOST_WAITING_BYTES:
            raise Unavailable(f"mutations of {self._waiting_bytes:,} bytes are waiting for this project")
        known = self._inflight.get(mutation.id) if mutation.id is not None else None
        if known is not None and known[0] == (mutation.user, mutation.body_hash):
            return known[1]
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if known is None and mutation.id is not None:
            self._inflight[mutation.id] = ((mutation.user, mutation.body_hash), future)
        self._waiting.append((mutation, future))
        self._waiting_bytes += mutation.size
        if not self._busy:
            self._next_turn()
        return future

    def attend(self) -> None:
        """From now on take what the cell delivers."""
        if self._inbox is not None:
            loop = asyncio.get_running_loop()

            def wake() -> None:
                if not self._stirred:
                    self._stirred = True
                    loop.call_soon_threadsafe(self.stir)

            self._inbox.wake = wake
            self.stir()

    def stir(self) -> None:
        """The cell has delivered something."""
        self._stirred = False
        if not self._busy:
            self._next_turn()

    async def reach(self, version: int) -> None:
        """Until this version has been announced here. Raises what stopped the project."""
        news = asyncio.Event()
        subscription = self.feed.subscribe(news.set)
        try:
            while self.version < version:
                if self._stopped is not None:
                    raise self._stopped
                news.clear()
                await news.wait()
        finally:
            subscription.close()

    async def abreast(self, version: int) -> None:
        """Who comes from another node of the cell may have seen more than this one has: wait for it, but not for ever,
        because he may also come from another history."""
        if self._elsewhere is not None and self.version < version:
            with suppress(TimeoutError):
                async with asyncio.timeout(ABREAST_SECONDS):
                    await self.reach(version)

    async def level(self, behind: Callable[[], bool]) -> None:
        """Until what the cell has delivered so far is in the files and announced."""
        while behind() or self._busy:
            if self._stopped is not None:
                raise self._stopped
            self.stir()
            await self._idle.wait()
            await asyncio.sleep(LEVEL_SECONDS)

    async def sync(self, synced: Callable[[], None]) -> None:
        """Make the files durable as they are, between two turns; `synced` is called before the next one."""
        async with _Turnstile(self):
            await self._turn(self._databases.sync)
            synced()

    async def read_log(self, function: Callable[[apsw.Connection], T]) -> T:
        """Run a function with a read-only connection to the log on a reader thread."""
        return await self.reading(self._with_log, function)

    def _with_log(self, function: Callable[[apsw.Connection], T]) -> T:
        connection = self._databases.log_reader()
        try:
            return function(connection)
        finally:
            connection.close()

    async def fresh(self) -> None:
        """Until everything that was acknowledged before this call is here. Raises Unavailable where a node of a cell
        cannot prove that."""
        if self._elsewhere is not None:
            await self._elsewhere.fresh(self.id)

    async def commits(self, after: int, limit: int = 1000) -> list[EncodedCommit]:
        """Commits after a version from the log: at least one if there is one, at most `limit` or some 4 MiB.

        None that is not announced yet: the log has it a moment before the feed, which must be able to go on from it.
        """
        if not 0 <= after <= self.version:
            raise CursorGone(f"version {after} is ahead of the project, which is at {self.version}")
        announced = min(limit, self.version - after)
        return await self.reading(self._read_commits, after, announced) if announced else []

    async def image(self) -> Image:
        """An image of the present version or of a later one; it is published first if there is none.

        Raises Unavailable, NotPublished; then nothing has changed.
        """
        return await to_its_end(self._image(self.version))

    async def _image(self, wanted: int) -> Image:
        async with self._publishing:
            newest = await self.reading(self._publisher.newest)
            if newest is not None and newest.manifest.version >= wanted and not self._publisher.images.harmed:
                return newest
            return await self._publish()

    async def _publish(self) -> Image:
        finish = self._publisher.finish
        async with _Turnstile(self):
            try:
                pinned = await self._entered(self._publisher.begin)
            except NotLeading:
                finish, pinned = self._publisher.show, await self._tried(self._publisher.here)
        try:
            image = await self.reading(self._publisher.make, pinned)
            async with _Turnstile(self):
                await self._entered(partial(finish, pinned, image))
            return image
        finally:
            await self.reading(pinned.close)

    async def _entered(self, function: Callable[[], T]) -> T:
        """Within the turn: a function that takes an entry along the road, behind what the cell has delivered."""
        while True:
            await self._take()
            with suppress(Superseded):
                return await self._tried(function)

    async def read(self, function: Callable[[apsw.Connection], T]) -> T:
        """Run a function with a read-only connection on a reader thread."""
        return await self.query(lambda statements: function(statements.connection))

    async def query(self, function: Callable[[Statements], T]) -> T:
        """`read`, for a function that runs somebody's statements."""
        return await self.reading(self._with_reader, function)

    async def plan_upgrade(self, contract: Contract) -> UpgradeReport:
        """What following this contract would mean; nothing is done."""
        upgrade = plan(self.contract, contract)
        return self._report(upgrade)

    async def upgrade(self, contract: Contract, by: str, destructive: bool = False) -> UpgradeReport:
        """Follow another contract by a schema commit. Raises Refused `invalid` if existing rows do not fit it, or
        `destructive` if something would be lost and the caller did not say so. Whoever asks may go away meanwhile:
        what was begun on the worker is brought to its end."""
        return await to_its_end(self._upgrade(contract, by, destructive))

    async def redefine(self, make: Callable[[Contract], Contract], by: str) -> UpgradeReport:
        """`upgrade` to what `make` makes of the present contract, on a worker; whatever is lost is meant to be."""
        return await to_its_end(self._upgrade(make, by, True))

    async def _upgrade(
        self, wanted: Contract | Callable[[Contract], Contract], by: str, destructive: bool
    ) -> UpgradeReport:
        async with _Turnstile(self):
            await self._take()
            contract = wanted if isinstance(wanted, Contract) else await self._turn(wanted, self.contract)
            upgrade = plan(self.contract, contract)
            if contract.hash == self.contract.hash:
                return self._report(upgrade)
            if upgrade.kind == "destructive" and not destructive:
                reasons = "; ".join(upgrade.reasons)
                raise Refused(
                    "destructive", f"this upgrade loses something ({reasons}); migrate with the flag that allows it"
                )
            change = schema_change(contract, upgrade.steps, upgrade.tightened)
            arrival = await self._tried(partial(self._road.change_schema, change, by, first=upgrade.changes))
            self.contract = contract
            self.feed.announce(arrival.commits)
            return self._report(upgrade)

    async def lease(self) -> None:
        """Take the turn for an interactive transaction; it lasts until `give_back`. While mutations wait, they are let
        in between, so that at most one of these turns begins every tenth of a second. Raises what stopped the project.
        """
        if self._stopped is not None:
            raise self._stopped
        if self._elsewhere is not None and not self._elsewhere.leading:
            raise NotLeading
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lessees.append(granted)
        self._next_turn()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.give_back()
            raise

    def give_back(self) -> None:
        self._lease_after = asyncio.get_running_loop().time() + LEASE_PAUSE
        self._set_busy(False)
        self._next_turn()

    async def in_turn(self, function: Callable[[], T]) -> T:
        """Within a lease, on the worker. Raises Refused, NotJudged; what breaks the project's files ends it."""
        return await self._tried(function)

    async def hold(self, base: int | None) -> tuple[Held | Moved, Arrival]:
        """Within a lease: `Road.hold`."""
        return await self._tried(partial(self._road.hold, base))

    async def conclude(self, mutation: Mutation) -> Outcome:
        """Within a lease: take what the transaction did along the road. Raises NotJudged."""
        arrival = await self._tried(partial(self._road.travel, [mutation]))
        self.arrived(arrival)
        (answer,) = arrival.answers
        if isinstance(answer, Outcome):
            return answer
        raise answer

    def _grant(self) -> bool:
        """Give the turn to the next interactive transaction, if it may have it."""
        while self._lessees and self._lessees[0].done():
            self._lessees.popleft()
        if not self._lessees or (self._waiting and asyncio.get_running_loop().time() < self._lease_after):
            return False
        self._set_busy(True)
        self._lessees.popleft().set_result(None)
        return True

    async def _take(self) -> None:
        """Within the turn: have what the cell has delivered so far."""
        if self._road.behind:
            self.arrived(await self._tried(self._road.take))

    async def _tried(self, function: Callable[[], T]) -> T:
        """Within the turn: what fails without having been judged ends the project."""
        try:
            return await self._turn(function)
        except (Refused, NotJudged):
            raise
        except Exception as problem:
            self._stop_after(problem)
            raise UnknownOutcome from problem

    async def close(self) -> None:
        """Let the turn and the reads on their way end, answer nobody else, close every file. Again: nothing."""
        if self._closed:
            return
        self._stopped = self._stopped or Unavailable("the project is being closed")
        self._fail_waiting(self._stopped)
        await asyncio.gather(*[guest.leave("the project is being closed") for guest in list(self.guests)])
        self._publisher.abandoned.set()
        while self._busy:
            await self._idle.wait()
        async with self._publishing:
            self._closed = True
        if self._reading:
            await asyncio.wait(set(self._reading))
        self.feed.stir()
        await self._turn(self._close_files)
        if self._inbox is not None:
            self._inbox.wake = None
            if self._inbox.next() is not None:
                self._inbox.call()

    def _close_files(self) -> None:
        try:
            while self._readers:
                self._readers.pop()[1].close()
        finally:
            self._road.close()

    def _report(self, upgrade: Upgrade) -> UpgradeReport:
        return UpgradeReport(upgrade.kind, tuple(upgrade.steps), tuple(upgrade.reasons), self.version)

    def _next_turn(self) -> None:
        if self._busy or self._queued or self._stopped is not None or self._grant():
            return
        tidy = self._road.checkpoint_due(bool(self._waiting))
        if not (self._waiting or tidy or self._road.behind):
            return
        self._set_busy(True)
        loop = asyncio.get_running_loop()
        if tidy:
            tidied = loop.run_in_executor(self._workers.turns, self._checkpoint)
            tidied.add_done_callback(lambda done: self._turned([], done))
            return
        batch = self._gathered()
        turn = loop.run_in_executor(self._workers.turns, self._road.travel, [mutation for mutation, _ in batch])
        turn.add_done_callback(lambda done: self._turned(batch, done))

    def _gathered(self) -> list[tuple[Mutation, asyncio.Future[Outcome]]]:
        """The next batch: those who have waited longest, at least one."""
        batch: list[tuple[Mutation, asyncio.Future[Outcome]]] = []
        size = 0
        while self._waiting and len(batch) < BATCH and size < BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += batch[-1][0].size
        self._waiting_bytes -= size
        return batch

    def _turned(self, batch: Sequence[tuple[Mutation, asyncio.Future[Outcome]]], done: asyncio.Future[Arrival]) -> None:
        self._set_busy(False)
        problem = done.exception()
        arrival = None if problem is not None else done.result()
        if problem is not None:
            self._stop_after(problem)
        elif arrival is not None:
            self.arrived(arrival)
        for place, (mutation, future) in enumerate(batch):
            if mutation.id is not None:
                self._inflight.pop(mutation.id, None)
            if not future.done():
                self._answer(mutation, future, _as_answer(problem) if arrival is None else arrival.answers[place])
        if problem is not None and self._stopped is None and self._road.behind:  # the disk is full
            asyncio.get_running_loop().call_later(FULL_SECONDS, self.stir)
        else:
            self._next_turn()

    def arrived(self, arrival: Arrival) -> None:
        """Within a turn: take note of what came of it, and announce it."""
        if isinstance(arrival.rules, Contract):
            self.contract = arrival.rules
        self.feed.announce(arrival.commits)

    def _answer(self, mutation: Mutation, future: asyncio.Future[Outcome], answer: Outcome | NotJudged) -> None:
        if isinstance(answer, Outcome):
            future.set_result(answer)
        elif self._elsewhere is not None and isinstance(answer, NotLeading | UnknownOutcome):
            self._elsewhere.again(self, mutation, future, answer)
        else:
            future.set_exception(answer)

    def _stop_after(self, problem: BaseException) -> None:
        """A broken file is fail-stop: what was on its way is unknown, nothing more is taken. A full disk is not."""
        if not isinstance(problem, NotJudged):
            self._stopped = stopped = Stopped(f"{type(problem).__name__}: {problem}")
            self._fail_waiting(stopped)
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": f"project {self.id} stopped", "exception": problem})
            if self._elsewhere is not None and isinstance(problem, Mismatch):
                self._elsewhere.differs(self.id, str(problem))
            elif self._elsewhere is not None:
                self._elsewhere.broken(problem)
            loop.call_soon(lambda: self.when_stopped(self, stopped))  # behind the answers of those on their way

    def _fail_waiting(self, problem: ShareliteError) -> None:
        while self._lessees:
            lessee = self._lessees.popleft()
            if not lessee.done():
                lessee.set_exception(problem)
        while self._waiting:
            mutation, future = self._waiting.popleft()
            self._waiting_bytes -= mutation.size
            if mutation.id is not None:
                self._inflight.pop(mutation.id, None)
            if not future.done():
                future.set_exception(problem)

    def _checkpoint(self) -> Arrival:
        self._road.checkpoint()
        return Arrival((), ())

    def _set_busy(self, busy: bool) -> None:
        self._busy = busy
        if busy:
            self._idle.clear()
        else:
            self._idle.set()

    async def _turn(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers.turns, function, *args)

    def _read_commits(self, after: int, limit: int) -> list[EncodedCommit]:
        connection = self._databases.log_reader()
        try:
            return commits(connection, after, limit, COMMITS_BYTES)
        finally:
            connection.close()

    def borrow(self) -> Borrowed:
        """A reader for oneself, until `bring_back`. On a reader's thread."""
        return self._reader()

    def bring_back(self, borrowed: Borrowed) -> None:
        """Outside of a transaction. On a reader's thread."""
        if len(self._readers) < READERS_KEPT and not borrowed[1].connection.in_transaction:
            self._readers.append(borrowed)
        else:
            borrowed[1].close()

    async def reading(self, function: Callable[..., T], *args: object) -> T:
        """On a reader's thread. Whoever asked may go away meanwhile: the thread goes on, and the files stay open."""
        if self._closed:
            raise self._stopped or Unavailable("the project is closed")
        reading = asyncio.get_running_loop().run_in_executor(self._workers.reads, function, *args)
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        return await asyncio.shield(reading)

    def _with_reader(self, function: Callable[[Statements], T]) -> T:
        borrowed = self.borrow()
        try:
            return function(borrowed[1])
        finally:
            self.bring_back(borrowed)

    def _reader(self) -> tuple[int, Statements]:
        while self._readers:
            generation, reader = self._readers.pop()
            if generation == self._databases.generation:
                return generation, reader
            reader.close()
        return self._databases.generation, Statements(self._databases.data("read"), self._road.watch)


class _Turnstile:
    """Holds the project's turn for something that is not a batch."""

    def __init__(self, project: Project) -> None:
        self._project = project

    async def __aenter__(self) -> None:
        project = self._project
        project._queued += 1
        try:
            while project._busy:
                await project._idle.wait()
        finally:
            project._queued -= 1
        if project._stopped is not None:
            raise project._stopped
        project._set_busy(True)

    async def __aexit__(self, *_: object) -> None:
        self._project._set_busy(False)
        self._project._next_turn()


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work that goes on when nobody waits for it any more (a socket that is gone, a server going down)."""
    return await asyncio.shield(asyncio.ensure_future(work))


def open_road(
    databases: Databases,
    replicator: Replicator,
    functions: Mapping[str, Function],
    epoch: str,
    inbox: InCell | None = None,
) -> Road:
    """Open the files of a project and bring them level. Blocks: call it on a worker."""
    databases.resync()
    try:
        return Road(databases, replicator, functions, epoch, misread, inbox, Contract.parse)
    except BaseException:
        databases.close()
        raise


def misread(former: dict[str, Any], present: Rules, tables: Collection[str]) -> tuple[Fault, ...]:
    """Why a push on these tables, made under a former contract, would be misread under the present one."""
    assert isinstance(present, Contract), "a project follows a contract"
    return compatible(Contract.parse(former), present, tables)


def begin(road: Road, contract: Contract, by: str) -> None:
    """Give a new project its first version: the schema commit of its contract, with its singletons."""
    first: Sequence[Change] = singletons(contract)
    road.change_schema(schema_change(contract, create_steps(contract), ()), by, first=first)


def schema_change(contract: Contract, steps: Sequence[str], tightened: Sequence[str]) -> SchemaChange:
    return SchemaChange(contract, contract.document, tuple(steps), tuple(tightened))


def _as_answer(problem: BaseException | None) -> NotJudged:
    return problem if isinstance(problem, NotJudged) else UnknownOutcome()
