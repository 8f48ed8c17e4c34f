"""One open project: who waits for what on the event loop, while its road runs on a worker thread.

`mutate` is the whole story: admit, rehearse, replicate, apply, announce. While one batch is on the road the next one
gathers; that is the group commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, TypeVar

import apsw
from msgspec import Struct

from .crew import Crew
from .errors import (
    CursorGone,
    DiskFull,
    NotJudged,
    NotLeading,
    Refused,
    ShareliteError,
    Stopped,
    Unavailable,
    UnknownOutcome,
)
from .imaging import Imaging
from .model import EncodedCommit, Mutation, Outcome
from .ports import Elsewhere, Guest, Wakes
from .publishing import Alike, Publisher
from .readers import Readers
from .road import Arrival, Road, Superseded
from .schema.contract import Contract
from .schema.steps import Upgrade, plan
from .schemachange import schema_change
from .sql.statements import Statements
from .storage.databases import Databases
from .storage.manifest import Image
from .storage.seen import Look
from .sync.apply import BROKEN, WRONG
from .sync.feed import Feed
from .sync.held import Held, Moved
from .sync.log import Position
from .turns import Slots, Turns
from .waiting import Asked, Waiting

T = TypeVar("T")

#: After so long a project looks again whether its disk has room for what the cell has delivered.
FULL_SECONDS = 1.0
LEVEL_SECONDS = 0.001
ABREAST_SECONDS = 5.0
#: Threads that take batches along the road.
BATCHES = 8
#: Projects of a node of a cell that have a batch on its way at once: they share the records of the cell's log.
ABOARD = 32
#: Threads that take in what the cell has delivered where nobody waits for an answer.
TAKES = 8


class Workers(Struct, frozen=True):
    """The thread pools of a node: `turns` run roads, `reads` run readers. Of the turns most are `batches`, which have
    `slots`, and `takes` of what the cell has delivered, and checkpoints."""

    turns: Executor
    reads: Executor
    batches: Crew
    takes: Crew
    slots: Slots

    @classmethod
    def of(cls, turns: Executor, reads: Executor, batches: int = BATCHES, *, in_cell: bool = False) -> Workers:
        """In a cell no batch waits for the disk, and none keeps its thread while it waits for others: one thread has
        all of them, and there are more of them than threads."""
        prompt, aboard = (1, ABOARD) if in_cell else (None, batches)
        return cls(turns, reads, Crew(turns, batches, prompt), Crew(turns, TAKES, prompt), Slots(aboard))

    async def turn(self, function: Callable[..., T], *args: object) -> T:
        """Run something on a thread of `turns`."""
        return await asyncio.get_running_loop().run_in_executor(self.turns, function, *args)


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
        self._stirred = self._gathers = False
        alike = None if inbox is None else Alike(publisher, inbox)
        if alike is not None:
            road.imaged = alike.heard
        self._imaging = Imaging(self, publisher, alike, elsewhere)
        self._waiting = Waiting()
        self._turns = Turns(self._next_turn)
        self.readers = Readers(databases, road.watch, workers.reads, publisher.shown)
        self.readers.misread = self._misread
        self._closed = False
        #: Those who have something of this project open, and have to let go of it before its end.
        self.guests: set[Guest] = set()
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
    def look(self) -> Look:
        return Look(self.version, self.size, self._road.updated)

    @property
    def trouble(self) -> Stopped | None:
        """Why the project takes nothing more until it is opened anew; None while all is well."""
        return self._turns.ended if isinstance(self._turns.ended, Stopped) else None

    @property
    def at_work(self) -> bool:
        """Whether something is under way here, whoever waits for it."""
        busy = self._turns.wanted or self._waiting or self.readers.at_work or self._imaging.at_work
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
        if self._turns.ended is not None:
            raise self._turns.ended
        if self._elsewhere is not None and not self._elsewhere.leading:
            return self._elsewhere.submit(self, mutation)
        future = self._waiting.join(mutation)
        if not self._gathers:
            self._gathers = True
            asyncio.get_running_loop().call_soon(self._gathered)
        return future

    def _gathered(self) -> None:
        """Behind everything that came in the same moment: it goes in one batch."""
        self._gathers = False
        self._next_turn()

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
        self._next_turn()

    async def reach(self, version: int) -> None:
        """Until this version has been announced here. Raises what stopped the project."""
        news = asyncio.Event()
        subscription = self.feed.subscribe(news.set)
        try:
            while self.version < version:
                if self._turns.ended is not None:
                    raise self._turns.ended
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
        while behind() or self._turns.busy:
            if self._turns.ended is not None:
                raise self._turns.ended
            self.stir()
            await self._turns.idle()
            await asyncio.sleep(LEVEL_SECONDS)

    async def make_anew(self, why: str) -> None:
        """Have the rows' file as the log makes it, whatever it is now. Raises what stopped the project, Unavailable."""
        await to_its_end(self._made_anew(why))

    async def _made_anew(self, why: str) -> None:
        async with self._turns.own():
            await self._tried(partial(self._road.make_anew, why))

    async def mark(self) -> None:
        """Keep in mind what the digests are now, between two turns."""
        await to_its_end(self._mark())

    async def _mark(self) -> None:
        async with self._turns.own():
            await self._turn(self._road.mark)

    async def sync(self, synced: Callable[[], None]) -> None:
        """Make the files durable as they are, between two turns; `synced` is called before the next one."""
        async with self._turns.own():
            await self._turn(self._databases.sync)
            synced()

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
        return await self.readers.commits(after, announced) if announced else []

    async def image(self) -> Image:
        """An image of the present version or of a later one; it is published first if there is none.

        Raises Unavailable, NotPublished; then nothing has changed.
        """
        return await to_its_end(self._imaging.at_least(self.version))

    async def image_near(self, entries: int) -> Image:
        """An image that lacks at most so many entries; `image` where there is none."""
        return await self._imaging.near(entries) or await self.image()

    def own_turn(self) -> AbstractAsyncContextManager[None]:
        """The turn, for something that is not a batch. Raises what stopped the project."""
        return self._turns.own()

    async def entered(self, function: Callable[[], T]) -> T:
        """Within the turn: a function that takes an entry along the road, behind what the cell has delivered."""
        while True:
            await self._take()
            with suppress(Superseded):
                return await self._tried(function)

    async def read(self, function: Callable[[apsw.Connection], T]) -> T:
        """Run a function with a read-only connection on a reader thread."""
        return await self.query(lambda statements: function(statements.connection))

    async def query(self, function: Callable[[Statements], T], at: int | None = None) -> T:
        """`read`, for a function that runs somebody's statements. `at`: on the image of this version, if it has one."""
        return await self.readers.query(function, at)

    def shown(self) -> list[int]:
        """The versions that have an image here."""
        return self._imaging.versions()

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
        async with self._turns.own():
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
        if self._elsewhere is not None and not self._elsewhere.leading and self._turns.ended is None:
            raise NotLeading
        await self._turns.lease()

    def give_back(self) -> None:
        """End the lease."""
        self._turns.give_back_lease()

    async def in_turn(self, function: Callable[[], T]) -> T:
        """Within a turn of one's own or a lease, on the worker. Raises Refused, NotJudged; what breaks the files ends
        it."""
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
        self._end(self._turns.ended or Unavailable("the project is being closed"))
        await asyncio.gather(*[guest.leave("the project is being closed") for guest in list(self.guests)])
        self._imaging.abandon()
        while self._turns.busy:
            await self._turns.idle()
        await self._imaging.close()
        self._closed = True
        await self.readers.end(self._turns.ended)
        self.feed.stir()
        await self._turn(self._close_files)
        if self._inbox is not None:
            self._inbox.wake = None
            if self._inbox.next() is not None:
                self._inbox.call()

    def _close_files(self) -> None:
        try:
            self.readers.close()
            self._imaging.close_files()
        finally:
            self._road.close()

    def _report(self, upgrade: Upgrade) -> UpgradeReport:
        return UpgradeReport(upgrade.kind, tuple(upgrade.steps), tuple(upgrade.reasons), self.version)

    def _next_turn(self) -> None:
        if self._turns.taken(crowded=bool(self._waiting)):
            return
        tidy = self._road.checkpoint_due(bool(self._waiting))
        if not (self._waiting or tidy or self._road.behind):
            return
        if self._waiting and not tidy and not self._workers.slots.take(self._next_turn):
            return
        self._turns.begin()
        if tidy:
            self._workers.takes.run(self._checkpoint, then=partial(self._turned, ()))
            return
        batch = self._waiting.batch()
        crew = self._workers.batches if batch else self._workers.takes
        crew.run(self._road.journey, [mutation for mutation, _ in batch], then=partial(self._turned, batch))

    def _turned(self, batch: Sequence[Asked], arrival: Arrival | None, problem: BaseException | None) -> None:
        try:
            self._concluded(batch, arrival, problem)
        finally:  # the slot is everybody's, whatever becomes of one project
            if batch:
                self._workers.slots.give_back()

    def _concluded(self, batch: Sequence[Asked], arrival: Arrival | None, problem: BaseException | None) -> None:
        self._turns.finish()
        if problem is not None:
            self._stop_after(problem)
        elif arrival is not None:
            self.arrived(arrival)
        for place, (mutation, future) in enumerate(batch):
            self._waiting.answered(mutation)
            if not future.done():
                self._answer(mutation, future, _as_answer(problem) if arrival is None else arrival.answers[place])
        answers = (problem,) if arrival is None else arrival.answers
        if self._elsewhere is not None and any(isinstance(answer, DiskFull) for answer in answers):
            self._elsewhere.full()
        if problem is not None and self._turns.ended is None and self._road.behind:  # the disk is full
            asyncio.get_running_loop().call_later(FULL_SECONDS, self.stir)
        else:
            self._next_turn()

    def arrived(self, arrival: Arrival) -> None:
        """Within a turn: take note of what came of it, and announce it."""
        self._imaging.follow()
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
            future.exception()  # whoever asked may have gone, and that is nothing to write down as an error

    def _stop_after(self, problem: BaseException) -> None:
        """A broken file is fail-stop: what was on its way is unknown, nothing more is taken. A full disk is not."""
        if not isinstance(problem, NotJudged):
            stopped = Stopped(f"{type(problem).__name__}: {problem}")
            self._end(stopped)
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": f"project {self.id} stopped", "exception": problem})
            if self._elsewhere is not None and isinstance(problem, WRONG):
                self._elsewhere.differs(self.id, str(problem))
            elif self._elsewhere is not None and isinstance(problem, BROKEN):
                self._elsewhere.broken(problem)
            loop.call_soon(lambda: self.when_stopped(self, stopped))  # behind the answers of those on their way

    def _misread(self, problem: Exception) -> Exception:
        """A reader found the files wrong. In a cell other nodes may have them right, and it is made anew."""
        if self._elsewhere is None:
            return problem
        if self._turns.ended is None:
            self._stop_after(problem)
        return self._turns.ended or problem

    def _end(self, why: ShareliteError) -> None:
        """Take nothing more; answer those who wait."""
        self._turns.end(why)
        self._waiting.fail(why)

    def _checkpoint(self) -> Arrival:
        self._road.checkpoint()
        return Arrival((), ())

    async def _turn(self, function: Callable[..., T], *args: object) -> T:
        return await self._workers.turn(function, *args)


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work that goes on when nobody waits for it any more (a socket that is gone, a server going down)."""
    return await asyncio.shield(asyncio.ensure_future(work))


def _as_answer(problem: BaseException | None) -> NotJudged:
    return problem if isinstance(problem, NotJudged) else UnknownOutcome()
