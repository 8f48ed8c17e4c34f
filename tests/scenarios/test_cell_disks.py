"""Disks of a cell that are full or damaged (SPEC K83, K84): one node suffers, the others go on."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cell_story import Story, settled
from tests.cellular import Cellular, NodeProcess, cellular
from tests.running import PATIENCE

SOON = 20.0


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Cellular]:
    """Every node on a disk of 48 MB."""
    with disks(tmp_path), cellular(tmp_path) as made:
        yield made


@contextmanager
def disks(folder: Path) -> Iterator[None]:
    places = [folder / name for name in "abc"]
    mounted: list[Path] = []
    try:
        for place in places:
            place.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(place)], check=True)
            mounted.append(place)
        yield
    finally:
        for place in mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(node: NodeProcess) -> Path:
    """The file that takes all room there is."""
    ballast = node.data / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


def refuses(node: NodeProcess) -> None:
    """Until a node has ended, or says that it should not be asked."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while node.alive and node.ask("GET", "/readyz")[0] == 200:
        assert time.monotonic() < deadline
        pause.wait(0.05)


@pytest.mark.parametrize("who", ["leader", "follower"])
def test_a_node_whose_disk_is_full_stops_nobody_and_comes_back(small: Cellular, who: str) -> None:  # K83
    story = Story(small, patience=1.0)
    with story.running():
        story.until_acked(20)
        leader = small.leader()
        full = leader if who == "leader" else next(node for node in small.nodes.values() if node is not leader)
        ballast = fill(full)
        assert story.until_acked(20) < SOON
        refuses(full)
        ballast.unlink()
        if not full.alive:
            full.start()
        settled(small)
        story.until_acked(20)
    story.check()
    small.stop()
    story.check_files()


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cellular]:
    with cellular(tmp_path) as made:
        yield made


def flip(path: Path) -> None:
    """Every 509th byte of what a file holds, but for its first page."""
    content = bytearray(path.read_bytes())
    used = len(content.rstrip(b"\0"))
    content[4096:used:509] = bytes(byte ^ 0x10 for byte in content[4096:used:509])
    path.write_bytes(content)


def files(node: NodeProcess, project: str, what: str) -> list[Path]:
    if what == "journal":
        return [path for path in (node.data / "raft").rglob("*") if path.is_file() and path.stat().st_size > 8192]
    return [path for path in (node.data / "projects" / project).glob(f"{what}.db*") if not path.name.endswith("-shm")]


def killed_and_flipped(cell: Cellular, story: Story, what: str) -> NodeProcess:
    """A follower that starts again on damaged files."""
    leader = cell.leader()
    victim = next(node for node in cell.nodes.values() if node is not leader)
    victim.kill()
    for path in files(victim, story.project, what):
        flip(path)
    victim.begin()
    assert story.until_acked(20) < SOON
    return victim


@pytest.mark.parametrize("what", ["log", "data"])
def test_a_project_whose_files_have_flipped_bits_is_made_anew(cell: Cellular, what: str) -> None:  # K84
    story = Story(cell, patience=2.0)
    with story.running():
        story.until_acked(100)
        killed_and_flipped(cell, story, what).wait()
        settled(cell)
        story.until_acked(20)
    story.check()
    cell.stop()
    story.check_files()


def beneath(cell: Cellular, story: Story, what: str) -> NodeProcess:
    """A follower whose files change while it runs."""
    leader = cell.leader()
    victim = next(node for node in cell.nodes.values() if node is not leader)
    for path in files(victim, story.project, what):
        flip(path)
    assert story.until_acked(50) < SOON
    return victim


def test_bits_that_flip_in_a_log_beneath_a_follower_are_noticed_when_it_is_read(cell: Cellular) -> None:  # K84
    story = Story(cell, patience=2.0)
    with story.running():
        story.until_acked(100)
        victim = beneath(cell, story, "log")
        victim.comes(f"/v1/projects/{story.project}/commits?after=0&limit=1000")
        settled(cell)
    story.check()
    cell.stop()
    story.check_files()


def test_bits_that_flip_in_a_database_beneath_a_follower_are_mended_at_its_next_start(cell: Cellular) -> None:  # K84
    story = Story(cell, patience=2.0)
    with story.running():
        story.until_acked(100)
        victim = beneath(cell, story, "data")
        victim.stop()
        victim.start()
        settled(cell)
        story.until_acked(20)
    story.check()
    cell.stop()
    story.check_files()


def test_a_node_whose_journal_has_flipped_bits_does_not_start(cell: Cellular) -> None:  # K84
    story = Story(cell, patience=2.0)
    with story.running():
        story.until_acked(100)
        victim = killed_and_flipped(cell, story, "journal")
        assert victim.process is not None and victim.process.wait(PATIENCE) != 0
        assert re.search(r"raft/\S+\.journal: the record at \d+ is damaged", victim.log.read_text())
        del cell.nodes[victim.name]
        story.until_acked(20)
    story.check()
