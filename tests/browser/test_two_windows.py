"""Two windows on one project, on each engine: what one does, the other shows, down to the vertex buffers."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Open
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


#: What a window has drawn of an icon since, each size once.
SIZES = """([id]) => {
  window.sizes = [];
  const look = () => {
    const { size } = window.__scene.drawn(id);
    if (window.sizes.at(-1) !== size) window.sizes.push(size);
    requestAnimationFrame(look);
  };
  look();
}"""


def test_a_session_with_live_is_seen_by_the_other_person_before_it_is_saved(windows: tuple[Scene, Scene]) -> None:
    ada, bob = windows
    city = ada.city(4)
    ada.select(f"city:{city}")
    before, version = ada.drawn(city)["size"], ada.version
    for end, change in (("cancel", 5), ("save", 7)):
        ada.find("edit").click()
        ada.slide("icon.size", before + change)
        ada.find("live").check()
        bob.shows(city, "size", before + change)
        ada.find("live").uncheck()
        bob.shows(city, "size", before)
        ada.find("live").check()
        ada.slide("icon.size", before + change + 1)
        bob.shows(city, "size", before + change + 1)
        assert (ada.version, bob.version) == (version, version), "nothing is stored"
        bob.ask(SIZES, city)
        ada.find(end).click()
        ada.find("live").uncheck()
        if end == "cancel":
            bob.shows(city, "size", before)
    bob.up_to(version + 1)
    bob.settled()
    bob.ask("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    assert bob.ask("() => window.sizes") == [before + 8], "a preview becomes the commit without a jump"
    assert bob.version == version + 1


def test_what_somebody_shows_of_a_session_ends_when_the_window_does(
    windows: tuple[Scene, Scene], demo: RunningServer, open_window: Open
) -> None:
    _, bob = windows
    dora = Scene(open_window(f"{demo.url}/demo/?user=Dora"))
    city = dora.city(5)
    dora.select(f"city:{city}")
    before = dora.drawn(city)["size"]
    dora.find("edit").click()
    dora.find("live").check()
    dora.slide("icon.size", before + 3)
    bob.shows(city, "size", before + 3)
    dora.page.close()
    bob.shows(city, "size", before)


def here(page: Page, field: str, *names: str) -> None:
    """Who else is at a field, as the page shows it."""
    marks = page.get_by_test_id(f"field:{field}").get_by_test_id("here")
    expect(marks).to_have_count(len(names))
    for at, name in enumerate(names):
        expect(marks.nth(at)).to_have_attribute("data-name", name)


def test_who_is_at_a_field_of_a_panel_in_its_own_window_is_seen_by_the_other_person(
    windows: tuple[Scene, Scene],
) -> None:
    expect.set_options(timeout=PATIENCE)
    ada, bob = windows
    city = ada.city(6)
    for window in windows:
        window.select(f"city:{city}")
    with ada.page.expect_popup() as opened:
        ada.find("own-window").click()
    panel = opened.value
    panel.set_default_timeout(PATIENCE)
    panel.get_by_test_id("slider:icon.size").focus()
    here(bob.page, "icon.size", "Ada")
    here(ada.page, "icon.size")
    bob.find("slider:icon.rotation").focus()
    for page in (panel, ada.page):
        here(page, "icon.rotation", "Bob")
    expect(bob.page.locator(".face")).to_have_count(2)
    panel.get_by_test_id("slider:icon.rotation").focus()
    here(bob.page, "icon.size")
    here(bob.page, "icon.rotation", "Ada")
    panel.close()
    here(bob.page, "icon.rotation")
    expect(bob.page.locator(".face")).to_have_count(2)


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
