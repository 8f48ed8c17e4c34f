"""In headless Chromium, with the client that the server hands out: from an edit to the last callback it concerns.

The page opens a real project, subscribes, and times itself; both engines run the same page script, browser.js.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from scripts.browser import FLAGS, find
from tests.running import RunningServer

from .figure import Bench, Figure, quantile
from .raw import new_client

SCRIPT = (Path(__file__).parent / "browser.js").read_text()
ENGINES = ("sqlite-wasm", "sqljs")
NODES = 5000
BATCH = 1000

CONTRACT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "node": {
            "type": "array",
            "x-sql": {"index": [["parent"]]},
            "items": {
                "type": "object",
                "required": ["id", "parent", "name", "x", "y"],
                "properties": {
                    "id": {"type": "string"},
                    "parent": {"type": "string"},
                    "name": {"type": "string"},
                    "x": {"type": "number"},
                    "y": {"type": "number"},
                },
            },
        }
    },
}


def measure(bench: Bench) -> list[Figure]:
    path = find()
    assert path, "no browser; `make install` finds or installs one with --for-tests"
    with RunningServer(bench.data()) as server, sync_playwright() as playwright:
        project = nodes(server)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        figures = [figure for engine in ENGINES for figure in engine_figures(bench, browser, server, project, engine)]
        browser.close()
    return figures


def nodes(server: RunningServer) -> str:
    """A project of 5,000 nodes, 20 under each parent."""
    project, client = server.create("browser", CONTRACT), new_client()
    for start in range(0, NODES, BATCH):
        rows = [["i", "node", [f"n{n}"], row(n)] for n in range(start, start + BATCH)]
        body = {"id": [client, start // BATCH + 1], "changes": rows}
        status, answer = server.ask("POST", f"/v1/projects/{project}/mutations", body)
        assert status == 200, answer
    return project


def row(number: int) -> dict[str, object]:
    return {"parent": f"n{number // 20}", "name": f"node {number}", "x": number / 2, "y": number / 4}


def engine_figures(bench: Bench, browser: Browser, server: RunningServer, project: str, engine: str) -> list[Figure]:
    runs = []
    for _ in range(bench.runs):
        page = browser.new_page()
        page.goto(f"{server.url}/healthz")
        runs.append(page.evaluate(SCRIPT, [project, engine]))
        page.close()
    edits, served = (tuple(quantile(run[name], 0.5) for run in runs) for name in ("edit", "served"))
    return [
        Figure(f"{engine}: one-property edit, 300 subscribers, p50", "ms", edits, at_most=1),
        Figure(f"{engine}: 500 subscriptions decided and served, p50", "ms", served, at_most=5),
        Figure(f"{engine}: project of {NODES:,} rows open", "ms", tuple(run["open"] for run in runs)),
    ]
