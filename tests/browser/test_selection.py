"""What is selected, in all windows of one person: whatever is opened, closed, loaded again or made meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE, opening
from tests.browser.scene import Scene
from tests.running import RunningServer


@dataclass
class Desk:
    """One person's windows: two worlds, and a panel in a window of its own while it is open."""

    world: Scene
    second: Scene
    panel: Page | None = None

    def open_panel(self) -> Page:
        with self.world.page.expect_popup() as opened:
            self.world.find("own-window").click()
        self.panel = opened.value
        self.panel.set_default_timeout(PATIENCE)
        return self.panel

    def close_panel(self) -> None:
        assert self.panel
        self.panel.close()
        self.panel = None

    def other_language(self) -> None:
        self.world.find("language").click()

    def reload(self) -> None:
        self.second.page.reload()
        self.second.find("ready").wait_for()

    def show(self, row: str) -> None:
        for page in (self.world.page, self.second.page, *([self.panel] if self.panel else [])):
            expect(page.get_by_test_id("panel")).to_have_attribute("data-row", row)


@pytest.fixture(scope="module")
def desk(chromium: Browser, demo: RunningServer) -> Iterator[Desk]:
    expect.set_options(timeout=PATIENCE)
    with opening(chromium) as open_one:
        page = open_one(f"{demo.url}/demo/?user=Ada&lang=en")
        other = page.context.new_page()
        other.set_default_timeout(PATIENCE)
        other.goto(page.url)
        yield Desk(Scene(page), Scene(other))


def test_a_window_that_opens_shows_what_is_selected_in_the_others_and_takes_nothing_from_them(desk: Desk) -> None:
    row = f"annotation/{desk.world.city(0)}"
    desk.world.select(f"city:{desk.world.city(0)}")
    desk.second.page.evaluate("() => sessionStorage.clear()")
    desk.reload()
    desk.open_panel()
    desk.show(row)
    desk.close_panel()


ORDERS = [
    pytest.param(order, marks=[pytest.mark.long] if at else [])
    for at, order in enumerate(itertools.permutations((Desk.close_panel, Desk.other_language, Desk.reload)))
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " ".join(step.__name__ for step in order))
def test_a_selection_outlives_a_closed_panel_another_language_and_a_reload(
    desk: Desk, order: tuple[Callable[[Desk], None], ...]
) -> None:
    desk.world.select(f"city:{desk.world.city(1)}")
    row = f"annotation/{desk.world.city(1)}"
    desk.open_panel()
    desk.show(row)
    for step in order:
        step(desk)
        desk.show(row)
    desk.other_language()


def test_a_place_that_a_session_adds_stays_selected_although_no_other_window_has_it(desk: Desk) -> None:
    desk.world.select(f"city:{desk.world.city(2)}")
    panel = desk.open_panel()
    desk.world.find("edit").click()
    desk.world.find("add").click()
    world = desk.world.find("panel")
    expect(desk.world.find("selected-name")).to_have_text("New place")
    expect(panel.get_by_test_id("selected-name")).to_have_count(0)
    row = world.get_attribute("data-row")
    desk.world.find("save").click()
    assert row
    desk.show(row)
    desk.world.find("remove").click()
    for page in (desk.world.page, panel, desk.second.page):
        expect(page.get_by_test_id("selected-name")).to_have_count(0)
    desk.close_panel()


def test_a_session_can_be_ended_where_nothing_is_selected(desk: Desk) -> None:
    city = desk.world.city(3)
    desk.world.select(f"city:{city}")
    size = desk.world.drawn(city)["size"]
    desk.world.find("edit").click()
    desk.world.slide("icon.size", size + 1)
    desk.world.page.keyboard.press("Escape")
    desk.world.find("go-to").focus()
    desk.world.page.keyboard.press("Escape")
    expect(desk.world.find("selected-name")).to_have_count(0)
    expect(desk.world.find("session-count")).to_contain_text("1 change")
    desk.world.find("cancel").click()
    desk.world.shows(city, "size", size)
