"""client-js/GUIDE.md: the editor that its ten steps make works as they say, and one with REST endpoints moves over."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Open
from tests.running import ROOT, RunningServer

PIECE = re.compile(r"^```\w+ ([\w./]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS, REST = (ROOT / "client-js/GUIDE.md").read_text().split("# From a REST editor to this\n")


class GuideServer(RunningServer):
    """The guide's own application, in a folder with its files."""

    app = "notes:app"

    def module(self, command: str) -> tuple[str, ...]:
        return "uvicorn", "--app-dir", str(self.data.parent), self.app


class OldServer(GuideServer):
    app = "old:app"


def write(text: str, folder: Path) -> list[str]:
    """The files of a part of the guide, each of its pieces; their names."""
    files: dict[str, list[str]] = {}
    for name, piece in PIECE.findall(text):
        files.setdefault(name, []).append(piece)
    for name, pieces in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("\n".join(pieces))
    return list(files)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    assert write(STEPS, tmp_path) == ["notes.schema.json", "notes.py", "index.html", "notes.js"]
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


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[RunningServer]:
    """The editor with endpoints, its data brought over."""
    names = ["contracts/plan.schema.json", "labels.csv", "move.sh", "old.py", "pages/index.html", "pages/panel.js"]
    assert write(REST, tmp_path) == names
    with OldServer(tmp_path / "data") as running:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": programs, "SHARELITE_URL": running.url}
        subprocess.run(["sh", "-e", "move.sh"], cwd=tmp_path, env=environment, check=True)
        yield running


def old(server: RunningServer, method: str, path: str, body: Any = None) -> Any:
    """What the old endpoint answers: the status of an error, or the body."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{server.url}{path}", data, method=method)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code


def test_an_editor_with_rest_endpoints_moves_over_panel_by_panel(moved: RunningServer, open_window: Open) -> None:
    expect.set_options(timeout=PATIENCE)
    ada, bob = (open_window(f"{moved.url}/plan/") for _ in range(2))
    expect(ada.locator("li")).to_have_text(["North gate", "South gate"])
    assert old(moved, "PATCH", "/api/labels/north", {"text": "Main gate"}) == {"version": 3}
    expect(ada.locator("li")).to_have_text(["Main gate", "South gate"])
    assert old(moved, "PATCH", "/api/labels/north", {"size": 2}) == 422
    ada.locator("li").first.click()
    ada.get_by_label("Size").fill("2")
    ada.get_by_role("button", name="OK").click()
    expect(ada.locator("#problem")).to_contain_text("label/north/font/size")
    ada.get_by_label("Size").fill("30")
    expect(ada.locator("li").first).to_have_css("font-size", "30px")
    expect(bob.locator("li").first).to_have_css("font-size", "14px")
    ada.get_by_role("button", name="OK").click()
    expect(bob.locator("li").first).to_have_css("font-size", "30px")
    for _ in range(2):
        bob.get_by_role("button", name="Shout").click()
        expect(ada.locator("li")).to_have_text(["MAIN GATE", "SOUTH GATE"])
    expect(bob.locator("#problem")).to_contain_text("everything is loud already")
    assert old(moved, "GET", "/api/labels")[0] == {"id": "north", "text": "MAIN GATE", "size": 30}
