"""examples/hello.html: fifteen lines, no bundler, a list that everybody shares."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Open
from tests.running import ExampleServer


def add(page: Page, title: str) -> None:
    page.get_by_placeholder("What is to do?").fill(title)
    page.get_by_role("button", name="Add").click()


def test_two_windows_share_a_list(tmp_path: Path, open_window: Open) -> None:
    expect.set_options(timeout=PATIENCE)
    with ExampleServer(tmp_path / "data") as server:
        ada, bob = (open_window(f"{server.url}/examples/hello.html") for _ in range(2))
        add(ada, "Buy bread")
        expect(bob.get_by_label("Buy bread")).not_to_be_checked()
        add(bob, "<b>Sing</b>")
        expect(ada.get_by_label("<b>Sing</b>")).to_be_visible()
        bob.get_by_label("Buy bread").check()
        expect(ada.get_by_label("Buy bread")).to_be_checked()
        server.kill()
        ada.get_by_label("<b>Sing</b>").check()
        server.start()
        expect(bob.get_by_label("<b>Sing</b>")).to_be_checked()
