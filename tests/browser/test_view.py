"""The demo with `?view`: the scene from its published file, what that took, a link to share, and the way to editing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import PATIENCE, Open, opening
from tests.browser.scene import Scene
from tests.running import RunningServer


@pytest.fixture
def view(demo: RunningServer, open_window: Open) -> Scene:
    expect.set_options(timeout=PATIENCE)
    return Scene(open_window(f"{demo.url}/demo/?view"))


def data(scene: Scene, name: str) -> int:
    return int(scene.find("status").get_attribute(f"data-{name}") or 0)


def test_a_view_shows_the_scene_and_what_it_took_and_lets_nobody_edit(view: Scene) -> None:  # V7
    assert view.ask("() => window.__scene.count") >= 25_000
    assert 0 < data(view, "bytes") <= data(view, "size") and data(view, "requests") < 100
    expect(view.find("status")).to_contain_text("Read only")
    city = view.city(0)
    view.select(f"city:{city}")
    expect(view.find("selected-name")).not_to_be_empty()
    expect(view.find("slider:icon.size")).to_have_value(str(view.drawn(city)["size"]))
    expect(view.find("slider:icon.size")).to_be_disabled()
    for control in ("remove", "edit", "add", "toast"):
        expect(view.find(control)).to_have_count(0)


def test_the_link_that_is_shared_opens_the_view(view: Scene, open_window: Open) -> None:
    view.find("share").click()
    link = view.find("link").input_value()
    view.page.keyboard.press("Escape")
    expect(view.find("share-link")).to_have_count(0)
    other = Scene(open_window(link))
    expect(other.find("status")).to_contain_text("Read only")
    assert other.version == view.version


def test_a_newer_version_is_offered_and_shown(chromium: Browser, demo: RunningServer, view: Scene) -> None:  # V8
    city = view.city(4)
    view.select(f"city:{city}")
    size = 33 if view.drawn(city)["size"] != 33 else 34
    with opening(chromium) as open_one:
        ada = Scene(open_one(f"{demo.url}/demo/?user=Ada"))
        ada.select(f"city:{city}")
        ada.slide("icon.size", size)
        ada.settled()
        Scene(open_one(f"{demo.url}/demo/?view"))
        version = ada.version
    before = data(view, "bytes")
    view.find("newer").filter(has_text=f"Show version {version}").click()
    view.shows(city, "size", size)
    expect(view.find("slider:icon.size")).to_have_value(str(size))
    assert view.version == version and data(view, "bytes") - before < data(view, "size") / 4
    expect(view.find("newer")).to_have_count(0)


def test_who_wants_to_edit_goes_on_live_from_the_version_that_is_shown(view: Scene) -> None:  # V10
    city = view.city(6)
    view.find("join").click()
    view.page.locator("[data-testid=status][data-connection=online][data-pending]").wait_for()
    live = Scene(view.page)
    assert "view" not in live.page.url
    live.select(f"city:{city}")
    size = 31 if live.drawn(city)["size"] != 31 else 32
    live.slide("icon.size", size)
    live.settled()
    live.shows(city, "size", size)
