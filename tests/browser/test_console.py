"""The console in a real browser: make, watch, rename, download and delete a project."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.running import RunningServer

NOTES = {"type": "object", "properties": {"note": {"type": "array", "items": {
    "type": "object", "required": ["id"], "properties": {"id": {"type": "string"}},
}}}}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("console") / "data") as running:
        yield running


def test_a_project_from_its_making_to_its_end(server: RunningServer, open_window: Open, tmp_path: Path) -> None:  # W18
    page = open_window(server.url)
    expect(page.get_by_text("No project yet")).to_be_visible()

    page.locator("#new").click()
    page.locator("#new-dialog [name=name]").fill("a/b")
    page.locator("#new-dialog select").select_option("own")
    page.locator("textarea").fill(json.dumps(NOTES))
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("#new-dialog .fault")).to_contain_text("/name")
    page.locator("#new-dialog [name=name]").fill("Harbour")
    page.get_by_role("button", name="Make it").click()
    row = page.locator("#rows .row")
    expect(row.locator("b")).to_have_text("Harbour")

    made = server.ask("GET", "/v1/projects")[1]["projects"][0]["id"]
    server.ask("POST", f"/v1/projects/{made}/mutations", {"changes": [["i", "note", ["n"], {}]]})
    expect(row.locator(".version")).to_have_text("2")

    with page.expect_download() as downloading:
        row.get_by_role("button", name="Download .db").click()
    assert downloading.value.suggested_filename == "Harbour-2.db"
    downloading.value.save_as(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT id FROM note").fetchall() == [("n",)]

    row.get_by_role("button", name="Rename").click()
    page.locator("#rename-dialog input").fill("Harbour & Bridge")
    page.locator("#rename-dialog .primary").click()
    expect(row.locator("b")).to_have_text("Harbour & Bridge")

    row.get_by_role("button", name="Delete").click()
    sure = page.locator("#delete-dialog .primary")
    expect(sure).to_be_disabled()
    page.locator("#delete-dialog input").fill("Harbour & Bridge")
    sure.click()
    expect(page.get_by_text("No project yet")).to_be_visible()


def test_a_project_without_a_contract_takes_tables_from_sql(server: RunningServer, open_window: Open) -> None:  # Q17
    page = open_window(server.url)
    page.locator("#new").click()
    page.locator("#new-dialog [name=name]").fill("Shop")
    expect(page.locator("textarea")).to_be_hidden()
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("#rows .row b")).to_have_text("Shop")
    (made,) = server.ask("GET", "/v1/projects")[1]["projects"]
    statements = ["CREATE TABLE item(id INTEGER PRIMARY KEY)"]
    assert server.ask("POST", f"/v1/projects/{made['id']}/sql", {"statements": statements})[0] == 200
    assert server.ask("DELETE", f"/v1/projects/{made['id']}")[0] < 300


def test_a_server_that_goes_away_is_noticed_and_seen_again(server: RunningServer, open_window: Open) -> None:  # W18
    page = open_window(server.url)
    expect(page.locator("#pulse")).to_have_text("connected")
    server.kill()
    expect(page.locator("#pulse")).to_have_text("not connected")
    expect(page.locator("#fault")).to_have_text("The server does not answer.")
    server.start()
    expect(page.locator("#pulse")).to_have_text("connected", timeout=15_000)
    expect(page.locator("#fault")).to_be_hidden()
