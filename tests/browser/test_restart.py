"""kill -9 while somebody works: the window goes on, and afterwards nothing is missing and nothing is there twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Open
from tests.browser.scene import Scene
from tests.running import RunningServer


@pytest.mark.parametrize("engine", ["sqlite-wasm", "sqljs"])
def test_a_window_keeps_editing_while_the_server_is_killed_and_restarted(
    tmp_path: Path, open_window: Open, engine: str
) -> None:
    with RunningServer(tmp_path / "data", command="demo") as server:
        ada, bob = (Scene(open_window(f"{server.url}/demo/?engine={engine}&user={name}")) for name in ("Ada", "Bob"))
        city, version = ada.city(0), ada.version
        ada.select(f"city:{city}")
        sizes = range(20, 60)
        for size in sizes:
            ada.slide("icon.size", size)
            if size == 30:
                server.kill()
            if size == 50:
                assert ada.drawn(city)["size"] == 50, "the window went on without the server"
                server.start()
        ada.settled()
        bob.shows(city, "size", sizes[-1])
        ada.up_to(version + len(sizes))
        assert ada.version == version + len(sizes), "each let-go slider is one commit, whatever happened meanwhile"
