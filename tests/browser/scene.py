"""The scene editor as a person uses it, and what it really draws (`window.__scene`, demo/src/app/probe.ts)."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

#: Near enough for 32-bit floats of the vertex buffers.
NEAR = 1e-3


class Scene:
    """One window of the demo."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.find("ready").wait_for()
        self.wait("() => window.__scene?.still")

    def find(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def wait(self, condition: str, *arguments: Any) -> None:
        """Until a condition holds in the page, looked at once a frame."""
        self.page.wait_for_function(condition, arg=list(arguments))

    def ask(self, question: str, *arguments: Any) -> Any:
        return self.page.evaluate(question, list(arguments))

    def city(self, place: int) -> str:
        """The id of the n-th largest city."""
        name = self.find("cities").locator("button").nth(place).get_attribute("data-testid")
        assert name
        return name.removeprefix("city:")

    def select(self, test_id: str) -> None:
        """Clicks on something in the sidebar and lets the camera come to rest over it."""
        self.find(test_id).click()
        self.find("form").wait_for()
        self.wait("() => window.__scene.still")

    def slide(self, field: str, value: float) -> None:
        """Moves a slider and lets go."""
        self.find(f"slider:{field}").fill(str(value))

    def drawn(self, city: str) -> dict[str, Any]:
        """What the vertex buffers hold for an annotation."""
        found: dict[str, Any] = self.ask("([id]) => window.__scene.drawn(id)", city)
        return found

    def shows(self, city: str, name: str, value: Any) -> None:
        """Waits until the vertex buffers say so."""
        self.wait("([id, name, value]) => window.__scene.drawn(id)?.[name] === value", city, name, value)

    @property
    def version(self) -> int:
        return int(self.find("status").get_attribute("data-version") or 0)

    def settled(self) -> None:
        """Everything sent has been answered."""
        self.page.locator('[data-testid=status][data-connection=online][data-pending="0"]').wait_for()

    def up_to(self, version: int) -> None:
        self.wait("([v]) => Number(document.querySelector('[data-testid=status]').dataset.version) >= v", version)

    def point(self, path: str) -> dict[str, float]:
        """Where a point of a route is: lon and lat, and x and y on the canvas."""
        found: dict[str, float] = self.ask("([path]) => window.__scene.routePoint(path)", path)
        return found

    def point_shows(self, path: str, lon: float, lat: float) -> None:
        near = "(p) => p && Math.hypot(p.lon - lon, p.lat - lat) < near"
        condition = f"([path, lon, lat, near]) => ({near})(window.__scene.routePoint(path))"
        self.wait(condition, path, lon, lat, NEAR)

    def pixel(self, city: str) -> list[int]:
        """The colour of the canvas in the middle of an annotation."""
        look = "([id]) => { const p = window.__scene.project(id); return window.__scene.pixel(p.x, p.y).slice(0, 3); }"
        color: list[int] = self.ask(look, city)
        return color
