"""What the scene editor fetches, and when."""

from __future__ import annotations

from collections import Counter

from playwright.sync_api import Browser

from tests.browser.conftest import PATIENCE
from tests.browser.scene import Scene
from tests.running import RunningServer

#: What no script has to ask for: the page itself names it.
EARLY = (".wasm", ".png", ".bin")
ENTRIES = "() => performance.getEntriesByType('resource').map((entry) => [entry.name, entry.initiatorType])"


def test_what_is_needed_soon_is_asked_for_with_the_page_and_nothing_twice(
    chromium: Browser, demo: RunningServer
) -> None:
    page = chromium.new_context().new_page()
    page.set_default_timeout(PATIENCE)
    asked: Counter[str] = Counter()
    page.on("request", lambda request: asked.update([request.url]))
    page.goto(f"{demo.url}/demo/")
    Scene(page)
    kinds = {name.rsplit("/", 1)[-1]: kind for name, kind in page.evaluate(ENTRIES)}
    assert {kind for name, kind in kinds.items() if name.endswith(EARLY)} == {"link"}
    assert {kind for name, kind in kinds.items() if name.startswith("sqlite-wasm")} == {"other"}, "a link, not a script"
    assert [url for url, times in asked.items() if times > 1] == []
    page.context.close()
