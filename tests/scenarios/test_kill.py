"""kill -9 at random moments under load, again and again on the same data (design: Promises)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest
from websockets.exceptions import WebSocketException

from tests.running import RunningServer
from tests.scenarios.writer import CONTRACT, Writer

WRITERS = 4


@pytest.mark.parametrize("rounds", [50, pytest.param(500, marks=pytest.mark.long)])
def test_kill_9_under_load_loses_nothing_and_doubles_nothing(tmp_path: Path, rounds: int) -> None:
    with RunningServer(tmp_path / "data") as server:
        project = server.create("under fire", CONTRACT)
        writers = asyncio.run(Attack(server, project).run(rounds))
        commits = every_commit(server, project)
        server.stop()
        assert [commit["v"] for commit in commits] == list(range(1, len(commits) + 1))
        assert_once(writers, commits)
        assert_rows(rows_of(server.data, project), commits)


class Attack:
    """Writers that go on whatever happens, and a server that is killed after a random number of answers."""

    def __init__(self, server: RunningServer, project: str) -> None:
        self._server = server
        self._url = f"ws://127.0.0.1:{server.port}/v1/projects/{project}/live"
        self._random = random.Random(7)
        self._until_kill = 0
        self._due = asyncio.Event()
        self._up = asyncio.Event()
        self._more = True

    async def run(self, rounds: int) -> list[Writer]:
        writers = [Writer(seed, self._answered) for seed in range(WRITERS)]
        async with asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(self._keep_on(writer))
            for _ in range(rounds):
                await self._kill_after(self._random.randrange(1, 400))
            self._more = False
            self._up.set()
        for writer in writers:
            await writer.repeat(self._url, self._random.sample(sorted(writer.answers), 20))
        return writers

    async def _kill_after(self, answers: int) -> None:
        self._until_kill = answers
        self._due.clear()
        self._up.set()
        await self._due.wait()
        self._up.clear()
        self._server.kill()
        await asyncio.to_thread(self._server.start)

    async def _keep_on(self, writer: Writer) -> None:
        while self._more or writer.unanswered:
            await self._up.wait()
            try:
                await writer.session(self._url, lambda: self._more)
            except (OSError, WebSocketException):
                await asyncio.sleep(0)

    def _answered(self) -> None:
        self._until_kill -= 1
        if self._until_kill <= 0:
            self._due.set()


def every_commit(server: RunningServer, project: str) -> list[dict[str, Any]]:
    commits: list[dict[str, Any]] = []
    while True:
        after = len(commits)
        status, answer = server.ask("GET", f"/v1/projects/{project}/commits?after={after}&limit=500")
        assert status == 200, answer
        if not answer["commits"]:
            return commits
        commits += answer["commits"]


def assert_once(writers: list[Writer], commits: list[dict[str, Any]]) -> None:
    """Every push that was told a commit is in the log at that version, once; nobody else is."""
    logged = Counter(tuple(commit["id"]) for commit in commits if "id" in commit)
    assert set(logged.values()) == {1}
    versions = {tuple(commit["id"]): commit["v"] for commit in commits if "id" in commit}
    for writer in writers:
        assert writer.unanswered == []
        answers = writer.answers.items()
        told = {(writer.client, counter): version for counter, (kind, version) in answers if kind == "settled"}
        mine = {id: version for id, version in versions.items() if id[0] == writer.client}
        assert mine.items() <= told.items()
        assert {kind for kind, _ in writer.answers.values()} == {"settled", "invalid"}


def assert_rows(rows: set[str], commits: list[dict[str, Any]]) -> None:
    inserted = [change[2][0] for commit in commits for change in commit["changes"] if change[0] == "i"]
    assert len(inserted) == len(set(inserted)) and rows == set(inserted)


def rows_of(data: Path, project: str) -> set[str]:
    """The keys in the table, from the file itself, once both files of the project have passed SQLite's own check."""
    folder = data / "projects" / project
    for file in ("log.db", "data.db"):
        assert check(folder / file) == "ok"
    connection = apsw.Connection(str(folder / "data.db"))
    return {id for (id,) in connection.execute('SELECT id FROM "note"')}


def check(file: Path) -> Any:
    return apsw.Connection(str(file)).execute("PRAGMA integrity_check").fetchall()[0][0]
