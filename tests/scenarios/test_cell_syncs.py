"""Disks of a cell that cannot sync (SPEC K88), once and for ever: injected into real processes by strace. Whoever could
not sync must not try again and go on: what the system says the second time is not true (ATC 2020, fsync failures)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.strace import find
from tests.cell_story import Story, settled
from tests.cellular import Cellular, NodeProcess, cellular
from tests.running import PATIENCE
from tests.serving import NOTES

#: Injection needs the right to trace processes, which not every machine that runs the ordinary tests gives.
pytestmark = pytest.mark.long
SOON = 20.0
WHEN = {"once": "1", "for ever": "1+"}


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cellular]:
    with cellular(tmp_path) as made:
        yield made


@contextmanager
def cannot_sync(pid: int, when: str) -> Iterator[None]:
    """From now on the syncs of a process end in an I/O error, the first one of each thread or all of them."""
    strace = find()
    assert sys.platform == "linux" and strace, "failing disks need strace; `pytest -k 'not syncs'` runs the rest"
    syncs = "fsync,fdatasync"
    inject = ["-e", f"trace={syncs}", "-e", f"inject={syncs}:error=EIO:when={WHEN[when]}"]
    command = [strace, "-f", "-o", "/dev/null", *inject, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said
        yield
    finally:
        tracer.terminate()
        tracer.communicate(timeout=PATIENCE)


def chosen(cell: Cellular, who: str) -> NodeProcess:
    leader = cell.leader()
    return leader if who == "leader" else next(node for node in cell.nodes.values() if node is not leader)


def ended(node: NodeProcess) -> None:
    """The node has ended by itself, and said why."""
    assert node.process is not None and node.process.wait(PATIENCE) == 1
    said = node.log.read_text()
    assert "this node of the cell has ended" in said and ("Input/output error" in said or "IOError" in said), said


@pytest.mark.parametrize("when", ["once", "for ever"])
@pytest.mark.parametrize("who", ["leader", "follower"])
def test_a_node_whose_journal_cannot_be_synced_ends_and_nothing_is_lost(cell: Cellular, who: str, when: str) -> None:
    # K11, K88
    story = Story(cell, patience=1.0)
    with story.running():
        story.until_acked(20)
        node = chosen(cell, who)
        with cannot_sync(node.raft_pid(), when):
            ended(node)
        assert story.until_acked(10) < SOON
        node.start()
        settled(cell)
        story.until_acked(10)
    story.check()
    cell.stop()
    story.check_files()


@pytest.mark.parametrize("when", ["once", "for ever"])
def test_a_node_whose_projects_cannot_be_synced_ends_and_nothing_is_lost(cell: Cellular, when: str) -> None:  # K88
    story = Story(cell, patience=1.0)
    with story.running():
        story.until_acked(20)
        node = chosen(cell, "follower")
        leader = cell.leader()
        with cannot_sync(node.pid, when):
            made = leader.create("made while a disk fails", NOTES)
            ended(node)
        assert story.until_acked(10) < SOON
        node.start()
        settled(cell)
        node.comes(f"/v1/projects/{made}?level=strict")
        story.until_acked(10)
    story.check()
    cell.stop()
    story.check_files()
