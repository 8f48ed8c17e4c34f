"""PROJ's database through the console: dropped in, edited live by two people, and out again (SPEC J19)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pyproj
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Open
from tests.carrying import content
from tests.foreign_files import SAMPLE, small
from tests.running import RunningServer

PROJ = Path(pyproj.datadir.get_data_dir()) / "proj.db"
NAME = "metre, as two people know it"
OPEN = """async (engine) => {
  const client = await import('/client/sharelite.js');
  window.store = await client.openStore({ project: 'name:proj', engine });
}"""
READ = "path => window.store.get(path)"
WROTE = "([path, value]) => window.store.set(path, value)"
SHOWS = "async ([path, value]) => (await window.store.get(path)) === value"
DROP = """async ([name, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name));
  for (const type of ['dragenter', 'dragover', 'drop'])
    window.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("carrying") / "data") as running:
        yield running


def drop(page: Page, name: str, content: bytes) -> None:
    page.evaluate(DROP, [name, list(content)])


def test_proj_db_is_imported_edited_in_two_windows_and_exported(
    server: RunningServer, open_window: Open, tmp_path: Path
) -> None:  # J12, J19
    expect.set_options(timeout=PATIENCE)
    ada, bob = open_window(server.url), open_window(server.url)
    ada.locator("#file").set_input_files(PROJ)
    expect(ada.locator(".import small")).to_contain_text("37 tables, 74,568 rows")
    expect(ada.locator(".import summary")).to_contain_text("not as in the file")
    for window in (ada, bob):
        expect(window.locator("#rows .row b")).to_have_text("proj")
        window.evaluate(OPEN, "sqlite-wasm" if window is ada else "sqljs")

    ada.evaluate(WROTE, ["unit_of_measure/EPSG,9001/name", NAME])
    bob.wait_for_function(SHOWS, arg=["unit_of_measure/EPSG,9001/name", NAME])
    scope = bob.evaluate(READ, "usage/20/scope_code")
    other = next(code for code in (1024, 1025) if code != scope)
    bob.evaluate(WROTE, ["usage/20/scope_code", other])
    ada.wait_for_function(SHOWS, arg=["usage/20/scope_code", other])

    with ada.expect_download() as downloading:
        ada.locator("#rows .export").select_option("db")
    assert downloading.value.suggested_filename == "proj-3.db"
    downloading.value.save_as(tmp_path / "out.db")
    original, edited = content(PROJ), content(tmp_path / "out.db")
    changed = {name for name in original if original[name] != edited[name]}
    assert changed == {"unit_of_measure", "usage"} and original.keys() == edited.keys()
    assert [len(set(original[name]) ^ set(edited[name])) for name in sorted(changed)] == [2, 2]


def test_a_dropped_file_becomes_a_project_and_one_that_is_none_says_so(
    server: RunningServer, open_window: Open, tmp_path: Path
) -> None:  # J19
    expect.set_options(timeout=PATIENCE)
    page = open_window(server.url)
    drop(page, "sample.sqlite", small(tmp_path / "sample.db", SAMPLE))
    expect(page.locator("#rows .row b", has_text="sample")).to_be_visible()
    expect(page.locator(".import li", has_text="trigger loud")).to_have_count(1)
    page.locator(".import button").click()
    drop(page, "notes.txt", b"no database")
    expect(page.locator(".import.failed small")).to_contain_text("This is no SQLite file")


def test_each_form_of_an_export_is_downloaded(server: RunningServer, open_window: Open, tmp_path: Path) -> None:  # J19
    expect.set_options(timeout=PATIENCE)
    page = open_window(server.url)
    drop(
        page, "forms.db", small(tmp_path / "forms.db", "CREATE TABLE t(a INTEGER PRIMARY KEY); INSERT INTO t VALUES(7)")
    )
    row = page.locator("#rows .row", has_text="forms")
    expect(row).to_be_visible()
    found: dict[str, Any] = {}
    for form in ("db", "sql", "json", "csv", "ndjson"):
        with page.expect_download() as downloading:
            row.locator(".export").select_option(form)
        assert downloading.value.suggested_filename == f"forms-1.{form}"
        downloading.value.save_as(tmp_path / form)
        found[form] = (tmp_path / form).read_bytes()
    assert found["csv"] == b"a\r\n7\r\n" and b"INSERT INTO" in found["sql"]
    back = sqlite3.connect(tmp_path / "db")
    assert back.execute("SELECT a FROM t").fetchall() == [(7,)]
    back.close()
    assert apsw.Connection(str(tmp_path / "db")).pragma("integrity_check") == "ok"
