"""Statements of somebody on a project: reads on a reader's thread, writes as mutations on the road (SPEC Q)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from .definitions import redefined
from .errors import BadRequest, Refused, ShareliteError, Unavailable
from .model import Fault, Mutation, Outcome, Result, Sql, Statement
from .sql import answers
from .sql.guard import READ_SECONDS
from .sql.reading import kind
from .sql.requests import Request
from .sql.spool import Spool
from .sql.statements import Statements

if TYPE_CHECKING:
    from .project import Project

T = TypeVar("T")

#: Who reads at a version that this node has not reached yet waits so long for it.
PATIENCE = 5.0
#: Sets of parameters of one mutation, where statements run each alone: so long nobody else has the turn.
PIECE = 1000
#: So many versions are named to somebody whose version is not there.
NEAREST = 5
#: Takes a piece of the rows of a long read.
More = Callable[[bytes], None]
#: Rows that are encoded without leaving the event loop.
LARGE = 200
POSITION = 'SELECT version FROM main."_sharelite" WHERE id=1'


class VersionGone(ShareliteError):
    """There is nothing from which this version could be read."""

    code = "version_gone"

    def __init__(self, wanted: int, present: int, shown: Sequence[int] = ()) -> None:
        self.wanted, self.present, self.shown = wanted, present, shown

    def __str__(self) -> str:
        near = sorted(self.shown, key=lambda version: abs(version - self.wanted))[:NEAREST]
        some = f"the nearest that can: {', '.join(map(str, sorted(near)))}" if near else "no former version can"
        return (
            f"version {self.wanted} cannot be read here: the project is at {self.present}, and has no image of it; "
            f"{some}. GET /v1/projects/ID/db makes one of the present version"
        )


class Judged(ShareliteError):
    """A mutation of statements was refused, at a version."""

    def __init__(self, outcome: Outcome) -> None:
        assert outcome.refusal is not None
        self.code, self.message, self.errors = outcome.refusal.code, outcome.refusal.message, outcome.refusal.errors
        self.version = outcome.version

    def __str__(self) -> str:
        return self.message

    def faults(self) -> tuple[Fault, ...]:
        return self.errors


async def run(project: Project, request: Request, user: str) -> bytes:
    """The body of the answer. Raises Judged and everything that reading and mutating raise."""
    check(request.statements)
    if request.defines:
        return await _define(project, request, user)
    if request.reads and request.id is None:
        await reached(project, request)
        return await read(project, request)
    if request.at is not None:
        raise BadRequest("at: what may write runs at the present version; read in a request of its own")
    if request.together:
        return await _together(project, request, user)
    return await _each(project, request, user)


def check(statements: Sequence[Statement]) -> None:
    """Raises BadRequest for what has an address of its own."""
    for place, statement in enumerate(statements):
        if kind(statement.sql) == "transaction":
            raise BadRequest(
                f"statements/{place}: transactions are begun and ended by POST .../transactions, "
                "or by the messages of the websocket; statements of one request are one transaction anyway"
            )


async def _define(project: Project, request: Request, user: str) -> bytes:
    """Statements that change tables: each is a schema commit of its own."""
    if request.id is not None or not all(kind(each.sql) in ("schema", "empty") for each in request.statements):
        raise BadRequest("statements that change tables come in requests of their own, without an id")
    found: list[bytes] = []
    for place, statement in enumerate(request.statements):
        start = time.perf_counter()
        try:
            if kind(statement.sql) == "schema":
                await project.redefine(partial(redefined, sql=statement.sql), user)
            found.append(answers.result(Result((), (), [], 0, None, time.perf_counter() - start)))
        except Refused as refused:
            if request.together:
                raise refused.at(f"/statements/{place}") from None
            found.append(answers.error(refused))
    return answers.answer(project.version, found)


async def reached(project: Project, request: Request) -> None:
    """Wait until this node has the version that the caller has seen, or everything that anybody was told. Raises
    Unavailable.

    A node that is alone has the newest version always, so that every read of it is linearizable.
    """
    if request.level == "linearizable":
        await project.fresh()
    await seen(project, max(request.version, request.at or 0))


async def seen(project: Project, wanted: int) -> None:
    """Wait until this node has a version. Raises Unavailable."""
    if project.version >= wanted:
        return
    news = asyncio.Event()
    subscription = project.feed.subscribe(news.set)
    try:
        async with asyncio.timeout(PATIENCE):
            while project.version < wanted:
                await news.wait()
                news.clear()
    except TimeoutError:
        raise Unavailable(f"version {wanted} is not here yet, the project is at {project.version}") from None
    finally:
        subscription.close()


async def read(project: Project, request: Request) -> bytes:
    """Run statements that only read, all of them on one state of the project. Raises Refused, VersionGone."""
    return await _query(project, request, partial(_read, request, None))


async def _query(project: Project, request: Request, function: Callable[[Statements], T]) -> T:
    """On the version that is asked for: of its image, or of the present state where it is that."""
    try:
        return await project.query(function, request.at)
    except VersionGone as gone:
        raise VersionGone(gone.wanted, gone.present, await asyncio.to_thread(project.shown)) from None


async def results_of(project: Project, statements: Sequence[Statement]) -> tuple[int, tuple[Result, ...]] | None:
    """What statements that only read give, and the version; None where one of them can write. Raises Refused."""
    if not Request(tuple(statements)).reads:
        return None

    def work(reader: Statements) -> tuple[int, tuple[Result, ...]]:
        with snapshot(reader) as version, reader.guard.within(READ_SECONDS):
            return version, tuple([one(reader, each, place) for place, each in enumerate(statements)])

    return await project.query(work)


def pieces(project: Project, request: Request) -> AsyncGenerator[bytes]:
    """`read`, with the rows of long reads in pieces before the answer, which is the last."""
    return flow(lambda spool: _query(project, request, partial(_read, request, spool.put)))


def lines(project: Project, request: Request) -> AsyncGenerator[bytes]:
    """The rows of statements that only read, line by line. What is wrong before the first line is raised, what is
    wrong later is the last line."""
    return _with_last_words(flow(lambda spool: _query(project, request, partial(_lines, request, spool))))


async def flow(begin: Callable[[Spool], Awaitable[bytes]]) -> AsyncGenerator[bytes]:
    """What a reader puts into a spool at its own pace, at the pace of whoever takes it; then what it returns."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(news.set)

    spool = Spool(wake)
    reading = asyncio.ensure_future(begin(spool))
    reading.add_done_callback(lambda done: _seen(done, news))
    try:
        while True:
            news.clear()
            if (piece := spool.take()) is not None:
                yield piece
            elif reading.done():
                break
            else:
                await news.wait()
        if last := await reading:
            yield last
    finally:
        spool.abandon()


async def _with_last_words(flowing: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    begun = False
    try:
        async with aclosing(flowing):
            async for piece in flowing:
                begun = True
                yield piece
    except ShareliteError as problem:
        if not begun:
            raise
        yield answers.error(problem) + b"\n"


def _seen(done: asyncio.Future[bytes], news: asyncio.Event) -> None:
    """Take note of how it ended, also where nobody waits for it any more."""
    if not done.cancelled():
        done.exception()
    news.set()


def _read(request: Request, more: More | None, statements: Statements) -> bytes:
    with snapshot(statements, request.at) as version, statements.guard.within(READ_SECONDS):
        found = [told(statements, each, place, more) for place, each in enumerate(request.statements)]
    return answers.answer(version, found)


def told(statements: Statements, statement: Statement, place: int, more: More | None = None) -> bytes:
    """Run one of several, and what it gave as JSON; pieces of many rows go to `more`. Raises Refused."""
    if more is None:
        return answers.result(one(statements, statement, place))
    into = answers.Pieces(place, more)
    result = one(statements, statement, place, take=into.take)
    return answers.result(result, into.rest())


def _lines(request: Request, spool: Spool, statements: Statements) -> bytes:
    spool.stopped_by(statements.guard.stop)
    try:
        with snapshot(statements, request.at) as version, statements.guard.within(READ_SECONDS):
            for place, statement in enumerate(request.statements):
                into = answers.Lines(place, version, spool.put)
                result = one(statements, statement, place, take=into.take, head=into.head)
                spool.put(answers.tail(into.count, result.seconds))
    finally:
        spool.stopped_by(None)
    return b""


@contextmanager
def snapshot(statements: Statements, at: int | None = None) -> Iterator[int]:
    """One state of the project; its version. Raises VersionGone."""
    connection = statements.connection
    connection.execute("BEGIN")
    try:
        version = position(connection)
        if at is not None and at != version:
            raise VersionGone(at, version)
        yield version
    finally:
        connection.execute("ROLLBACK")


def position(connection: apsw.Connection) -> int:
    """The version of what a connection sees."""
    row: Any = connection.execute(POSITION).fetchone()
    return int.from_bytes(row[0], "big")


def one(statements: Statements, statement: Statement, place: int, **more: Any) -> Result:
    """Run one of several; a refusal says which of them it was. Raises Refused."""
    try:
        return statements.run(statement, **more)
    except UnicodeDecodeError:
        raise Refused("invalid", "a text is not UTF-8; read it as CAST(... AS BLOB)").at(
            f"/statements/{place}"
        ) from None
    except Refused as refused:
        raise refused.at(f"/statements/{place}") from None


async def _together(project: Project, request: Request, user: str) -> bytes:
    body = Sql(request.statements, answered=True)
    mutation = Mutation(user, body, request.id, None, request.tag, request.body_hash, size=request.size)
    outcome = await project.mutate(mutation)
    if outcome.refusal is not None:
        raise Judged(outcome)
    if outcome.results is None:
        return answers.answer(outcome.version, (), b',"repeated":true')
    return answers.answer(outcome.version, await encoded(outcome.results))


async def encoded(results: Sequence[Result]) -> list[bytes]:
    if sum(len(result.rows) for result in results) > LARGE:
        return await asyncio.to_thread(lambda: [answers.result(result) for result in results])
    return [answers.result(result) for result in results]


async def _each(project: Project, request: Request, user: str) -> bytes:
    """Every statement for itself: what is wrong with one stops no other."""
    found: list[bytes] = []
    version = project.version
    for place, statement in enumerate(request.statements):
        try:
            if kind(statement.sql) == "read":
                found.append(await _alone(project, statement, place))
                continue
            results: list[Result] = []
            for piece in _pieces(statement):
                mutation = Mutation(user, Sql((piece,), answered=True), tag=request.tag, size=request.size)
                outcome = await project.mutate(mutation)
                version = max(version, outcome.version)
                if outcome.refusal is not None:
                    raise Judged(outcome)
                results += outcome.results or ()
            found += await encoded([_joined(results)])
        except ShareliteError as problem:
            found.append(answers.error(problem))
    return answers.answer(version, found)


async def _alone(project: Project, statement: Statement, place: int) -> bytes:
    def work(statements: Statements) -> bytes:
        with snapshot(statements), statements.guard.within(READ_SECONDS):
            return told(statements, statement, place)

    return await project.query(work)


def _pieces(statement: Statement) -> Iterator[Statement]:
    """A statement with many sets of parameters as mutations that nobody has to wait for."""
    if statement.many is None or len(statement.many) <= PIECE:
        yield statement
    else:
        for start in range(0, len(statement.many), PIECE):
            yield Statement(statement.sql, many=statement.many[start : start + PIECE])


def _joined(results: Sequence[Result]) -> Result:
    first, last = results[0], results[-1]
    rows = [row for result in results for row in result.rows]
    affected, seconds = sum(result.affected for result in results), sum(result.seconds for result in results)
    return Result(first.columns, first.types, rows, affected, last.last_id, seconds)
