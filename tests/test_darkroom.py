"""Images are made by a process of its own: the same bytes, and whatever becomes of it, no image or a whole one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sharelite.publishing import NotPublished
from sharelite.storage.child import Worker
from sharelite.storage.darkroom import Darkroom
from sharelite.storage.developing import Work
from sharelite.storage.files import Files
from tests.test_images import Story, hash_of, opened, story

STRIDES = [3, pytest.param(1, marks=pytest.mark.long)]
PATIENCE = 60.0


@pytest.fixture
def darkroom(tmp_path: Path) -> Iterator[Darkroom]:
    with closing(Darkroom(tmp_path / "here" / "chunks")) as darkroom:
        yield darkroom


def right(here: Story, folder: Path) -> None:
    """The next image is what looking at everything again gives, and a database."""
    here.write(3, 2)
    pinned = here.begin()
    whole = hash_of(here.files, pinned.seq)
    image = here.publisher.make(pinned)
    here.publisher.finish(pinned, image)
    pinned.close()
    assert image.hash == whole
    with opened(folder / "image.db", here.content(image)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_another_process_makes_the_same_bytes(tmp_path: Path, darkroom: Darkroom) -> None:  # I21
    with story(tmp_path / "here", developer=darkroom) as here:
        here.write(0, 60, any="x" * 20_000)
        here.publish()
        first = darkroom.pid
        here.write(5, 3)
        here.road.checkpoint()
        right(here, tmp_path)
        right(here, tmp_path)
        assert darkroom.pid == first != os.getpid()


def faulty(folder: Path, step: int, fault: str) -> Darkroom:
    return Darkroom(folder / "chunks", [sys.executable, "-m", "tests.darkrooms", str(step), fault])


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize(("fault", "told"), [("kill", "the process that makes images ended"), ("full", "is full")])
def test_an_image_whose_making_breaks_off_at_any_step_is_not_published(
    tmp_path: Path, fault: str, told: str, stride: int
) -> None:  # I21, I15
    step, broken = 1, True
    with story(tmp_path / "here") as here:
        here.write(0, 20, any="x" * 20_000)
        here.publish()
        while broken:
            here.write(step % 20, 4, any=f"{step}" * 9000)
            before = here.publisher.images.names()
            with closing(faulty(tmp_path / "here", step, fault)) as darkroom:
                here.publisher._developer = darkroom
                try:
                    here.publish()
                    broken = False
                except NotPublished as problem:
                    assert told in str(problem) and here.publisher.images.names() == before
            with closing(Darkroom(tmp_path / "here" / "chunks")) as darkroom:
                here.publisher._developer = darkroom
                right(here, tmp_path)
            step += stride
    assert step > 8, f"only {step} steps"


def test_one_that_ended_meanwhile_is_replaced(tmp_path: Path, darkroom: Darkroom) -> None:  # I21
    with story(tmp_path / "here", developer=darkroom) as here:
        here.write(0, 20)
        here.publish()
        first = darkroom.pid
        assert first
        os.kill(first, signal.SIGKILL)
        right(here, tmp_path)
        assert darkroom.pid not in (first, None)


def test_one_that_hangs_is_ended_and_the_next_image_is_right(tmp_path: Path) -> None:  # I21
    with (
        closing(Darkroom(tmp_path / "here" / "chunks", silence=PATIENCE)) as darkroom,
        story(tmp_path / "here", developer=darkroom) as here,
    ):
        here.write(0, 20)
        here.publish()
        assert darkroom.pid
        os.kill(darkroom.pid, signal.SIGSTOP)
        darkroom._silence = 0.5
        here.write(3, 2)
        with pytest.raises(NotPublished, match="does not answer"):
            here.publish()
        darkroom._silence = PATIENCE
        right(here, tmp_path)


UNTIL_STOPPED = """
import sys
from sharelite.storage.darkroom import packed, taken
import msgspec
while (message := taken(sys.stdin.buffer)) is not None:
    call, work = msgspec.msgpack.decode(message)
    if work is None:
        sys.stdout.buffer.write(packed([call, "stopped"]))
        sys.stdout.buffer.flush()
"""


def test_a_project_that_is_being_closed_waits_for_no_image(tmp_path: Path) -> None:  # I21
    command = [sys.executable, "-c", UNTIL_STOPPED]
    with (
        closing(Darkroom(tmp_path / "here" / "chunks", command)) as darkroom,
        story(tmp_path / "here", developer=darkroom) as here,
    ):
        here.write(0, 20)
        threading.Timer(0.3, here.publisher.abandoned.set).start()
        with pytest.raises(NotPublished, match="is being closed"):
            here.publish()


def test_what_nobody_wants_any_more_is_not_made(tmp_path: Path) -> None:  # I21
    with story(tmp_path / "here") as here:
        here.write(0, 20)
        pinned = here.begin()
        mark = pinned.overlay.mark
        work = Work(str(here.files.data_path), mark.salts, mark.frames, pinned.seq, None)
        worker = Worker(Files(), tmp_path / "chunks", PATIENCE)
        assert worker._tried(1, work) == ["stopped"]
        worker._wanted.add(1)
        assert worker._tried(1, work)[0] == "made"
        pinned.close()


def ended(child: subprocess.Popen[bytes]) -> None:
    """Until nobody has the other end of what the process and its own process say problems to."""
    assert child.stderr is not None
    late = threading.Timer(PATIENCE, child.stderr.close)
    late.start()
    child.stderr.read()
    assert late.is_alive(), "somebody is still there"
    late.cancel()


ON_ITS_OWN = """
import sys
from pathlib import Path
from sharelite.storage.child import Worker
from sharelite.storage.darkroom import Darkroom
from tests.test_images import Story
folder = Path(sys.argv[1])
darkroom = Darkroom(folder / "chunks", idle=float(sys.argv[2]))
here = Story(folder, developer=darkroom)
here.write(0, 20)
here.publish()
print(darkroom.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["killed", "left alone"])
def test_it_does_not_outlive_the_server_nor_its_use(tmp_path: Path, how: str) -> None:  # I21
    command = [sys.executable, "-c", ON_ITS_OWN, str(tmp_path / "here"), "30" if how == "killed" else "0.1"]
    pipes = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipes, stdout=pipes, stderr=pipes, start_new_session=True) as server:
        assert server.stdout and server.stdin
        pid = int(server.stdout.readline())
        if how == "killed":
            server.kill()
            ended(server)
        else:
            wait_for_end(pid)
            server.stdin.close()
            assert server.wait(PATIENCE) == 0


def wait_for_end(pid: int) -> None:
    """Of a process that is not ours: it is reaped by the one that it belongs to."""
    over = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        over.wait(0.05)
    raise AssertionError("it is still there")


def test_chunks_that_another_process_uses_are_not_swept(tmp_path: Path) -> None:  # I12
    with story(tmp_path / "here") as here:
        here.write(0, 10)
        image = here.publish()
        chunks, images = here.publisher._chunks, here.publisher.images
        images.retire(images.names()[0])
        with chunks.batch(everything=True):
            assert chunks.sweep(images.all_chunks(), now=1e12) == 0
        assert chunks.sweep(images.all_chunks(), now=1e12) == image.manifest.count()
