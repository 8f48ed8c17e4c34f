"""Opening the scene editor with its 25,000 places, in a browser that has never seen it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, sync_playwright

from scripts.browser import FLAGS, find
from tests.running import RunningServer

from .figure import Bench, Figure

PLACES = 25_000
#: Runs, for what two cores and software WebGL make of it differs much.
RUNS = 7
#: Looks at every frame, in the page, and from its first moment.
WATCH = """
(places) => {
  const seen = window.__seen = {};
  const look = () => {
    const now = performance.now(), scene = window.__scene;
    if (!seen.drawn && scene && scene.count >= places && scene.frames > 0) seen.drawn = now;
    const status = document.querySelector('[data-testid=status]');
    if (!seen.online && status && status.dataset.connection === 'online') seen.online = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""
DONE = "() => window.__seen.drawn && window.__seen.online"
FOUND = """() => ({
  ...window.__seen, painted: performance.getEntriesByName('first-contentful-paint')[0].startTime,
  engine: performance.getEntriesByType('resource').find((entry) => entry.name.endsWith('.wasm')).responseEnd,
})"""


def measure(bench: Bench) -> list[Figure]:
    path = find()
    assert path, "no browser; `make install` finds or installs one with --for-tests"
    with RunningServer(bench.data(), command="demo") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        runs = [opened(browser, server) for _ in range(max(bench.runs, RUNS))]
        browser.close()
    painted, engine = (tuple(run[name] for run in runs) for name in ("painted", "engine"))
    whole = tuple(max(run["drawn"], run["online"]) for run in runs)
    return [
        Figure(f"demo: all {PLACES:,} points drawn and online", "ms", whole, at_most=2000),
        Figure("demo: first paint", "ms", painted),
        Figure("demo: the engine has come", "ms", engine),
    ]


def opened(browser: Browser, server: RunningServer) -> dict[str, Any]:
    """Milliseconds since the address was entered."""
    context = browser.new_context(viewport={"width": 1100, "height": 640})
    page = context.new_page()
    page.add_init_script(f"({WATCH})({PLACES})")
    page.goto(f"{server.url}/demo/")
    page.wait_for_function(DONE, timeout=120_000)
    found: dict[str, Any] = page.evaluate(FOUND)
    context.close()
    return found
