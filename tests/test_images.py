"""Images: published from main file and write-ahead log, byte for byte the same wherever they are made (SPEC I)."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from sharelite.cluster.alone import Alone
from sharelite.errors import Unavailable
from sharelite.founding import misread
from sharelite.publishing import NotPublished, Pinned, Publisher
from sharelite.road import Road
from sharelite.schema.contract import Contract
from sharelite.storage.darkroom import Developer
from sharelite.storage.databases import Databases
from sharelite.storage.differing import differing
from sharelite.storage.files import Files
from sharelite.storage.manifest import CHUNK, Image
from sharelite.storage.overlay import Overlay
from sharelite.sync import wire
from sharelite.sync.apply import Apply, create
from sharelite.sync.log import Log, published
from tests.disk import Disk, Step
from tests.disk import image as power_cut
from tests.disk import put as lay
from tests.roads import EPOCH, PROJECT, SCENE, Client, databases, delete, insert, new_road, publisher, put


class Story:
    """A project with what publishes it, opened and closed like a server does."""

    def __init__(
        self, folder: Path, make: bool = True, seam: Files | None = None, developer: Developer | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._written = 0 if make else 1000
        self.folder, self.files = folder, Databases(seam or Files(), folder, PROJECT)
        if make:
            self.road = new_road(folder, files=self.files)
        else:
            self.road = Road(self.files, Alone(), {}, "", misread)
            self.road.follow(Contract.parse(SCENE))
        self.publisher = publisher(self.road, self.files, folder, developer)
        self.publisher.settle()
        self.ann = Client(self.road)

    def publish(self) -> Image:
        return publish(self.publisher)

    def begin(self) -> Pinned:
        pinned = self.publisher.ready()
        self.publisher.begin(pinned)
        return pinned

    def content(self, image: Image) -> bytes:
        return content(self.publisher, image)

    def write(self, first: int, count: int, **more: str) -> None:
        """Change rows, each time to something else."""
        self._written += 1
        texts = {n: f"{n} {self._written}" for n in range(first, first + count)}
        self.road.travel([self.ann.mutation(put("note", f"n{n}", text=text, **more)) for n, text in texts.items()])


def publish(publisher: Publisher) -> Image:
    pinned = publisher.ready()
    try:
        publisher.begin(pinned)
        image = publisher.make(pinned)
        publisher.finish(pinned, image)
        return image
    finally:
        pinned.close()


def content(publisher: Publisher, image: Image) -> bytes:
    manifest = image.manifest
    return b"".join(publisher._chunks.read(manifest.chunk(index)) for index in range(manifest.count()))


@contextmanager
def story(
    folder: Path, make: bool = True, seam: Files | None = None, developer: Developer | None = None
) -> Iterator[Story]:
    told = Story(folder, make, seam, developer)
    try:
        yield told
    finally:
        told.road.close()


@contextmanager
def opened(path: Path, image: bytes) -> Iterator[apsw.Connection]:
    path.write_bytes(image)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        yield connection
    finally:
        connection.close()


def test_an_image_is_a_plain_file_of_one_version(tmp_path: Path) -> None:  # I1
    with story(tmp_path) as here:
        here.write(0, 50)
        image = here.publish()
        here.write(50, 50)
        with opened(tmp_path / "image.db", here.content(image)) as plain:
            assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert plain.execute("SELECT count(*) FROM note").fetchall() == [(50,)]
            assert plain.pragma("journal_mode") == "delete"
    assert (image.manifest.version, image.manifest.size % 4096) == (51, 0)


def test_the_hash_of_an_image_is_that_of_its_chunks(tmp_path: Path) -> None:  # I3
    with story(tmp_path) as here:
        here.write(0, 200)
        image = here.publish()
        whole = here.content(image)
    pieces = [hashlib.sha256(whole[place : place + CHUNK]).digest() for place in range(0, len(whole), CHUNK)]
    assert image.hash == hashlib.sha256(b"".join(pieces)).hexdigest() and len(whole) == image.manifest.size


def test_only_what_changed_is_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # I4
    with story(tmp_path) as here:
        for start in range(0, 1000, 100):
            here.write(start, 100, any="x" * 1000)
        first = here.publish()
        hashed: list[int] = []
        chunk = Overlay.chunk

        def counted(self: Overlay, index: int) -> bytes:
            hashed.append(index)
            return chunk(self, index)

        monkeypatch.setattr(Overlay, "chunk", counted)
        here.write(500, 1)
        second = here.publish()
        assert first.manifest.count() > 12 and len(hashed) <= 4
        whole = here.content(second)
        here.road.checkpoint()
        with opened(tmp_path / "image.db", whole) as plain:
            assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_begins_an_image_reads_nothing_of_a_long_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # I20
    with story(tmp_path) as here:
        here.publish()
        for start in range(0, 500, 100):
            here.write(start, 100, any="x" * 4000)
        assert here.files.wal_pages() > 500
        reads: list[int] = []

        def counted(handle: int, length: int, offset: int) -> bytes:
            reads.append(length)
            return os.pread(handle, length, offset)

        monkeypatch.setattr("sharelite.storage.overlay.os", SimpleNamespace(**{**vars(os), "pread": counted}))
        pinned = here.begin()
        assert sum(reads) <= 8
        here.publisher.finish(pinned, here.publisher.make(pinned))
        assert sum(reads) > 500 * 4096
        pinned.close()


def test_an_image_reads_only_the_frames_that_no_image_before_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # I20
    with story(tmp_path) as here:
        here.write(0, 300, any="x" * 4000)
        here.publish()
        read: list[int] = []

        def counted(handle: int, length: int, offset: int) -> bytes:
            read.append(length)
            return os.pread(handle, length, offset)

        monkeypatch.setattr("sharelite.storage.overlay.os", SimpleNamespace(**{**vars(os), "pread": counted}))
        here.write(7, 1)
        pinned = here.begin()
        image = here.publisher.make(pinned)
        assert here.files.wal_pages() > 300 and sum(read) < 200 * 4120
        assert image.hash == hash_of(here.files, pinned.seq)
        here.publisher.finish(pinned, image)
        pinned.close()


def test_what_was_opened_before_data_db_was_replaced_is_no_image(tmp_path: Path) -> None:  # I16
    with story(tmp_path) as here:
        here.write(0, 5)
        pinned = here.publisher.ready()
        here.files.generation += 1
        with pytest.raises(Unavailable):
            here.publisher.begin(pinned)
        pinned.close()
        pinned = here.begin()
        here.files.generation += 1
        with pytest.raises(NotPublished, match="made anew"):
            here.publisher.make(pinned)
        pinned.close()
        assert here.publisher.images.names() == [] and here.publish().manifest.version == 6


def test_a_write_ahead_log_that_ends_early_or_is_another_publishes_nothing(tmp_path: Path) -> None:  # I14
    with story(tmp_path) as here:
        here.write(0, 20)
        wal = tmp_path / "data.db-wal"
        for harm in ("short", "other"):
            pinned, whole = here.begin(), wal.read_bytes()
            wal.write_bytes(whole[:-5000] if harm == "short" else whole[:40] + bytes(8) + whole[48:])
            with pytest.raises(NotPublished, match=r"frame \d+ of \d+ is not of this write-ahead log"):
                here.publisher.make(pinned)
            wal.write_bytes(whole)
            pinned.close()
        assert here.publisher.images.names() == []


def test_the_pages_that_differ_are_told(tmp_path: Path) -> None:  # I9
    with story(tmp_path) as here:
        for start in range(0, 2000, 200):
            here.write(start, 200)
        first, before = (image := here.publish()), here.content(image)
        here.write(1000, 1)
        second, after = (image := here.publish()), here.content(image)
        told = differing(here.publisher._chunks, first.manifest, second.manifest)
    pages = range(max(len(before), len(after)) // 4096)
    real = [n + 1 for n in pages if before[n * 4096 : (n + 1) * 4096] != after[n * 4096 : (n + 1) * 4096]]
    assert told == real and 0 < len(told) < len(pages) / 4


class Replica:
    """Another node's data.db, made from the same entries on a way of its own: transactions, checkpoints, restarts,
    power cuts."""

    def __init__(self, folder: Path, log: Log, chance: random.Random) -> None:
        self.vfs = f"replica-{id(self)}"
        self.disk = Disk(self.vfs)
        self.folder, self.log, self.chance = folder, log, chance
        self.hashes: dict[int, str] = {}
        folder.mkdir()
        self._open()

    def _open(self) -> None:
        self.files = Databases(Files(self.vfs), self.folder, PROJECT)
        connection = self.files.writer()
        create(connection, PROJECT, EPOCH)
        self.apply = Apply(connection, PROJECT, EPOCH)

    def run(self) -> None:
        while self.apply.position.seq < self.log.position.seq:
            with self.apply.together() if self.chance.randrange(2) else nullcontext():
                kind = self._some(self.chance.choice((1, 2, 5, 20)))
            if kind == "publish":
                self.hashes[self.apply.position.seq] = hash_of(self.files, self.apply.position.seq)
            match self.chance.randrange(8):
                case 0:
                    self.files.checkpoint()
                case 1:
                    self.files.settle()
                    self._again({})
                case 2:
                    self._again(power_cut(self.disk.steps, self.chance))
        self.files.close()

    def _some(self, most: int) -> str:
        """Apply the next entries, up to one that asks for an image; the kind of the last."""
        kind = ""
        for to, entry in islice(self.log.entries(self.apply.position.seq), most):
            assert entry is not None
            self.apply.apply(entry, [wire.decode_commit(commit.json) for commit in entry.commits], to)
            if (kind := entry.kind) == "publish":
                break
        return kind

    def _again(self, left: dict[str, bytes]) -> None:
        """Close, and open what is there, or what the disk had left."""
        self.files.close()
        for name in ("data.db", "data.db-wal", "data.db-shm") if left else ():
            (self.folder / name).unlink(missing_ok=True)
        lay(left, self.folder, self.folder)
        self.disk.steps = [Step("write", str(path), 0, path.read_bytes()) for path in self.folder.glob("data.db*")]
        self.disk.steps += [Step("sync", step.path) for step in self.disk.steps]
        self._open()


def hash_of(files: Databases, seq: int) -> str:
    """The hash of the image right here, with everything looked at and hashed."""
    reader = files.data("read")
    reader.execute("BEGIN; SELECT * FROM sqlite_schema").fetchall()
    with Overlay(files._files, files.data_path, files._frames(), seq) as overlay:
        pieces = [overlay.chunk(index) for index in range((overlay.size + CHUNK - 1) // CHUNK)]
    reader.close()
    return hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).hexdigest()


def lived(folder: Path, chance: random.Random) -> dict[int, str]:
    """A project with edits of every kind, images and checkpoints; the seqs and hashes of its images."""
    with story(folder) as here:
        for turn in range(40):
            here.write(chance.randrange(60), chance.randrange(1, 12))
            here.ann.do(put("layer", f"l{turn}", title=f"t{turn}"), delete("note", f"n{chance.randrange(60)}"))
            here.ann.do(put("note", "big", any="x" * chance.randrange(20_000)))
            here.ann.do(insert("note", "big"))
            if chance.random() < 0.3:
                here.publish()
            if chance.random() < 0.2:
                here.road.checkpoint()
        here.publish()
        reader = here.files.log_reader()
        told = {image.seq: image.hash for image in published(reader)}
        reader.close()
        return told


@pytest.mark.parametrize("seed", [*range(6), *[pytest.param(n, marks=pytest.mark.long) for n in range(6, 200)]])
def test_replicas_that_took_the_same_entries_have_the_same_bytes(tmp_path: Path, seed: int) -> None:  # I2
    """Each on its own way: several entries in one transaction, other checkpoints, restarts, kills and power cuts; the
    leader's beside rehearsals."""
    chance = random.Random(seed)
    hashes = lived(tmp_path / "leader", chance)
    connection = databases(tmp_path / "leader").log()
    log = Log(connection, PROJECT, EPOCH, "log.db")
    for number in range(3):
        replica = Replica(tmp_path / str(number), log, chance)
        replica.run()
        assert replica.hashes == {**hashes, **replica.hashes} and replica.hashes
        assert {seq: hashes[seq] for seq in replica.hashes} == replica.hashes
    connection.close()
