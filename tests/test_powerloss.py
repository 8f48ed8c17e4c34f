"""Power loss at any moment: nothing acknowledged is lost, nothing is corrupt (SPEC L1)."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from sharelite.errors import Damaged, NotFound
from sharelite.model import Mutation, Outcome
from sharelite.storage.databases import Databases
from sharelite.storage.files import Files
from sharelite.sync import log as logs
from tests.disk import Disk, Step, image, put
from tests.roads import PROJECT, Client, databases, new_road, reading, reopened, row_digest, update
from tests.roads import put as upsert

MEMORY = Path("/dev/shm")


class Ack(NamedTuple):
    """A mutation answered when the disk had made this many steps."""

    step: int
    mutation: Mutation
    outcome: Outcome


class Workload:
    """A project's life on a remembering disk: batches, refusals, a checkpoint now and then, an entry in parts."""

    def __init__(self, folder: Path, seed: int) -> None:
        name = f"remembering-{seed}-{id(self)}"
        self.disk = Disk(name)
        self.folder = folder
        self.acks: list[Ack] = []
        chance = random.Random(seed)
        road = new_road(folder, files=Databases(Files(name), folder, PROJECT))
        self.started = len(self.disk.steps)
        clients = [Client(road, name=digit * 32) for digit in "cd"]
        for turn in range(30):
            client = chance.choice(clients)
            batch = [self._mutation(client, chance, turn == 20) for _ in range(chance.randint(1, 6))]
            for mutation, answer in zip(batch, road.travel(batch).answers, strict=True):
                assert isinstance(answer, Outcome)
                self.acks.append(Ack(len(self.disk.steps), mutation, answer))
            if turn % 7 == 6:
                road.checkpoint()
        road.close()

    def _mutation(self, client: Client, chance: random.Random, big: bool) -> Mutation:
        key = f"n{chance.randint(0, 9)}"
        if big:
            return client.mutation(upsert("note", key, any="x" * 900_000))
        if chance.random() < 0.2:
            return client.mutation(update("note", "missing", text="refused"))
        if chance.random() < 0.3:
            return client.mutation(upsert("note", key), upsert("note.points", (key, "p"), x=chance.random()))
        return client.mutation(upsert("note", key, text=f"t{chance.randint(0, 999)}", size=chance.randint(0, 100)))


@pytest.fixture(scope="module", params=range(3))
def workload(request: pytest.FixtureRequest) -> Iterator[Workload]:
    with _folder() as folder:
        yield Workload(folder, request.param)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory where the system has one: these tests are about what is written, not about how fast."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


def check(steps: list[Step], source: Path, target: Path, acks: list[Ack], chance: random.Random) -> None:
    """What is left after the power went right after `steps` has every acknowledged outcome and is sound."""
    put(image(steps, chance), source, target)
    road = reopened(target)
    try:
        _sound(target, road)
        for ack in acks:
            assert ack.mutation.id is not None
            kept = road._log.outcome(ack.mutation.id)
            assert kept is not None and kept.outcome == ack.outcome, f"lost {ack.mutation.id}"
    finally:
        road.close()


def _sound(folder: Path, road: Any) -> None:
    connection = databases(folder).log_reader()
    versions = [commit.version for commit in logs.commits(connection, 0, 100_000, 1 << 30)]
    assert versions == list(range(1, road.position.version + 1))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    with reading(folder) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert road.row_digest == row_digest(folder)


@pytest.mark.parametrize("part", range(4))
def test_no_moment_of_power_loss_loses_or_corrupts(workload: Workload, part: int) -> None:  # L1
    chance = random.Random(part)
    with _folder() as space:
        for number in range(250):
            moment = chance.randint(workload.started, len(workload.disk.steps))
            target = space / str(number)
            known = [ack for ack in workload.acks if ack.step <= moment]
            check(workload.disk.steps[:moment], workload.folder, target, known, chance)
            shutil.rmtree(target)


def test_a_disk_that_lies_about_sync_would_be_caught(workload: Workload) -> None:  # L1
    """With the syncs of log.db left out, some acknowledged mutation is lost: the check above can fail."""
    chance = random.Random(1)
    with _folder() as space:
        for number in range(50):
            moment = chance.randint(workload.started, len(workload.disk.steps))
            honest = workload.disk.steps[:moment]
            lying = [step for step in honest if not (step.kind == "sync" and step.path.endswith("log.db-wal"))]
            known = [ack for ack in workload.acks if ack.step <= moment]
            try:
                check(lying, workload.folder, space / str(number), known, chance)
            except (AssertionError, Damaged, NotFound, apsw.Error):
                return
    pytest.fail("50 power cuts on a lying disk went unnoticed")
