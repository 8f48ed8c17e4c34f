"""Publishing under kill -9, full disks, damaged chunks, and beside everything else (SPEC I11 to I17)."""

from __future__ import annotations

import os
import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from sharelite.config import ImagePolicy
from sharelite.errors import Damaged, NotJudged
from sharelite.storage.manifest import CHUNK, Image, Name
from sharelite.storage.retention import LATELY, Shown, retired
from tests.disk import DiskFiles
from tests.disk import image as power_cut
from tests.disk import put as lay
from tests.faults import FaultyFiles, Steps
from tests.roads import Client, put
from tests.test_images import Story, hash_of, opened, story


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    """A project with an image, edits behind it, and some of those checkpointed out of the write-ahead log."""
    folder = tmp_path / "before"
    with story(folder) as here:
        here.write(0, 60, any="x" * 20_000)
        here.publish()
        here.write(5, 3)
        here.road.checkpoint()
        here.write(40, 3)
    return folder


def again(folder: Path, files: FaultyFiles | None = None) -> Story:
    here = Story(folder, make=False, seam=files)
    here.ann = Client(here.road, name="c" * 32)
    return here


def in_a_child(folder: Path, step: int) -> bool:
    """Publish, checkpoint, edit and publish again in a process that dies at a step; whether it came that far."""
    child = os.fork()
    if not child:
        try:
            here = again(folder, FaultyFiles(Steps(step)))
            here.publish()
            here.write(70, 2)
            here.road.checkpoint()
            here.publish()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def right(here: Story, folder: Path) -> None:
    """The newest image is whole, and so are the next two, made with what is known of changed pages."""
    newest = here.publisher.images.newest()
    assert newest is not None
    with opened(folder / "image.db", here.content(newest)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for first in (20, 60):
        here.write(first, 2)
        pinned = here.begin()
        whole = hash_of(here.files, pinned.seq)
        image = here.publisher.make(pinned)
        here.publisher.finish(pinned, image)
        pinned.close()
        assert image.hash == whole
    assert here.publisher.images.staged() == []


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)])
def test_killed_at_any_step_there_is_the_image_before_or_the_next(
    lived: Path, tmp_path: Path, stride: int
) -> None:  # I14
    step = random.randrange(1 - stride, 1)
    killed = True
    while killed:
        step += stride
        folder = tmp_path / str(step)
        shutil.copytree(lived, folder)
        killed = in_a_child(folder, step)
        here = again(folder)
        try:
            right(here, folder)
        finally:
            here.road.close()
        shutil.rmtree(folder)
    assert step > 60, f"only {step} steps"


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("once", [True, False])
def test_a_full_disk_at_any_step_is_told_and_mended(
    lived: Path, tmp_path: Path, once: bool, stride: int
) -> None:  # I15
    step, hit = random.randrange(1 - stride, 1), True
    while hit:
        step += stride
        folder = tmp_path / f"{step}-{once}"
        shutil.copytree(lived, folder)
        steps = Steps(fault="full", once=once)
        here = again(folder, FaultyFiles(steps))
        steps.count, steps._at = 0, step
        pinned = None
        try:
            pinned = here.publisher.ready()
            here.publisher.begin(pinned)
            here.publisher.finish(pinned, here.publisher.make(pinned))
        except NotJudged:
            pass
        finally:
            if pinned is not None:
                pinned.close()
        hit = steps.hit
        steps.mend()
        right(here, folder)
        here.road.close()
        shutil.rmtree(folder)
    assert step > 20, f"only {step} steps"


@pytest.mark.parametrize("seed", [0, *[pytest.param(n, marks=pytest.mark.long) for n in range(1, 40)]])
def test_no_moment_of_power_loss_takes_an_image_or_makes_a_wrong_one(tmp_path: Path, seed: int) -> None:  # I14
    """Everything told as published is whole, and what is published next is what hashing everything gives."""
    chance = random.Random(seed)
    files = DiskFiles(f"images-{seed}-{id(chance)}")
    told: list[tuple[int, Image]] = []
    with story(tmp_path / "lived", seam=files) as here:
        here.write(0, 60, any="x" * 20_000)
        started = len(files.disk.steps)
        for turn in range(12):
            here.write(chance.randrange(60), chance.randrange(1, 3))
            if turn % 2:
                told.append((0, here.publish()))
                told[-1] = (len(files.disk.steps), told[-1][1])
            if turn % 3 == 2:
                here.road.checkpoint()
    for number in range(25):
        moment = chance.randint(started, len(files.disk.steps))
        target = tmp_path / str(number)
        lay(power_cut(files.disk.steps[:moment], chance), tmp_path / "lived", target)
        after = again(target)
        for step, image in told:
            if step <= moment:
                kept = after.publisher.images.find(image.manifest.version, image.hash)
                assert kept is not None and len(after.content(kept)) == kept.manifest.size
        after.publish()
        right(after, target)
        after.road.close()
        shutil.rmtree(target)


def test_an_image_that_no_log_tells_of_outlives_the_power(tmp_path: Path) -> None:  # I14, K74
    """That of a node which does not lead: its address was given away."""
    files = DiskFiles(f"images-{tmp_path.name}")
    with story(tmp_path / "lived", seam=files) as here:
        here.write(0, 60)
        with closing(here.publisher.ready()) as pinned:
            here.publisher.here(pinned)
            image = here.publisher.make(pinned)
            here.publisher.show(pinned, image)
        steps = list(files.disk.steps)
    for number in range(10):
        lay(power_cut(steps, random.Random(number)), tmp_path / "lived", tmp_path / str(number))
        after = again(tmp_path / str(number))
        assert [name.hash for name in after.publisher.images.names()] == [image.hash]
        after.road.close()


def first_chunk(here: Story, image: Image, index: int = 1) -> Path:
    return here.publisher._chunks.path(image.manifest.chunk(index))


@pytest.mark.parametrize("harm", ["lost", "flipped", "swapped", "short"])
def test_a_harmed_chunk_is_never_served_and_made_anew(tmp_path: Path, harm: str) -> None:  # I17
    with story(tmp_path) as here:
        here.write(0, 100, any="x" * 1500)
        image = here.publish()
        here.content(image)
        path = first_chunk(here, image)
        whole = path.read_bytes()
        if harm == "lost":
            path.unlink()
        elif harm == "swapped":
            path.write_bytes(first_chunk(here, image, 2).read_bytes())
        else:
            path.write_bytes(whole[:100] if harm == "short" else bytes((whole[0] ^ 1,)) + whole[1:])
        with pytest.raises(Damaged, match=path.name) as found:
            here.content(image)
        here.publisher.images.found_harmed(found.value)
        here.ann.do(put("note", "n99", text="later"))
        here.content(here.publish())
        assert path.read_bytes() == whole and len(here.content(image)) == image.manifest.size


def test_a_harmed_manifest_means_that_everything_is_hashed_again(tmp_path: Path) -> None:  # I17
    with story(tmp_path) as here:
        here.write(0, 30)
        here.publish()
        (path,) = [file for file in (tmp_path / "images").iterdir() if file.name != "changed"]
        whole = path.read_bytes()
        path.write_bytes(bytes((whole[0] ^ 1,)) + whole[1:])
    here = again(tmp_path)
    assert here.publisher.newest() is None
    here.write(0, 1)
    right_hash = here.publish()
    assert here.content(right_hash)
    here.road.close()


def test_a_chunk_stays_as_long_as_anything_has_it(tmp_path: Path) -> None:  # I12
    with story(tmp_path) as here:
        here.write(0, 100, any="x" * 1500)
        first = here.publish()
        here.write(3, 1)
        second = here.publish()
        chunks, images = here.publisher._chunks, here.publisher.images
        later = 1e12
        assert chunks.sweep(images.all_chunks(), now=later) == 0
        images.retire(images.names()[0])
        assert chunks.sweep(images.all_chunks()) == 0, "young"
        mine = {first.manifest.chunk(n) for n in range(first.manifest.count())}
        both = mine & {second.manifest.chunk(n) for n in range(second.manifest.count())}
        assert chunks.sweep(images.all_chunks(), now=later) == len(mine) - len(both) > 0
        assert len(here.content(second)) == second.manifest.size
        with pytest.raises(Damaged):
            here.content(first)


def test_what_a_batch_has_put_is_not_swept(tmp_path: Path) -> None:  # I12
    with story(tmp_path) as here:
        here.write(0, 10)
        here.publish()
        chunks = here.publisher._chunks
        with chunks.batch() as batch:
            digest = batch.put(b"x" * CHUNK)
            batch.finish()
            assert chunks.sweep(here.publisher.images.all_chunks(), now=1e12) == 0
        assert chunks.read(digest) == b"x" * CHUNK
        assert chunks.sweep(here.publisher.images.all_chunks(), now=1e12) == 1


POLICY = ImagePolicy(unread=100.0, read=1000.0, most=4)
NOW = 1_000_000.0


def shown(*images: tuple[float, float | None]) -> list[Shown]:
    """Images by the seconds since they were shown and since they were read."""
    return [
        Shown(Name(n, n, ""), NOW - at, None if read is None else NOW - read) for n, (at, read) in enumerate(images)
    ]


def gone(images: list[Shown], started: float = 0.0) -> list[int]:
    return [name.seq for name in retired(images, POLICY, NOW, started)]


def test_the_newest_image_stays_for_ever() -> None:  # I11
    assert gone(shown((9e5, None))) == []


def test_an_image_goes_a_while_after_the_next_one_or_its_last_reader() -> None:  # I11
    assert gone(shown((500, None), (101, None), (99, None))) == [0]
    assert gone(shown((5000, 4000), (3000, None), (2000, 900), (1500, None))) == [0, 1]
    assert gone(shown((5000, float("-inf")), (3000, None))) == []
    assert gone(shown((500, None), (101, None)), started=NOW - 50) == []


def test_of_too_many_the_oldest_go_that_nobody_reads_now() -> None:  # I11
    images = shown((60, LATELY / 2), (50, None), (40, None), (30, None), (20, None), (10, None))
    assert gone(images) == [1, 2]


def test_who_reads_an_image_keeps_it(tmp_path: Path) -> None:  # I11
    with story(tmp_path) as here:
        here.write(0, 1)
        first = here.publish()
        here.write(1, 1)
        here.publish()
        images, strict = here.publisher.images, ImagePolicy(unread=0.0, read=0.0, most=0)
        with images.reading(first):
            assert images.retire_old(strict, 1e12) == []
        assert [name.version for name in images.retire_old(strict, 1e12)] == [2]
