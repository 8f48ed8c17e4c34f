"""A viewer in headless Chromium on a host of files: 900,000 nodes, 225,000 links, 60,000 documents, 1,500 pictures.

Bytes and requests are counted by the host, and are the same in every run.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.browser import FLAGS, find
from tests import large
from tests.hosts import FileHost, files
from tests.running import ROOT

from .figure import Bench, Figure

#: With the opening they are eight.
QUERIES = (
    "viewer.get('node/n0456789')",
    "viewer.query('SELECT * FROM node WHERE parent = ?', ['n0012345'])",
    "viewer.query('SELECT id, name, x, y FROM node WHERE name >= ? AND name < ?', ['node 0300000', 'node 0301000'])",
    "viewer.query('SELECT max(x), min(y), count(color) FROM (SELECT * FROM node ORDER BY rowid LIMIT 5000)')",
    "viewer.query('SELECT n.name FROM link l JOIN node n ON n.id = l.target WHERE l.source = ?', ['n0000123'])",
    "viewer.query('SELECT title, body FROM doc WHERE node = ?', ['n0034567'])",
    "viewer.get('picture/p00777')",
)
SCRIPT = """async ([questions]) => {
  const start = performance.now();
  const { openViewer } = await import('/client/viewer.js');
  const viewer = await openViewer({ base: '/published/', lookEvery: 0 });
  await eval(questions[0]);
  const ms = performance.now() - start;
  const first = viewer.traffic;
  for (const question of questions.slice(1)) await eval(question);
  return { ms, first, all: viewer.traffic };
}"""


def measure(bench: Bench) -> list[Figure]:
    folder = bench.data()
    large.publish(folder, nodes=900_000, links=225_000, docs=60_000, pictures=1_500)
    path = find()
    assert path, "no browser; `make install` finds or installs one with --for-tests"
    with files(client=ROOT / "server/static/client", published=folder) as host, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        runs = [run(browser, host) for _ in range(bench.runs)]
        browser.close()

    def of(which: str, what: str, unit: int = 1) -> tuple[float, ...]:
        return tuple(found[which][what] / unit for found in runs)

    return [
        Figure("viewer of 200 MB: a row by key", "KiB", of("first", "bytes", 1024), at_most=64),
        Figure("viewer of 200 MB: a row by key", "requests", of("first", "requests"), at_most=6),
        Figure("viewer of 200 MB: engine, opening and a row by key", "ms", tuple(found["ms"] for found in runs)),
        Figure("viewer of 200 MB: eight queries, opening included", "MB", of("all", "bytes", 1_000_000), at_most=1.4),
        Figure("viewer of 200 MB: eight queries, opening included", "requests", of("all", "requests"), at_most=48),
    ]


def run(browser: Browser, host: FileHost) -> dict[str, Any]:
    page: Page = browser.new_context().new_page()
    page.goto(host.url)
    host.forget()
    found: dict[str, Any] = page.evaluate(SCRIPT, [list(QUERIES)])
    assert found["all"] == {"bytes": host.sent, "requests": host.requests}
    page.close()
    return found
