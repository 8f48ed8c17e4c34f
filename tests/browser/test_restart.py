"""kill -9 while somebody works: the window goes on, and afterwards nothing is missing and nothing is there twice."""

from __future__ import annotations

from tests.browser.scene import Scene
from tests.running import RunningServer


def test_a_window_keeps_editing_while_the_server_is_killed_and_restarted(
    demo: RunningServer, windows: tuple[Scene, Scene]
) -> None:
    ada, bob = windows
    city, version = ada.city(5), ada.version
    ada.select(f"city:{city}")
    before = int(ada.drawn(city)["size"])
    sizes = range(before + 1, before + 31)
    for step, size in enumerate(sizes):
        ada.slide("icon.size", size)
        if step == 8:
            demo.kill()
        if step == 20:
            assert ada.drawn(city)["size"] == size, "the window goes on without the server"
            demo.start()
    ada.settled()
    bob.shows(city, "size", sizes[-1])
    ada.up_to(version + len(sizes))
    assert ada.version == version + len(sizes), "each slider let go is one commit, whatever happened meanwhile"
