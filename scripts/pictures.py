"""Makes the pictures of demo/README.md anew: `.venv/bin/python -m scripts.pictures [NAME ...]`.

The demo is started on a fresh project, played by two people in a browser without a screen, and photographed; `pngquant`
makes the pictures small (Debian, Ubuntu: apt install pngquant). Look at each of them before you commit it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from scripts.browser import FLAGS, find
from tests.browser.scene import Scene
from tests.running import ROOT, RunningServer

PICTURES = ROOT / "demo/pictures"
COLORS = 128
WIDE, LOW = ViewportSize(width=1360, height=820), ViewportSize(width=1100, height=640)
PATIENCE = 120_000


class Stage:
    """The demo with its windows; each picture begins with new ones."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url

    def enter(self, name: str, size: ViewportSize = WIDE, *, theme: str = "dark", lang: str = "en") -> Scene:
        context = self.browser.new_context(viewport=size)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(f"localStorage.setItem('sharelite-demo-theme', '{theme}')")
        page = context.new_page()
        page.goto(f"{self.url}/demo/?user={name}&lang={lang}")
        return Scene(page)

    def leave(self) -> None:
        for context in self.browser.contexts:
            context.close()


def city(scene: Scene, name: str) -> str:
    """Selects it by the search; its id."""
    scene.find("search").fill(name)
    found = scene.find("cities").locator("button", has_text=name).first
    found.click()
    test_id = found.get_attribute("data-testid")
    assert test_id
    scene.find("search").fill("")
    scene.wait("() => window.__scene.still")
    return test_id.removeprefix("city:")


def globe(stage: Stage) -> Page:
    ada, mira = stage.enter("Ada"), stage.enter("Mira")
    mira.page.mouse.move(760, 470)
    ada.wait("() => window.__scene.others().some((other) => other.at)")
    return ada.page


def session(stage: Stage) -> Page:
    ada, mira = stage.enter("Ada"), stage.enter("Mira")
    for scene in (ada, mira):
        city(scene, "Istanbul")
    ada.find("edit").click()
    ada.find("select:icon.shape").select_option("pin")
    ada.slide("icon.size", 34)
    ada.find("color:icon.color").fill("#f4d35e")
    mira.find("slider:icon.rotation").focus()
    ada.find("field:icon.rotation").get_by_test_id("here").wait_for()
    ada.page.mouse.move(640, 560)
    return ada.page


def several(stage: Stage) -> Page:
    ada = stage.enter("Ada", theme="light", lang="zh")
    keyboard, mouse = ada.page.keyboard, ada.page.mouse
    keyboard.down("Shift")
    mouse.move(440, 460)
    mouse.down()
    mouse.move(600, 550, steps=4)
    mouse.up()
    keyboard.up("Shift")
    mouse.move(640, 790)
    return ada.page


def day(stage: Stage) -> Page:
    ada = stage.enter("Ada", LOW, theme="light")
    ada.select("route:silk")
    return ada.page


def panel(stage: Stage) -> Page:
    ada = stage.enter("Ada", LOW)
    city(ada, "Istanbul")
    with ada.page.expect_popup() as opened:
        ada.find("own-window").click()
    opened.value.set_viewport_size({"width": 380, "height": 640})
    opened.value.get_by_test_id("form").wait_for()
    return opened.value


MADE: dict[str, Callable[[Stage], Page]] = {
    "globe": globe,
    "session": session,
    "several": several,
    "day": day,
    "panel": panel,
}


def photograph(page: Page, path: Path) -> None:
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    page.screenshot(path=path)
    subprocess.run(
        ["pngquant", "--force", "--strip", "--speed", "1", "--output", str(path), str(COLORS), str(path)], check=True
    )
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def main() -> None:
    names = sys.argv[1:] or list(MADE)
    unknown = [name for name in names if name not in MADE]
    if unknown:
        sys.exit(f"no picture {unknown[0]}; there are {', '.join(MADE)}")
    browser = find()
    if not shutil.which("pngquant") or not browser:
        sys.exit("needs pngquant (Debian, Ubuntu: apt install pngquant) and a browser (scripts/browser.py)")
    with tempfile.TemporaryDirectory() as folder, RunningServer(Path(folder) / "data", command="demo") as server:
        with sync_playwright() as playwright:
            stage = Stage(playwright.chromium.launch(executable_path=browser, args=list(FLAGS)), server.url)
            for name in names:
                photograph(MADE[name](stage), PICTURES / f"{name}.png")
                stage.leave()


if __name__ == "__main__":
    main()
