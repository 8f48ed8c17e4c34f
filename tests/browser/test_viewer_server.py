"""A viewer in a real browser on a project of a real server: directly, through nginx, and with the server gone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import opening
from tests.browser.test_viewer import ask
from tests.proxies import caching
from tests.running import RunningServer

TEXT = {"type": "string"}
CONTRACT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "part": {
            "type": "array",
            "x-sql": {"index": [["assembly"]]},
            "items": {
                "type": "object",
                "required": ["id", "assembly"],
                "properties": {
                    "id": TEXT, "assembly": TEXT, "mesh": TEXT, "mass": {"type": "number", "default": 1},
                },
            },
        }
    },
}  # fmt: skip
MESH, BATCH = 30_000, 900
OPEN = """async ([project, options]) => {
  const { openViewer } = await import('/client/viewer.js');
  window.viewer = await openViewer({ project, lookEvery: 0, ...options });
  return viewer.image;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("viewed") / "data") as running:
        yield running


@pytest.fixture(scope="module", params=[BATCH, pytest.param(7 * BATCH + 600, marks=pytest.mark.long)])
def large(server: RunningServer, request: pytest.FixtureRequest) -> str:
    """27 MB of meshes, or more than 200 MB, sent as an editor sends them."""
    project = server.create(f"Large {request.param}", CONTRACT)
    mesh = "0123456789" * (MESH // 10)
    for start in range(0, request.param, BATCH):
        numbers = range(start, min(start + BATCH, request.param))
        rows = [["i", "part", [f"p{n:05d}"], {"assembly": f"a{n // 20}", "mesh": mesh}] for n in numbers]
        status, answer = server.ask("POST", f"/v1/projects/{project}/mutations", json.dumps({"changes": rows}).encode())
        assert status == 200, answer
    return project


@pytest.fixture
def page(chromium: Browser, server: RunningServer) -> Iterator[Page]:
    with opening(chromium) as open_one:
        yield open_one(f"{server.url}/healthz")


def open_viewer(page: Page, project: str, **options: Any) -> dict[str, Any]:
    image: dict[str, Any] = page.evaluate(OPEN, [project, options])
    return image


def change(server: RunningServer, project: str, part: str, **cells: object) -> int:
    body = {"changes": [["u", "part", [part], cells]]}
    status, answer = server.ask("POST", f"/v1/projects/{project}/mutations", body)
    assert status == 200, answer
    return int(answer["version"])


def test_a_viewer_through_nginx_downloads_less_than_one_percent_also_while_the_server_is_gone(
    chromium: Browser, server: RunningServer, large: str, tmp_path: Path
) -> None:  # V13
    with caching(server.url, tmp_path / "nginx") as proxy, opening(chromium) as open_one:
        pages = [open_one(f"{proxy}/healthz") for _ in range(2)]
        for page in pages:
            size = open_viewer(page, large)["size"]
            assert ask(page, "viewer.get('part/p00621/assembly')")["value"] == "a31"
            count = "viewer.query('SELECT count(*) AS n FROM part WHERE assembly = ?', ['a30'])"
            assert ask(page, count)["value"] == [{"n": 20}]
            spent = ask(page, "viewer.traffic")["value"]
            assert spent["bytes"] <= 65_536 and spent["bytes"] < size / 100 and spent["requests"] <= 6
        log = [line for line in (tmp_path / "nginx/access.log").read_text().splitlines() if ".db" in line]
        assert log and all(" 206 " in line for line in log if "GET" in line and "/v1/images/" in line)
        assert ask(pages[0], "viewer.get('part/p00622/mesh').then((mesh) => mesh.length)")["value"] == MESH
        server.kill()
        try:
            assert ask(pages[1], "viewer.get('part/p00622/mesh').then((mesh) => mesh.length)")["value"] == MESH
            assert ask(pages[1], "viewer.refresh()")["code"] in {"unavailable", "unreachable"}
        finally:
            server.start()


def test_an_edit_is_seen_by_refreshing_at_the_price_of_what_it_changed(
    page: Page, server: RunningServer, large: str
) -> None:  # V8
    before = open_viewer(page, large)["version"]
    page.evaluate(
        """() => {
          window.told = [];
          viewer.subscribe('part/p00777', (part, info) => told.push([part.mass, info.version, info.paths]));
        }"""
    )
    count = "viewer.query('SELECT count(*) AS n FROM part WHERE assembly >= ?', ['a3'])"
    total = ask(page, count)
    page.wait_for_function("() => told.length === 1")
    version = change(server, large, "p00777", mass=12.5)
    assert ask(page, "viewer.refresh()")["value"] is True
    assert ask(page, "[viewer.image.version, told.at(-1)]")["value"] == [version, [12.5, version, ["part/p00777/mass"]]]
    spent = ask(page, "viewer.traffic.bytes")["value"]
    assert ask(page, count) == total
    assert ask(page, "viewer.traffic.bytes")["value"] - spent <= 65_536
    assert ask(page, "viewer.refresh()")["value"] is False
    assert before < version


def test_a_viewer_becomes_a_store_at_its_version_and_hears_what_came_after(
    page: Page, server: RunningServer
) -> None:  # V10
    project = server.create("Small", CONTRACT)
    rows = [["i", "part", [f"p{n}"], {"assembly": "a"}] for n in range(500)]
    server.ask("POST", f"/v1/projects/{project}/mutations", {"changes": rows})
    seen = open_viewer(page, "name:Small")["version"]
    version = change(server, project, "p7", mass=3.5)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("""async () => { window.store = await viewer.join(); }""")
    page.wait_for_function("([version]) => store.status.version >= version", arg=[version])
    assert page.evaluate("() => [store.peek('part/p7/mass'), store.peek('part').length]") == [3.5, 500]
    assert not any(address.endswith("/db") for address in asked) and seen < version
    sent = "store.set('part/p7/mass', 4.5).confirmed.then(({ kind }) => kind)"
    assert page.evaluate(f"() => {sent}") == "committed"
    assert ask(page, "viewer.get('part/p7/mass')")["value"] == 1, "the viewer still shows its own version"


def test_a_private_project_is_read_by_its_signed_address_and_by_nobody_without_a_token(
    chromium: Browser, tmp_path: Path
) -> None:  # V12
    keys = tmp_path / "keys.json"

    def token(*rights: str) -> str:
        command = [sys.executable, "-m", "sharelite", "token", "--key", str(keys), "--create", "--user", "ada", *rights]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    owner = {"authorization": f"Bearer {token('--project', '*', '--role', 'owner')}"}
    with RunningServer(tmp_path / "data", "--keys", str(keys)) as server, opening(chromium) as open_one:
        made = server.ask("POST", "/v1/projects", {"name": "Größe, 'x' & y", "contract": CONTRACT}, owner)[1]["id"]
        rows = {"changes": [["i", "part", ["p1"], {"assembly": "a"}]]}
        assert server.ask("POST", f"/v1/projects/{made}/mutations", rows, owner)[0] == 200
        page = open_one(f"{server.url}/healthz")
        refused = page.evaluate(f"([project]) => ({OPEN})([project, {{}}]).catch(({{ code }}) => code)", [made])
        assert refused == "unauthenticated"
        authorized: list[bool] = []
        page.context.on(
            "request", lambda sent: authorized.append("authorization" in sent.headers) if ".db" in sent.url else None
        )
        open_viewer(page, "name:Größe, 'x' & y", token=token("--project", made, "--role", "reader"))
        assert ask(page, "viewer.get('part/p1/assembly')")["value"] == "a"
        assert authorized and not any(authorized)
