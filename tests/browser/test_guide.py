"""client-js/GUIDE.md: the editor that its ten steps make works as they say, in two windows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Open
from tests.running import ROOT, RunningServer

PIECE = re.compile(r"^```\w+ ([\w.]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class GuideServer(RunningServer):
    """The guide's own application, in a folder with its files."""

    def module(self, command: str) -> tuple[str, ...]:
        return "uvicorn", "--app-dir", str(self.data.parent), "notes:app"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    files: dict[str, list[str]] = {}
    for name, piece in PIECE.findall((ROOT / "client-js/GUIDE.md").read_text()):
        files.setdefault(name, []).append(piece)
    assert list(files) == ["notes.schema.json", "notes.py", "index.html", "notes.js"]
    for name, pieces in files.items():
        (tmp_path / name).write_text("\n".join(pieces))
    with GuideServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def windows(server: RunningServer, open_window: Open) -> tuple[Page, Page]:
    expect.set_options(timeout=PATIENCE)
    ada, bob = (open_window(f"{server.url}/notes/") for _ in range(2))
    for page in (ada, bob):
        expect(page.locator("#status")).to_contain_text("online")
    return ada, bob


def drag(page: Page, across: int) -> None:
    box = page.locator("article").last.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] + 20 + across, box["y"] + 15, steps=5)
    page.mouse.up()


def test_the_editor_of_the_guide_does_what_its_steps_say(windows: tuple[Page, Page], server: RunningServer) -> None:
    ada, bob = windows
    ada.get_by_role("button", name="Add").click()
    expect(bob.locator("article")).to_have_text("New note")
    drag(ada, 200)
    expect(bob.locator("article")).to_have_css("left", "240px")
    ada.locator("article").dblclick()
    ada.get_by_label("Text", exact=True).fill("Not yet")
    ada.get_by_label("Text size").fill("30")
    expect(ada.locator("article")).to_have_css("font-size", "30px")
    expect(bob.locator("article")).to_have_text("New note")
    ada.get_by_role("button", name="Cancel").click()
    expect(ada.locator("article")).to_have_text("New note")
    ada.locator("article").dblclick()
    ada.get_by_label("Text", exact=True).fill("Now")
    ada.get_by_role("button", name="OK").click()
    expect(bob.locator("article")).to_have_text("Now")
    for _ in range(2):
        ada.get_by_role("button", name="Undo").click()
    expect(bob.locator("article")).to_have_css("left", "40px")
    expect(bob.locator("article")).to_have_text("New note")
    expect(bob.locator(".cursor")).to_contain_text("▲")


def test_what_is_under_the_pointer_comes_to_the_front_and_a_dead_server_loses_nothing(
    windows: tuple[Page, Page], server: RunningServer
) -> None:
    ada, bob = windows
    ada.get_by_role("button", name="Add").click()
    first = ada.locator("article").first.get_attribute("data-id")
    ada.get_by_role("button", name="Add").click()
    expect(ada.locator("article")).to_have_count(2)
    drag(ada, 300)
    expect(bob.locator("article").last).to_have_css("left", "340px")
    ada.locator(f"article[data-id='{first}']").hover()
    ada.keyboard.press("f")
    expect(bob.locator(f"article[data-id='{first}']")).to_have_css("z-index", "1")
    server.kill()
    drag(ada, 50)
    server.start()
    expect(bob.locator("article").last).to_have_css("left", "390px")
