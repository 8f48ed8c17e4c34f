"""Two windows on one project, on each engine: what one does, the other shows, down to the vertex buffers."""

from __future__ import annotations

from tests.browser.conftest import Open
from tests.browser.scene import Scene
from tests.running import RunningServer

#: What the contract says of an icon that has no size of its own; the cities all have one.
DEFAULT_SIZE = 10


def test_a_slider_moves_what_both_windows_draw(windows: tuple[Scene, Scene]) -> None:
    ada, bob = windows
    city = ada.city(0)
    ada.select(f"city:{city}")
    size = 40 if ada.drawn(city)["size"] != 40 else 44
    uploads = bob.ask("() => window.__scene.uploads")
    ada.slide("icon.size", size)
    ada.shows(city, "size", size)
    bob.shows(city, "size", size)
    after = bob.ask("() => window.__scene.uploads")
    assert after["whole"] == uploads["whole"] and after["points"] > uploads["points"], "only that point goes to the GPU"


def test_two_people_have_two_colours(windows: tuple[Scene, Scene]) -> None:
    faces = "[...document.querySelectorAll('.face')].map((face) => face.style.background)"
    for window in windows:
        window.wait(f"() => {{ const all = {faces}; return all.length === 2 && all[0] !== all[1]; }}")


def test_a_colour_reaches_the_pixels_of_the_other_window(windows: tuple[Scene, Scene]) -> None:
    ada, bob = windows
    city = ada.city(1)
    ada.select(f"city:{city}")
    bob.select(f"city:{city}")
    ada.slide("icon.size", 60)
    for color, rgb in (("#ff0000", [255, 0, 0]), ("#00ff00", [0, 255, 0])):
        ada.find("color:icon.color").fill(color)
        bob.shows(city, "color", color)
        assert [abs(a - b) <= 12 for a, b in zip(bob.pixel(city), rgb, strict=True)] == [True] * 3


def test_two_people_move_two_points_of_one_route(windows: tuple[Scene, Scene]) -> None:
    ada, bob = windows
    for window in windows:
        window.select("route:tokaido")
    names = [point.get_attribute("data-testid") or "" for point in ada.find("points").locator("button").all()]
    mine, yours = (f"route/tokaido/points/{name.removeprefix('point:')}" for name in (names[1], names[3]))
    before = {path: ada.point(path) for path in (mine, yours)}
    hands = [(ada, mine), (bob, yours)]
    for window, path in hands:
        at = window.point(path)
        window.page.mouse.move(at["x"], at["y"])
        window.page.mouse.down()
    for step in range(1, 9):
        for window, path in hands:
            window.page.mouse.move(before[path]["x"] + 5 * step, before[path]["y"] - 4 * step)
    for window, _ in hands:
        window.page.mouse.up()
    for window, path in hands:
        window.settled()
        there = window.point(path)
        assert abs(there["lat"] - before[path]["lat"]) > 0.01
        for other in windows:
            other.point_shows(path, there["lon"], there["lat"])


def test_a_cancelled_session_leaves_no_trace_and_a_saved_one_is_one_commit(windows: tuple[Scene, Scene]) -> None:
    ada, bob = windows
    city = ada.city(2)
    ada.select(f"city:{city}")
    before, version = ada.drawn(city), ada.version
    for end in ("cancel", "save"):
        ada.find("edit").click()
        for size in (21, 22, 23):
            ada.slide("icon.size", size)
        ada.find("color:icon.color").fill("#abcdef")
        ada.shows(city, "size", 23)
        assert bob.drawn(city) == before and ada.version == version
        ada.find(end).click()
        ada.settled()
        if end == "cancel":
            ada.shows(city, "size", before["size"])
            assert ada.drawn(city) == before
    bob.shows(city, "size", 23)
    bob.shows(city, "color", "#abcdef")
    assert bob.version == ada.version == version + 1
    ada.find("reset:icon.size").click()
    ada.find("reset:icon.color").click()
    bob.shows(city, "size", DEFAULT_SIZE)
    bob.shows(city, "color", before["color"])


def test_each_window_sees_who_else_is_here_and_what_they_point_at(
    windows: tuple[Scene, Scene], demo: RunningServer, open_window: Open
) -> None:
    ada, _ = windows
    city = ada.city(3)
    cleo = Scene(open_window(f"{demo.url}/demo/?user=Cleo"))
    cleo.page.mouse.move(500, 400)
    cleo.select(f"city:{city}")
    ada.wait("([city]) => window.__scene.others().some((o) => o.name === 'Cleo' && o.selected?.endsWith(city))", city)
    cleo.page.close()
    ada.wait("() => window.__scene.others().every((o) => o.name !== 'Cleo')")
