"""examples/hello.html: fifteen lines, no bundler, a list that everybody shares."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ENGINES, PATIENCE, Open
from tests.running import ROOT, ExampleServer


class Light(ExampleServer):
    """The same examples; its hello.html asks for the light engine."""

    def module(self, command: str) -> tuple[str, ...]:
        called = super().module(command)
        examples = self.data.parent / "examples"
        examples.unlink()
        shutil.copytree(ROOT / "examples", examples)
        page = examples / "hello.html"
        text = page.read_text()
        assert text.count("openStore({ ") == 1
        page.write_text(text.replace("openStore({ ", "openStore({ engine: 'sqljs', "))
        return called


SERVERS = {"sqlite-wasm": ExampleServer, "sqljs": Light}


def add(page: Page, title: str) -> None:
    page.get_by_placeholder("What is to do?").fill(title)
    page.get_by_role("button", name="Add").click()


@pytest.mark.parametrize("engine", ENGINES)
def test_two_windows_share_a_list(engine: str, tmp_path: Path, open_window: Open) -> None:
    expect.set_options(timeout=PATIENCE)
    with SERVERS[engine](tmp_path / "data") as server:
        ada, bob = (open_window(f"{server.url}/examples/hello.html") for _ in range(2))
        for page in (ada, bob):
            page.wait_for_function("() => document.forms[0].onsubmit !== null")
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
