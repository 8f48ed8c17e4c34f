"""The power of a whole cell fails (SPEC K85): every node loses what it had not synced, all at once."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cell_story import Story, settled
from tests.cellular import Cellular, NodeProcess, cellular

#: Bytes of a write-ahead log before SQLite moves, and therefore syncs, it: below that none of it need be on the disk.
UNSYNCED = 900 * 4120


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cellular]:
    with cellular(tmp_path) as made:
        yield made


def cut(node: NodeProcess, chance: random.Random) -> None:
    """What was written since the last sync is there up to some place in each file, which another file does not know."""
    for path in sorted(node.data.rglob("*.db-wal")):
        size = path.stat().st_size
        assert size < UNSYNCED, f"{path}: part of it may have been synced"
        os.truncate(path, chance.choice((0, size // 2, chance.randrange(size + 1), size)))
    for path in node.data.rglob("*.db-shm"):
        path.unlink()


@pytest.mark.parametrize("seed", range(2))
def test_what_a_cell_acknowledged_is_there_after_its_power_failed(cell: Cellular, seed: int) -> None:  # K85
    chance, story = random.Random(seed), Story(cell, patience=2.0)
    with story.running():
        for _ in range(2):
            story.until_acked(15)
            for node in cell.nodes.values():
                node.kill()
            for node in cell.nodes.values():
                cut(node, chance)
            cell.start()
            settled(cell)
        story.until_acked(5)
    story.check()
    cell.stop()
    story.check_files()
