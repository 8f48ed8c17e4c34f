"""What a hand may do to the scene besides succeeding: think again, remove, fail to save, leave."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import opening
from tests.browser.scene import Scene
from tests.running import RunningServer


@pytest.fixture(scope="module")
def ada(chromium: Browser, demo: RunningServer) -> Iterator[Scene]:
    with opening(chromium) as open_one:
        yield Scene(open_one(f"{demo.url}/demo/?user=Ada"))


def ask(demo: RunningServer, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{demo.url}/v1{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def somebody_else(demo: RunningServer, *changes: list[Any]) -> int:
    """A mutation by HTTP; the version that it made."""
    (project,) = (found["id"] for found in ask(demo, "/projects")["projects"] if found["name"] == "World")
    version: int = ask(demo, f"/projects/{project}/mutations", {"changes": list(changes)})["version"]
    return version


def test_escape_takes_a_slider_back_although_the_hand_goes_on(ada: Scene) -> None:
    city = ada.city(6)
    ada.select(f"city:{city}")
    slider, mouse = ada.find("slider:icon.size"), ada.page.mouse
    before, version, box = ada.drawn(city)["size"], ada.version, slider.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    mouse.move(box["x"] + 20, middle)
    mouse.down()
    mouse.move(box["x"] + 40, middle)
    ada.wait("([id, size]) => window.__scene.drawn(id).size !== size", city, before)
    ada.page.keyboard.press("Escape")
    mouse.move(box["x"] + 60, middle)
    mouse.up()
    ada.shows(city, "size", before)
    assert (ada.version, float(slider.input_value())) == (version, before)
    ada.slide("icon.size", before + 1)
    ada.shows(city, "size", before + 1)


def test_removing_a_point_leads_to_its_route_and_can_be_undone_where_it_is_told(ada: Scene) -> None:
    ada.select("route:francigena")
    points = ada.find("points").locator("button")
    count = points.count()
    points.first.click()
    ada.find("remove").click()
    ada.page.locator("[data-testid=panel][data-row='route/francigena']").wait_for()
    assert (points.count(), ada.find("toast").all_inner_texts()) == (count - 1, ["Removed\nUndo"])
    ada.find("toast-action").click()
    points.nth(count - 1).wait_for()
    assert ada.find("toast").count() == 0


def test_a_session_that_cannot_be_saved_is_still_there(ada: Scene, demo: RunningServer) -> None:  # S12
    ada.up_to(somebody_else(demo, ["i", "layer", ["brief"], {"title": "Brief"}]))
    ada.select("route:silk")
    before, chosen = ada.find("select:layer").input_value(), ada.find("select:layer")
    ada.find("edit").click()
    chosen.select_option("brief")
    ada.up_to(somebody_else(demo, ["d", "layer", ["brief"]]))
    ada.find("save").click()
    ada.find("toast").filter(has_text="names a layer that is not there").wait_for()
    ada.find("session").wait_for()
    ada.find("cancel").click()
    ada.find("edit").wait_for()
    assert chosen.input_value() == before


def reloaded(scene: Scene, answer: str) -> None:
    """Reloads a page that asks first; `accept` or `dismiss`."""
    with scene.page.expect_event("dialog") as asked:
        scene.page.evaluate("() => void setTimeout(() => location.reload())")
    assert asked.value.type == "beforeunload"
    getattr(asked.value, answer)()


def test_a_window_asks_before_it_is_closed_on_unsaved_changes(ada: Scene) -> None:
    ada.select(f"city:{ada.city(7)}")
    ada.find("edit").click()
    ada.slide("icon.size", 33)
    ada.find("session-count").filter(has_text="1 change").wait_for()
    reloaded(ada, "dismiss")
    ada.find("cancel").click()
    asked: list[str] = []
    ada.page.once("dialog", lambda dialog: asked.append(dialog.type))
    ada.page.reload()
    ada.find("ready").wait_for()
    assert asked == []


def test_a_session_outlives_a_reload(ada: Scene) -> None:  # S36
    city = ada.city(7)
    ada.select(f"city:{city}")
    size, version = ada.drawn(city)["size"], ada.version
    ada.find("edit").click()
    ada.slide("icon.size", 34 if size != 34 else 35)
    changed = ada.drawn(city)["size"]
    reloaded(ada, "accept")
    ada.find("ready").wait_for()
    ada.shows(city, "size", changed)
    ada.select(f"city:{city}")
    ada.find("session-count").filter(has_text="1 change").wait_for()
    ada.find("cancel").click()
    ada.shows(city, "size", size)
    assert ada.version == version


def test_between_the_panels_of_a_narrow_window_everything_can_be_reached(ada: Scene) -> None:
    ada.page.set_viewport_size({"width": 1024, "height": 700})
    ada.select("route:silk")
    panel = ada.find("panel").bounding_box()
    for control in (*ada.page.locator(".map-controls button").all(), ada.page.locator(".credit")):
        box = control.bounding_box()
        assert panel and box and box["x"] + box["width"] <= panel["x"]
