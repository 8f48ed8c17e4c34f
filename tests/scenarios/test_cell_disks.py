"""Disks of a cell that are full or damaged (SPEC K83, K84): one node suffers, the others go on."""

from __future__ import annotations

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
