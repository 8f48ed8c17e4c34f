"""Two people with three windows each, two worlds and a panel of its own: what one does in one, all six show."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ENGINES, PATIENCE, opening
from tests.browser.scene import Scene
from tests.running import RunningServer


@dataclass
class Person:
    """Her windows; the panel of its own follows what is selected in the first."""

    world: Scene
    second: Scene
    panel: Page

    def select(self, city: str) -> None:
        for scene in (self.world, self.second):
            scene.select(f"city:{city}")
        expect(self.panel.get_by_test_id("panel")).to_have_attribute("data-row", f"annotation/{city}")

    def shows(self, city: str, size: float) -> None:
        """All three do, the worlds down to their vertex buffers."""
        for scene in (self.world, self.second):
            scene.shows(city, "size", size)
        expect(self.panel.get_by_test_id("slider:icon.size")).to_have_value(str(size))


Pair = tuple[Person, Person]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A scene of its own: its contract changes and it is killed."""
    with RunningServer(tmp_path_factory.mktemp("pair") / "data", command="demo") as running:
        yield running


#: Six windows cost minutes where software draws the map, so the light engine is for the long lane.
PARAMS = [pytest.param(engine, marks=[] if engine == ENGINES[0] else [pytest.mark.long]) for engine in ENGINES]


@pytest.fixture(scope="module", params=PARAMS)
def pair(request: pytest.FixtureRequest, chromium: Browser, server: RunningServer) -> Iterator[Pair]:
    expect.set_options(timeout=PATIENCE)
    with opening(chromium) as open_one:

        def arrive(name: str) -> Person:
            address = f"{server.url}/demo/?engine={request.param}&user={name}"
            page = open_one(address)
            other = page.context.new_page()
            other.set_default_timeout(PATIENCE)
            other.goto(address)
            world, second = Scene(page), Scene(other)
            world.select(f"city:{world.city(0)}")
            with page.expect_popup() as opened:
                world.find("own-window").click()
            opened.value.set_default_timeout(PATIENCE)
            return Person(world, second, opened.value)

        yield arrive("Ada"), arrive("Bob")


def all_show(pair: Pair, city: str, size: float) -> None:
    for person in pair:
        person.shows(city, size)


def grab(scene: Scene) -> tuple[float, float, float]:
    """Takes the handle of the size in hand: left end, width and height of its track."""
    slider = scene.find("slider:icon.size")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    scene.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    scene.page.mouse.down()
    return box["x"], box["width"], box["y"] + box["height"] / 2


def drag(scene: Scene, track: tuple[float, float, float], share: float) -> float:
    """Moves the handle to a share of its track; which size that is."""
    left, width, y = track
    scene.page.mouse.move(left + width * share, y, steps=6)
    return float(scene.find("slider:icon.size").input_value())


def whole(size: float) -> float:
    return int(size) if size == int(size) else size


def test_a_drag_is_seen_in_the_five_other_windows_while_the_hand_is_still_down(pair: Pair) -> None:
    ada, bob = pair
    city = ada.world.city(0)
    for person in pair:
        person.select(city)
    ada.world.find("live").check()
    track = grab(ada.world)
    size = whole(drag(ada.world, track, 0.6))
    all_show(pair, city, size)
    ada.world.page.mouse.up()
    ada.world.find("live").uncheck()
    ada.world.settled()


def test_a_server_that_is_killed_in_the_middle_of_a_drag_loses_nothing(pair: Pair, server: RunningServer) -> None:
    ada, bob = pair
    city = ada.world.city(1)
    for person in pair:
        person.select(city)
    ada.world.find("live").check()
    track = grab(ada.world)
    all_show(pair, city, whole(drag(ada.world, track, 0.4)))
    server.kill()
    size = whole(drag(ada.world, track, 0.7))
    ada.world.shows(city, "size", size)
    server.start()
    size = whole(drag(ada.world, track, 0.8))
    ada.world.page.mouse.up()
    ada.world.find("live").uncheck()
    all_show(pair, city, size)
    ada.world.settled()


def test_a_draft_in_one_window_and_undo_in_another_leave_each_other_alone(pair: Pair) -> None:
    ada, bob = pair
    city, other = ada.world.city(2), ada.world.city(3)
    for person in pair:
        person.select(city)
    before = ada.world.drawn(city)["size"]
    ada.world.find("edit").click()
    ada.world.slide("icon.size", 31)
    ada.second.select(f"city:{other}")
    was = ada.second.drawn(other)["size"]
    ada.second.slide("icon.size", 32)
    bob.second.shows(other, "size", 32)
    ada.second.find("undo").click()
    bob.second.shows(other, "size", was)
    assert (ada.world.drawn(city)["size"], bob.world.drawn(city)["size"]) == (31, before)
    ada.world.find("save").click()
    for person in pair:
        person.select(city)
    all_show(pair, city, 31)


def test_two_people_who_save_drafts_of_one_thing_are_asked_whose_it_is(pair: Pair) -> None:
    ada, bob = pair
    city = ada.world.city(4)
    for person in pair:
        person.select(city)
        person.world.find("edit").click()
    ada.world.slide("icon.size", 23)
    bob.world.slide("icon.size", 24)
    ada.world.find("save").click()
    bob.second.shows(city, "size", 23)
    bob.world.find("conflict:icon.size").wait_for()
    assert bob.world.drawn(city)["size"] == 24
    bob.world.find("keep-mine:icon.size").click()
    bob.world.find("save").click()
    all_show(pair, city, 24)


def test_a_row_removed_under_a_draft_and_under_an_undo_is_told_and_comes_back(pair: Pair) -> None:
    ada, bob = pair
    city = ada.world.city(5)
    for person in pair:
        person.select(city)
    ada.second.slide("icon.size", 26)
    bob.world.shows(city, "size", 26)
    ada.world.find("edit").click()
    ada.world.slide("icon.size", 27)
    bob.world.find("remove").click()
    ada.world.wait("([id]) => window.__scene.drawn(id) === undefined", city)
    ada.second.wait("([id]) => window.__scene.drawn(id) === undefined", city)
    ada.second.find("undo").click()
    expect(ada.second.find("toast").filter(has_text="removed").first).to_be_visible()
    bob.world.find("undo").click()
    ada.world.shows(city, "size", 27)
    bob.second.shows(city, "size", 26)
    ada.world.select(f"city:{city}")
    ada.world.find("cancel").click()
    ada.world.shows(city, "size", 26)


def load_again(page: Page) -> None:
    """A page with unsaved changes asks first."""
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()


def test_windows_that_are_loaded_again_meanwhile_show_what_all_others_show(pair: Pair) -> None:
    ada, bob = pair
    city = ada.world.city(7)
    for person in pair:
        person.select(city)
    bob.world.find("edit").click()
    bob.world.slide("icon.size", 29)
    ada.world.find("live").check()
    track = grab(ada.world)
    bob.second.shows(city, "size", whole(drag(ada.world, track, 0.5)))
    load_again(ada.second.page)
    load_again(ada.panel)
    size = whole(drag(ada.world, track, 0.65))
    ada.world.page.mouse.up()
    ada.world.find("live").uncheck()
    ada.shows(city, size)
    load_again(bob.world.page)
    bob.world.find("conflict:icon.size").wait_for()
    assert bob.world.drawn(city)["size"] == 29
    bob.world.find("take-theirs:icon.size").click()
    all_show(pair, city, size)
    bob.world.find("cancel").click()
    all_show(pair, city, size)


def project_of(server: RunningServer) -> dict[str, Any]:
    status, answer = server.ask("GET", "/v1/projects")
    assert status == 200
    (project,) = answer["projects"]
    found: dict[str, Any] = server.ask("GET", f"/v1/projects/{project['id']}/contract")[1]
    return {**found, "id": project["id"]}


def upgrade(server: RunningServer, project: dict[str, Any], document: dict[str, Any]) -> None:
    status, answer = server.ask("PUT", f"/v1/contracts/{project['name']}", document)
    assert status in (200, 201), answer
    body = {"projects": [project["id"]], "dry_run": False, "allow_destructive": True}
    status, answer = server.ask("POST", f"/v1/contracts/{project['name']}/migrate", body)
    assert status == 200 and all(not each["problem"] for each in answer["projects"]), answer


def test_a_contract_changes_under_open_forms_and_drafts(pair: Pair, server: RunningServer) -> None:  # S92
    ada, bob = pair
    city = ada.world.city(6)
    for person in pair:
        person.select(city)
    project = project_of(server)
    wider = copy.deepcopy(project["document"])
    icon = wider["properties"]["annotation"]["items"]["properties"]["icon"]["properties"]
    icon["glint"] = {"type": "number", "title": "Glint", "minimum": 0, "maximum": 9, "default": 1}
    ada.world.find("edit").click()
    ada.world.slide("icon.size", 28)
    upgrade(server, project, wider)
    for page in (ada.world.page, ada.panel, ada.second.page, bob.world.page, bob.panel, bob.second.page):
        page.get_by_test_id("slider:icon.glint").wait_for()
    ada.world.slide("icon.glint", 7)
    expect(ada.world.find("session-count")).to_contain_text("2 changes")
    upgrade(server, project, project["document"])
    expect(ada.world.find("lost")).to_contain_text("glint")
    assert ada.world.find("slider:icon.glint").count() == 0
    ada.world.find("save").click()
    all_show(pair, city, 28)
    ada.world.settled()


def test_each_person_ends_with_the_same_scene(pair: Pair) -> None:
    ada, bob = pair
    version = max(scene.version for person in pair for scene in (person.world, person.second))
    drawn = []
    for scene in (ada.world, ada.second, bob.world, bob.second):
        scene.up_to(version)
        scene.settled()
        drawn.append([scene.drawn(ada.world.city(place)) for place in range(8)])
    assert all(one == drawn[0] for one in drawn)
