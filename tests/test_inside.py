"""The application that a server is part of: it follows projects and writes to them without a socket (SPEC Q20)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sharelite.app import Sharelite, create_app
from sharelite.errors import CursorGone, NotFound, Unavailable
from sharelite.model import Statement
from sharelite.statements import Judged
from tests.roads import SCENE

INSERT = "INSERT INTO note(id) VALUES (?)"


def run(data: Path, story: Callable[[Sharelite], Awaitable[None]]) -> None:
    async def told() -> None:
        app = create_app(data)
        async with app.running():
            await app.state.house.catalog.create("Plan A", SCENE, "ann")
            await asyncio.wait_for(story(app), 30)

    asyncio.run(told())


def test_an_application_runs_sql(tmp_path: Path) -> None:  # Q20
    async def story(app: Sharelite) -> None:
        version, (inserted,) = await app.sql("plan a", Statement(INSERT, many=(("a",), ("b",))), user="job", tag="t")
        assert (version, inserted.affected) == (2, 2)
        assert (await app.sql("Plan A", "SELECT id FROM note ORDER BY id"))[1][0].rows == [("a",), ("b",)]
        with pytest.raises(Judged) as refused:
            await app.sql("Plan A", Statement(INSERT, ("a",)))
        assert refused.value.code == "exists"
        with pytest.raises(NotFound):
            await app.sql("Plan B", "SELECT 1")

    run(tmp_path, story)


def test_an_application_follows_a_project_and_writes_back(tmp_path: Path) -> None:  # Q20
    async def story(app: Sharelite) -> None:
        seen = []
        feed = app.feed("Plan A", after=0)
        async for commit in feed:
            seen.append(commit.version)
            if commit.version < 5:
                await app.sql("Plan A", Statement(INSERT, (f"n{commit.version}",)))
            else:
                break
        await feed.aclose()
        assert seen == [1, 2, 3, 4, 5]

    run(tmp_path, story)


def test_from_now_on_is_what_comes(tmp_path: Path) -> None:  # Q20
    async def story(app: Sharelite) -> None:
        feed = app.feed("Plan A")
        coming = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0.1)
        await app.sql("Plan A", Statement(INSERT, ("a",)))
        assert (await coming).version == 2
        await feed.aclose()

    run(tmp_path, story)


def test_a_feed_says_why_it_cannot_go_on(tmp_path: Path) -> None:  # Q20
    async def story(app: Sharelite) -> None:
        with pytest.raises(CursorGone):
            await anext(app.feed("Plan A", after=9))
        catalog = app.state.house.catalog
        deleted = asyncio.ensure_future(anext(app.feed("Plan A")))
        await asyncio.sleep(0.1)
        await catalog.delete(catalog.by_name("Plan A").id, "ann")
        with pytest.raises(NotFound):
            await deleted
        await catalog.create("Plan B", SCENE, "ann")
        waiting = asyncio.ensure_future(anext(app.feed("Plan B")))
        await asyncio.sleep(0.1)
        await app.farewell()
        with pytest.raises(Unavailable):
            await waiting

    run(tmp_path, story)
    with pytest.raises(Unavailable):
        create_app(tmp_path).feed("Plan A")
