"""The leader of a cell is killed while somebody works at another node: the window goes on, and no edit is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sharelite.commands.demo import BATCH, CONTRACT, PROJECT
from sharelite.commands.demo_data import Cities, batches, operations
from tests.browser.conftest import Open
from tests.browser.scene import Scene
from tests.cell_story import settled
from tests.cellular import Cellular, cellular
from tests.running import ROOT


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cellular]:
    with cellular(tmp_path, "--contracts", str(ROOT / "contracts")) as made:
        leader = made.leader()
        leader.comes(f"/v1/contracts/{CONTRACT}")
        project = leader.create(PROJECT, CONTRACT)
        for part in batches(list(operations(Cities(300))), BATCH):
            rows = [[each.op, each.table, list(each.key), dict(each.values)] for each in part]
            assert made["a"].ask("POST", f"/v1/projects/{project}/mutations", {"changes": rows})[0] == 200
        yield made


def test_a_window_keeps_editing_while_the_leader_is_killed_and_no_edit_is_lost(
    cell: Cellular, open_window: Open
) -> None:  # K64
    leader = cell.leader()
    here, there = (node for node in cell.nodes.values() if node is not leader)
    ada, bob = (Scene(open_window(f"{node.url}/demo/?user={name}")) for node, name in ((here, "Ada"), (there, "Bob")))
    city, version = ada.city(5), ada.version
    ada.select(f"city:{city}")
    before = int(ada.drawn(city)["size"])
    sizes = range(before + 1, before + 21)
    for step, size in enumerate(sizes):
        ada.slide("icon.size", size)
        if step == 8:
            leader.kill()
    ada.settled()
    bob.shows(city, "size", sizes[-1])
    ada.up_to(version + len(sizes))
    assert ada.version == version + len(sizes), "each slider let go is one commit, whoever led meanwhile"
    leader.start()
    settled(cell)
