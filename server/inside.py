"""For the application that a server is part of: follow a project and write to it, without a socket (SPEC Q20).

On the event loop of the server, while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .errors import Unavailable
from .model import Commit, Mutation, Outcome, Result, Sql, Statement
from .statements import Judged, check, results_of
from .sync.wire import decode_commit

if TYPE_CHECKING:
    from .catalog import Catalog
    from .project import Project
    from .records import ProjectRecord
    from .routes.house import House

PAGE = 100


def found(catalog: Catalog, project: str) -> ProjectRecord:
    """A project by its name or its id. Raises NotFound."""
    named = catalog.by_name(project)
    return named if named is not None else catalog.record(project)


async def follow(here: House, project: str, after: int | None) -> AsyncGenerator[Commit]:
    """Every commit after a version (None: from now on), each once and in order, without end.

    Whoever iterates goes at his own pace; he holds only his place. Raises CursorGone where the version is ahead of the
    project, NotFound once it is deleted, Unavailable where the server goes down.
    """
    record, cursor = found(here.catalog, project), after
    while True:
        async with here.catalog.hold(record.id) as opened, _listening(here, opened) as news:
            cursor = opened.version if cursor is None else cursor
            while opened.trouble is None:
                news.clear()
                page = await opened.commits(cursor, PAGE)
                for commit in page:
                    yield decode_commit(commit.json)
                    cursor = commit.version
                if not page:
                    await news.wait()
                here.catalog.record(record.id)
                if here.stopping:
                    raise Unavailable("the server is going down")


@asynccontextmanager
async def _listening(here: House, opened: Project) -> AsyncIterator[asyncio.Event]:
    """Set with every commit, and when the server goes down or the project is deleted."""
    news = asyncio.Event()
    subscription = opened.feed.subscribe(news.set)
    here.waiting.add(news)
    opened.guests.add(guest := _Guest(news))
    try:
        yield news
    finally:
        opened.guests.discard(guest)
        here.waiting.discard(news)
        subscription.close()


class _Guest:
    """Lets go of a project that is being closed."""

    def __init__(self, news: asyncio.Event) -> None:
        self._news = news

    async def leave(self, why: str) -> None:
        self._news.set()


async def run(
    catalog: Catalog, project: str, statements: tuple[Statement, ...], user: str, tag: str | None
) -> tuple[int, tuple[Result, ...]]:
    """Run statements as one mutation, or as one read where none of them can write; the version and what each gave.
    Raises Judged (its code and places are those of the refusal), NotJudged, NotFound."""
    check(statements)
    async with catalog.hold(found(catalog, project).id) as opened:
        read = await results_of(opened, statements)
        if read is not None:
            return read
        outcome: Outcome = await opened.mutate(Mutation(user, Sql(statements, answered=True), tag=tag))
    if outcome.refusal is not None:
        raise Judged(outcome)
    return outcome.version, outcome.results or ()
