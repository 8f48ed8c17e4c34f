"""A viewer in a real browser, on files: what it shows, what it downloads, what it believes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests import large
from tests.browser.conftest import PATIENCE, opening
from tests.hosts import FileHost, files
from tests.proxies import caching
from tests.running import ROOT, RunningServer
from tests.serving import NOTES

CLIENT = ROOT / "server/static/client"
MB = 1_000_000
#: Opens a viewer on a folder and keeps it in the page as `viewer`.
OPEN = """async ([base, options]) => {
  const { openViewer } = await import('/client/viewer.js');
  try {
    window.viewer = await openViewer({ base, lookEvery: 0, ...options });
    return { version: viewer.image.version, size: viewer.image.size };
  } catch (error) { return { code: error.code, message: error.message }; }
}"""
ASK = """async ([question]) => {
  try { return { value: await eval(question) }; } catch (error) { return { code: error.code, message: error.message }; }
}"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """200 MB, most of it documents of 3,000 characters."""
    folder = tmp_path_factory.mktemp("published")
    said = large.publish(folder, nodes=40_000, links=10_000, docs=58_000, pictures=50, words=3000)
    assert said["size"] >= 200 * MB
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def host(published: Path) -> Iterator[FileHost]:
    with files(client=CLIENT, published=published) as host:
        yield host


@pytest.fixture
def page(chromium: Browser, host: FileHost) -> Iterator[Page]:
    with opening(chromium) as open_one:
        yield open_one(host.url)


def open_viewer(page: Page, base: str = "/published/", **options: Any) -> dict[str, Any]:
    opened: dict[str, Any] = page.evaluate(OPEN, [base, options])
    return opened


def ask(page: Page, question: str) -> dict[str, Any]:
    """`value` of an expression about `viewer`, or `code` and `message` of its error."""
    answer: dict[str, Any] = page.evaluate(ASK, [question])
    return answer


def test_a_viewer_of_200_megabytes_without_a_server_downloads_less_than_one_percent(
    page: Page, host: FileHost
) -> None:  # V13, V11
    assert open_viewer(page)["version"] == large.VERSION
    assert ask(page, "viewer.get('node/n0001234')")["value"] == {
        "id": "n0001234", "parent": "n0000061", "name": "node 0001234", "kind": "box", "color": "#951c0e",
        "x": 617, "y": 308.5, "z": 154.25, "width": 10.5, "height": 20.25, "depth": 30.125, "visible": True,
    }  # fmt: skip
    assert host.requests <= 6 and host.sent <= 64 * 1024
    children = "viewer.query('SELECT count(*) AS n FROM node WHERE parent = ?', ['n0000061'])"
    assert ask(page, children)["value"] == [{"n": 20}]
    length = "viewer.query('SELECT length(body) AS n FROM doc WHERE id = ?', ['d054321'])"
    assert ask(page, length)["value"] == [{"n": 3000}]
    assert host.sent < 200 * MB / 100
    assert ask(page, "viewer.traffic")["value"] == {"bytes": host.sent, "requests": host.requests}


def test_so_it_does_through_nginx_which_answers_the_next_one_with_its_host_gone(
    chromium: Browser, published: Path, tmp_path: Path
) -> None:  # V13, V1
    with files(client=CLIENT, published=published) as host:
        with caching(host.url, tmp_path / "nginx") as proxy, opening(chromium) as open_one:
            first, second = (open_one(f"{proxy}/") for _ in range(2))
            for page in (first, second):
                assert open_viewer(page)["version"] == large.VERSION
            assert ask(first, "viewer.get('node/n0001234/name')")["value"] == "node 0001234"
            assert ask(first, "viewer.traffic.bytes")["value"] <= 64 * 1024
            assert host.sent < 200 * MB / 100
            host.status = 503
            assert ask(second, "viewer.get('node/n0001234/name')")["value"] == "node 0001234"
            assert ask(second, "viewer.get('node/n0039999/name')")["code"] == "unavailable"


def test_what_publish_wrote_is_read_with_the_server_stopped(chromium: Browser, tmp_path: Path) -> None:  # V11, I19
    with RunningServer(tmp_path / "data") as server:
        project = server.create("Harbour plan", NOTES)
        for first in range(0, 6000, 2000):
            rows = [["i", "note", [f"n{n}"], {"text": f"{n} " + "x" * 2000}] for n in range(first, first + 2000)]
            assert server.ask("POST", f"/v1/projects/{project}/mutations", {"changes": rows})[0] == 200
        command = [sys.executable, "-m", "sharelite", "publish", "Harbour plan", str(tmp_path / "public")]
        subprocess.run([*command, "--url", server.url], check=True, capture_output=True, timeout=PATIENCE)
    with files(client=CLIENT, public=tmp_path / "public") as host, opening(chromium) as open_one:
        page = open_one(host.url)
        opened = open_viewer(page, "/public/")
        assert opened["version"] == 4 and opened["size"] > 12 * MB
        assert ask(page, "viewer.get('note/n4321/text')")["value"] == "4321 " + "x" * 2000
        assert ask(page, "viewer.query('SELECT count(*) AS n FROM note WHERE id BETWEEN ? AND ?', ['n10', 'n11'])")[
            "value"
        ] == [{"n": 112}]
        assert ask(page, "viewer.traffic.bytes")["value"] == host.sent < opened["size"] / 20


def test_the_sample_of_the_readme_does_what_it_says(page: Page, host: FileHost) -> None:  # V11
    samples = re.findall(r"^```js\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (sample,) = (sample for sample in samples if "openViewer" in sample)
    # Browsers complain there, too, that a host has no icon.
    with page.expect_console_message(lambda message: message.type == "log", timeout=PATIENCE) as told:
        page.add_script_tag(type="module", content=sample.replace("https://files.example/large/", "/published/"))
    size = next(host.folders["published"].glob("*.db")).stat().st_size
    assert told.value.text == f"node 0001234, 20 children: {host.sent} of {size} bytes"


def test_the_engine_asks_for_nothing_but_itself(page: Page, host: FileHost) -> None:
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url.removeprefix(host.url).partition("?")[0]))
    open_viewer(page)
    database = f"/published/{next((host.folders['published']).glob('*.db')).name}"
    scripts = {"/client/viewer.js", "/client/viewer-worker.js", "/client/sqlite3.wasm"}
    files = {address for address in asked if not address.startswith("blob:")}
    assert files == scripts | {"/published/latest.json", database}


def test_a_host_that_sends_everything_is_cut_off_at_once(page: Page, host: FileHost) -> None:  # V5
    host.ignores_range = True
    opened = open_viewer(page)
    assert (opened["code"], "Range" in opened["message"]) == ("no_ranges", True)
    assert host.requests == 1 and host.sent < 20 * MB


def test_a_host_that_begins_to_send_everything_is_never_asked_again(page: Page, host: FileHost) -> None:  # V5
    open_viewer(page)
    host.ignores_range = True
    for _ in range(3):
        assert ask(page, "viewer.get('node/n0001234')")["code"] == "no_ranges"
    assert host.requests == 2
    host.ignores_range = False
    assert ask(page, "viewer.get('node/n0001234')")["code"] == "no_ranges"


@pytest.mark.parametrize("length", [0, 1000])
def test_half_an_answer_is_no_answer(page: Page, host: FileHost, length: int) -> None:  # V1, V14
    open_viewer(page)
    host.cut_after = length
    assert ask(page, "viewer.get('node/n0001234')")["code"] in {"unreachable", "truncated"}
    assert ask(page, "viewer.status.connection")["value"] == "offline"
    host.cut_after = None
    assert ask(page, "viewer.get('node/n0001234/name')")["value"] == "node 0001234"
    assert ask(page, "viewer.status.connection")["value"] == "online"


def test_a_file_that_is_replaced_is_noticed_before_anything_of_it_is_shown(
    page: Page, host: FileHost, published: Path, tmp_path: Path
) -> None:  # V1
    open_viewer(page)
    (before,) = published.glob("*.db")
    host.other = tmp_path / "other.db"
    with before.open("rb") as old, host.other.open("wb") as new:
        shutil.copyfileobj(old, new, 1 << 20)
    asked = ask(page, "viewer.get('node/n0001234')")
    assert (asked["code"], "refresh()" in asked["message"]) == ("replaced", True)
    host.other = None
    assert ask(page, "viewer.get('node/n0001234/name')")["value"] == "node 0001234"


def test_what_would_download_the_project_is_stopped_and_says_so(page: Page, host: FileHost) -> None:  # V4
    open_viewer(page)
    asked = ask(page, "viewer.query(\"SELECT count(*) AS n FROM doc WHERE body LIKE '%zzz%'\")")
    assert (asked["code"], "8,192 KiB or 256 requests" in asked["message"]) == ("budget", True)
    assert host.sent <= 9 * MB
    assert ask(page, "viewer.get('node/n0001234/name')")["value"] == "node 0001234"


def test_a_question_that_is_taken_back_ends_although_the_worker_hears_nothing(page: Page, host: FileHost) -> None:  # V6
    open_viewer(page)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    asked = ask(page, f"viewer.query({endless!r}, [], {{ signal: AbortSignal.timeout(200) }})")
    assert asked["code"] == "aborted"
    assert ask(page, "viewer.get('node/n0001234/name')")["value"] == "node 0001234"
    scan = "SELECT count(*) AS n FROM doc WHERE body LIKE '%zzz%'"
    budget = "{ bytes: 1e9, requests: 1e5 }"
    host.forget()
    asked = ask(page, f"viewer.query({scan!r}, [], {{ signal: AbortSignal.timeout(150), budget: {budget} }})")
    assert asked["code"] == "aborted"
    assert ask(page, "viewer.query('SELECT 1 AS one')")["value"] == [{"one": 1}]
    assert host.sent < 150 * MB


def test_files_of_another_site_are_read_if_it_lets_us(page: Page, published: Path) -> None:  # V11
    with files(published=published) as other:
        assert open_viewer(page, f"{other.url}/published")["code"] == "unreachable"
        other.open_to_others = True
        assert open_viewer(page, f"{other.url}/published")["version"] == large.VERSION
        assert ask(page, "viewer.get('node/n0001234/name')")["value"] == "node 0001234"
        assert other.sent < 64 * 1024


def test_what_is_kept_of_the_file_is_bounded(page: Page, host: FileHost) -> None:  # V3
    open_viewer(page, cacheBytes=MB, budget={"bytes": 1e9, "requests": 1e6})
    scan = "viewer.query('SELECT sum(length(body)) AS n FROM (SELECT body FROM doc ORDER BY rowid LIMIT 3000)')"
    for _ in range(2):
        assert ask(page, scan) == {"value": [{"n": 9_000_000}]}
    assert ask(page, "viewer.traffic.bytes")["value"] > 2 * 9 * MB, "the second time all of it comes again"
