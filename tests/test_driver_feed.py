"""Programs that follow a project, over a restart of its server (SPEC D)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

import sharelite
from sharelite.model import Commit
from tests.running import RunningServer
from tests.serving import PATIENCE
from tests.test_driver import made


def told(commit: Commit) -> tuple[int, list[tuple[object, ...]]]:
    return commit.version, [change.key for change in commit.changes]


async def some(commits: AsyncGenerator[Commit], count: int) -> list[tuple[int, list[tuple[object, ...]]]]:
    return [told(await asyncio.wait_for(anext(commits), PATIENCE)) for _ in range(count)]


def test_a_feed_goes_on_over_a_restart_and_a_job_writes_back(tmp_path: Path) -> None:  # D10
    with RunningServer(tmp_path / "data") as server:
        url = made(server)
        ann = sharelite.connect(url, timeout=PATIENCE, autocommit=True)

        async def story() -> None:
            ann.execute("INSERT INTO note(id, size) VALUES ('a', 1)")
            feed = sharelite.feed(url, after=1)
            assert await some(feed, 1) == [(2, [("a",)])]
            ann.execute("INSERT INTO note(id) SELECT id || 'b' FROM note")
            assert await some(feed, 1) == [(3, [("ab",)])]
            server.kill()
            server.start()
            ann.execute("DELETE FROM note WHERE id = 'a'")
            ann.execute("INSERT INTO note(id) VALUES ('c')")
            assert await some(feed, 2) == [(4, [("a",)]), (5, [("c",)])]
            await feed.aclose()
            async with aclosing(sharelite.feed(url, after=3)) as again:
                assert await some(again, 2) == [(4, [("a",)]), (5, [("c",)])]

        asyncio.run(story())
        ann.close()


def test_a_feed_without_a_version_begins_now_and_one_that_is_ahead_says_so(tmp_path: Path) -> None:  # D10
    with RunningServer(tmp_path / "data") as server:
        url = made(server)
        ann = sharelite.connect(url, timeout=PATIENCE, autocommit=True)
        ann.execute("INSERT INTO note(id) VALUES ('a')")

        async def story() -> None:
            feed = sharelite.feed(url)
            waiting = asyncio.create_task(some(feed, 1))
            while not waiting.done():
                await asyncio.to_thread(ann.execute, "INSERT INTO note(id) VALUES (hex(randomblob(8)))")
            assert waiting.result()[0][0] > 2
            await feed.aclose()
            with pytest.raises(sharelite.OperationalError) as ahead:
                await some(sharelite.feed(url, after=10_000_000), 1)
            assert ahead.value.code == "reset"
            with pytest.raises(sharelite.ProgrammingError):
                await some(sharelite.feed(url.replace("/plan", "/nowhere")), 1)

        asyncio.run(story())
        ann.close()
