"""Files dropped on the demo: GeoJSON goes into the scene, a SQLite file becomes a project of its own (SPEC J20)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Open
from tests.browser.test_carrying import DROP
from tests.foreign_files import SAMPLE, rows, small
from tests.running import RunningServer


def feature(properties: dict[str, Any], kind: str, coordinates: list[Any]) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}


GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        feature({"name": "Null Island", "population": 3}, "Point", [0, 0]),
        feature({}, "MultiPoint", [[1, 1], [2, 2]]),
        feature({"title": "Way"}, "LineString", [[0, 0], [5, 5]]),
        feature({"name": "Field"}, "Polygon", [[[0, 0], [4, 0], [4, 4], [0, 0]]]),
        feature({"name": "Nowhere"}, "Point", [500, 0]),
    ],
}


def drop(page: Page, name: str, content: bytes) -> None:
    page.evaluate(DROP, [name, list(content)])


def newest(server: RunningServer, version: int) -> Any:
    project = server.ask("GET", "/v1/projects?name=World")[1]["projects"][0]
    return server.ask("GET", f"/v1/projects/{project['id']}/commits?after={version}")[1]["commits"]


def test_dropped_geojson_is_in_the_scene_as_one_commit(demo: RunningServer, open_window: Open) -> None:  # J20
    expect.set_options(timeout=PATIENCE)
    page = open_window(f"{demo.url}/demo/?engine=sqljs&user=Ada")
    status = page.get_by_test_id("status")
    expect(status).to_have_attribute("data-connection", "online")
    version = int(status.get_attribute("data-version") or 0)
    drop(page, "places.geojson", json.dumps(GEOJSON).encode())
    expect(page.get_by_test_id("toast")).to_contain_text("3 places, 1 route, 1 area; 1 without a place on the globe")
    expect(status).to_have_attribute("data-version", str(version + 1))
    (commit,) = newest(demo, version)
    tables = [change[1] for change in commit["changes"]]
    assert {name: tables.count(name) for name in set(tables)} == {
        "annotation": 3, "route": 1, "route.points": 2, "area": 1, "area.corners": 3,
    }  # fmt: skip


def test_the_scene_is_downloaded_as_a_plain_database(
    demo: RunningServer, open_window: Open, tmp_path: Path
) -> None:  # J20
    page = open_window(f"{demo.url}/demo/?engine=sqljs&user=Cleo")
    with page.expect_download() as downloading:
        page.get_by_test_id("download").click()
    assert downloading.value.suggested_filename.startswith("World-")
    downloading.value.save_as(tmp_path / "world.db")
    assert rows(tmp_path / "world.db", "SELECT count(*) > 20000 FROM annotation") == [(1,)]


def test_a_dropped_database_becomes_a_project_and_other_files_are_told_apart(
    demo: RunningServer, open_window: Open, tmp_path: Path
) -> None:  # J20
    expect.set_options(timeout=PATIENCE)
    page = open_window(f"{demo.url}/demo/?engine=sqljs&user=Bob")
    expect(page.get_by_test_id("status")).to_have_attribute("data-connection", "online")
    drop(page, "harbour.db", small(tmp_path / "harbour.db", SAMPLE))
    expect(page.get_by_test_id("toast").last).to_contain_text("harbour is a project now: 6 tables, 15 rows")
    drop(page, "notes.txt", b"hello")
    expect(page.get_by_test_id("toast").last).to_contain_text("notes.txt is neither GeoJSON nor a SQLite file")
    drop(page, "broken.json", b"[1, 2")
    expect(page.get_by_test_id("toast").last).to_contain_text("JSON")
