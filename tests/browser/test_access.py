"""The scene editor for hands that have no mouse and for those who hear it: axe in each panel, and keys alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Open
from tests.browser.scene import Scene
from tests.running import ROOT, RunningServer

AXE = (ROOT / "demo/node_modules/axe-core/axe.min.js").read_text()
#: What Tab may need from anywhere to anywhere: everything that can be reached, twice.
MOST = 600


#: What fades in has not its colours yet.
STILL = """() => Promise.allSettled(document.getAnimations()
    .filter((each) => Number.isFinite(each.effect.getComputedTiming().endTime)).map((each) => each.finished))"""


def serious(page: Page, where: str) -> list[tuple[str, str, list[str]]]:
    page.evaluate(STILL)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        (where, rule["id"], [node["html"][:160] for node in rule["nodes"][:3]])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("theme", "language"), [("dark", "zh"), ("light", "en")])
def test_axe_finds_nothing_serious_in_any_panel(
    theme: str, language: str, demo: RunningServer, open_window: Open
) -> None:
    expect.set_options(timeout=PATIENCE)
    scene = Scene(open_window(f"{demo.url}/demo/?user=Ada&lang={language}"))
    page = scene.page
    if scene.find("theme").get_attribute("data-theme") != theme:
        scene.find("theme").click()
    found = serious(page, "nothing selected")
    for thing in ("scene", f"layer:{scene.find('layers').locator('li').first.get_attribute('data-layer')}"):
        scene.find(thing).click()
        found += serious(page, thing)
    for thing in ("route:silk", f"city:{scene.city(0)}"):
        scene.select(thing)
        found += serious(page, thing)
    while (closed := page.locator(".section-head[aria-expanded=false]")).count():
        closed.first.click()
    found += serious(page, "all 110 properties")
    scene.find("edit").click()
    scene.slide("icon.size", 17)
    found += serious(page, "an edit session")
    with page.expect_popup() as opened:
        scene.find("own-window").click()
    expect(opened.value.get_by_test_id("form")).to_be_visible()
    found += serious(opened.value, "a panel in its own window")
    opened.value.close()
    scene.find("share").click()
    expect(scene.find("copy")).to_be_enabled()
    found += serious(page, "the link to share")
    page.keyboard.press("Escape")
    scene.find("cancel").click()
    scene.find("search").fill("no such place")
    expect(scene.find("cities").locator(".empty")).to_be_visible()
    found += serious(page, "nothing found")
    assert found == []


def tab_to(page: Page, test_id: str) -> None:
    for _ in range(MOST):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement?.dataset?.testid") == test_id:
            return
    raise AssertionError(f"Tab does not lead to {test_id}")


def test_a_place_is_found_changed_saved_and_taken_back_by_keys_alone(demo: RunningServer, open_window: Open) -> None:
    expect.set_options(timeout=PATIENCE)
    scene = Scene(open_window(f"{demo.url}/demo/?user=Ada&lang=en"))
    page = scene.page
    tab_to(page, "search")
    page.keyboard.type("Osaka")
    expect(scene.find("cities").locator("button").first).to_contain_text("Osaka")
    city = scene.city(0)
    tab_to(page, f"city:{city}")
    page.keyboard.press("Enter")
    expect(scene.find("panel")).to_have_attribute("data-row", f"annotation/{city}")
    size, version = scene.drawn(city)["size"], scene.version
    tab_to(page, "edit")
    page.keyboard.press("Enter")
    tab_to(page, "slider:icon.size")
    page.keyboard.press("ArrowRight")
    scene.wait("([id, size]) => window.__scene.drawn(id).size > size", city, size)
    assert scene.version == version
    tab_to(page, "save")
    page.keyboard.press("Enter")
    scene.up_to(version + 1)
    scene.settled()
    page.keyboard.press("Control+z")
    scene.shows(city, "size", size)
    scene.settled()
