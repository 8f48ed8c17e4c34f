"""The scene editor with both hands: many things at once, undo, layers, a panel of its own, another language."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE, opening
from tests.browser.scene import Scene
from tests.running import RunningServer


@pytest.fixture(scope="module")
def window(chromium: Browser, demo: RunningServer) -> Iterator[Scene]:
    expect.set_options(timeout=PATIENCE)
    with opening(chromium) as open_one:
        yield Scene(open_one(f"{demo.url}/demo/?user=Ada"))


def frame(scene: Scene, left: float, top: float, right: float, bottom: float) -> int:
    """Draws a frame with Shift held; how many are selected then."""
    mouse, keyboard = scene.page.mouse, scene.page.keyboard
    keyboard.down("Shift")
    mouse.move(left, top)
    mouse.down()
    mouse.move(right, bottom, steps=4)
    mouse.up()
    keyboard.up("Shift")
    said = scene.find("selected-name").inner_text()
    found = re.fullmatch(r"(\d+) selected", said)
    assert found, said
    return int(found[1])


def places(scene: Scene) -> dict[str, tuple[float, float]]:
    """Where the selected annotations are, by path."""
    rows: list[list[float | str]] = scene.ask("() => window.__scene.group().map((p) => [p.path, p.lon, p.lat])")
    return {str(path): (float(lon), float(lat)) for path, lon, lat in rows}


def test_hundreds_are_framed_dragged_and_put_back_as_one_step(window: Scene) -> None:
    assert frame(window, 450, 180, 700, 420) > 100
    before, version = places(window), window.version
    x, y = window.ask("() => { const p = window.__scene.group().at(-1); return [p.x, p.y]; }")
    box = window.page.locator(".stage-overlay").bounding_box()
    assert box
    window.page.mouse.move(box["x"] + x, box["y"] + y)
    window.page.mouse.down()
    window.page.mouse.move(box["x"] + x + 40, box["y"] + y + 10, steps=6)
    window.page.mouse.up()
    window.settled()
    window.up_to(version + 1)
    moved = places(window)
    assert window.version == version + 1
    assert all(moved[path] != place for path, place in before.items())
    window.page.keyboard.press("Control+z")
    window.settled()
    assert places(window) == before
    window.page.keyboard.press("Control+Shift+z")
    window.settled()
    assert places(window) == moved
    window.find("undo").click()
    window.settled()


def test_a_property_of_many_is_set_at_once(window: Scene) -> None:
    window.page.keyboard.press("Escape")
    many = frame(window, 500, 240, 640, 360)
    version = window.version
    window.slide("icon.size", 31)
    window.up_to(version + 1)
    window.settled()
    ids = [path.removeprefix("annotation/") for path in places(window)]
    assert len(ids) == many and all(window.drawn(one)["size"] == 31 for one in ids[:20])
    window.find("undo").click()
    window.settled()
    assert all(window.drawn(one)["size"] != 31 for one in ids[:20])


def test_arrow_keys_move_what_is_selected_and_delete_removes_it(window: Scene) -> None:
    window.page.keyboard.press("Escape")
    city = window.city(3)
    window.select(f"city:{city}")
    before = places(window)
    window.find("go-to").focus()
    window.page.keyboard.press("Shift+ArrowRight")
    window.wait(
        "([path, lon]) => window.__scene.group()[0].lon > lon", f"annotation/{city}", list(before.values())[0][0]
    )
    window.page.keyboard.press("Delete")
    window.wait("([id]) => window.__scene.drawn(id) === undefined", city)
    for _ in range(2):
        window.find("undo").click()
    window.wait("([id]) => window.__scene.drawn(id) !== undefined", city)
    window.settled()


def test_layers_are_put_in_order_by_the_keyboard(window: Scene) -> None:
    def layers() -> list[str]:
        items = window.find("layers").locator("li")
        return [items.nth(k).get_attribute("data-layer") or "" for k in range(items.count())]

    first, second, *rest = layers()
    window.find(f"layer:{first}").focus()
    window.page.keyboard.press("Alt+ArrowDown")
    expect(window.find("layers").locator("li").first).to_have_attribute("data-layer", second)
    assert layers() == [second, first, *rest]
    window.find("undo").click()
    expect(window.find("layers").locator("li").first).to_have_attribute("data-layer", first)


def test_a_panel_in_its_own_window_follows_the_selection_and_edits_the_scene(window: Scene) -> None:
    city = window.city(0)
    window.select(f"city:{city}")
    with window.page.expect_popup() as opened:
        window.find("own-window").click()
    panel: Page = opened.value
    panel.set_default_timeout(PATIENCE)
    expect(panel.get_by_test_id("panel")).to_have_attribute("data-row", f"annotation/{city}")
    panel.get_by_test_id("slider:icon.size").fill("27")
    window.shows(city, "size", 27)
    other = window.city(1)
    window.find(f"city:{other}").click()
    expect(panel.get_by_test_id("panel")).to_have_attribute("data-row", f"annotation/{other}")
    panel.get_by_test_id("undo").click()
    window.wait("([id]) => window.__scene.drawn(id).size !== 27", city)
    panel.close()
    window.ask("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    expect(window.find("panel")).to_have_attribute("data-row", f"annotation/{other}")


def test_the_page_speaks_chinese(window: Scene) -> None:
    window.find("language").click()
    expect(window.find("undo")).to_have_attribute("aria-label", "撤销")
    expect(window.find("sidebar")).to_contain_text("图层")
    window.page.reload()
    expect(window.find("ready")).to_contain_text("在线")
    window.find("language").click()
    expect(window.find("ready")).to_contain_text("Online")
