"""A Chromium, a server of one's own, and windows into it.

The browser lives as long as a module and no longer: Playwright runs an event loop on this thread, and tests elsewhere
want to run theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from scripts.browser import FLAGS, find
from tests.browser.scene import Scene
from tests.running import RunningServer

ENGINES = ("sqlite-wasm", "sqljs")
#: Milliseconds that a window may take for anything, on a busy machine without a GPU.
PATIENCE = 60_000
Open = Callable[[str], Page]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests share one worker: two browsers on two cores only make each other slow.

    First, because xdist reads the groups in the same hook."""
    for item in items:
        if here(item):
            item.add_marker(pytest.mark.xdist_group("browser"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """A version of pytest that xdist does not fit loses the groups without a word."""
    if session.config.getoption("loadgroup", False):
        lost = [item.nodeid for item in session.items if here(item) and not item.nodeid.endswith("@browser")]
        assert not lost, f"pytest-xdist did not keep the browser tests together: {lost[:3]}"


def here(item: pytest.Item) -> bool:
    return item.path.is_relative_to(Path(__file__).parent)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = find()
    assert path, "no browser: `make test` finds or installs one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def opening(chromium: Browser) -> Iterator[Open]:
    """Opens addresses in windows of their own, as separate people; what a page throws is a fault of the test."""
    faults: list[str] = []
    contexts = []

    def open_one(address: str) -> Page:
        context = chromium.new_context(viewport={"width": 1100, "height": 640})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: faults.append(f"{address}: {error}"))
        page.goto(address)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def open_window(chromium: Browser) -> Iterator[Open]:
    with opening(chromium) as open_one:
        yield open_one


@pytest.fixture(scope="module", params=ENGINES)
def windows(request: pytest.FixtureRequest, chromium: Browser, demo: RunningServer) -> Iterator[tuple[Scene, Scene]]:
    """Ada's and Bob's windows on the world, with each engine; the tests of a module share them."""
    with opening(chromium) as open_one:
        names = ("Ada", "Bob")
        ada, bob = (Scene(open_one(f"{demo.url}/demo/?engine={request.param}&user={name}")) for name in names)
        assert ada.find("status").get_attribute("data-engine") == request.param
        yield ada, bob


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The scene editor with its data, as `make demo` starts it."""
    with RunningServer(tmp_path_factory.mktemp("demo") / "data", command="demo") as server:
        yield server
