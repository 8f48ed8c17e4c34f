"""In headless Chromium: a slider in an editor with panels and a view of 25,000 points, a rebase, and a hundred cursors.

The page runs the client that the server hands out; editor.js and cursors.js time what a person would feel.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from scripts.browser import FLAGS, find
from tests.running import RunningServer

from .figure import Bench, Figure
from .raw import Wire, connect, new_client, text_frame

FOLDER = Path(__file__).parent
EDITOR, CURSORS = ((FOLDER / name).read_text() for name in ("editor.js", "cursors.js"))
ENGINES = ("sqlite-wasm", "sqljs")
ROWS = 25_000
BATCH = 2_500
PROPERTIES = 110
#: Text properties of the forms that are typed into.
FORMS = (100, 500)
PEOPLE = 100
RATE = 30
SECONDS = 6


def table(properties: dict[str, Any]) -> dict[str, Any]:
    row = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, **properties}}
    return {"type": "array", "items": row}


CONTRACT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "item": table({f"p{n}": {"type": "number", "default": 0} for n in range(PROPERTIES)}),
        **{
            f"form{count}": table({f"t{n}": {"type": "string", "default": ""} for n in range(count)}) for count in FORMS
        },
    },
}


def measure(bench: Bench) -> list[Figure]:
    path = find()
    assert path, "no browser; `make install` finds or installs one with --for-tests"
    with RunningServer(bench.data()) as server, sync_playwright() as playwright:
        project = items(server)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        figures = [figure for engine in ENGINES for figure in edited(bench, browser, server, project, engine)]
        figures += cursors(bench, browser, server, project)
        browser.close()
    return figures


def items(server: RunningServer) -> str:
    project, client = server.create("editor", CONTRACT), new_client()
    for start in range(0, ROWS, BATCH):
        rows = [["i", "item", [f"k{n}"], {"p3": n / 2, "p4": n / 4}] for n in range(start, start + BATCH)]
        status, answer = server.ask(
            "POST", f"/v1/projects/{project}/mutations", {"id": [client, start // BATCH + 1], "changes": rows}
        )
        assert status == 200, answer
    return project


def edited(bench: Bench, browser: Browser, server: RunningServer, project: str, engine: str) -> list[Figure]:
    runs = [run(browser, server, EDITOR, [project, engine, ROWS, list(FORMS)]) for _ in range(bench.runs)]

    def each(*names: str) -> tuple[float, ...]:
        return tuple(run[names[0]] if len(names) == 1 else run[names[0]][names[1]] for run in runs)

    what = f"{engine}: slider at 120/s, {PROPERTIES} properties in 3 panels, {ROWS:,} points"
    return [
        Figure(f"{what}, p50", "ms", each("slider", "p50"), at_most=2),
        Figure(f"{what}, p99", "ms", each("slider", "p99"), at_most=8),
        Figure(f"{engine}: messages to the server in 300 updates", "", each("silent"), at_most=0),
        Figure(f"{engine}: commits of 300 updates and a save", "", each("commits"), at_most=1, at_least=1),
        Figure(f"{engine}: properties in that commit", "", each("properties"), at_most=1, at_least=1),
        Figure(f"{engine}: rebase of 50 pending over 100 remote, p50", "ms", each("rebase", "p50"), at_most=5),
        *(
            Figure(
                f"{engine}: keystroke to 3 panels of a form of {count} properties, p99",
                "ms",
                tuple(run["forms"][str(count)]["p99"] for run in runs),
                at_most=16,
            )
            for count in FORMS
        ),
    ]


def run(browser: Browser, server: RunningServer, script: str, arguments: list[Any]) -> Any:
    page = browser.new_page()
    page.goto(f"{server.url}/healthz")
    result = page.evaluate(script, arguments)
    page.close()
    return result


def cursors(bench: Bench, browser: Browser, server: RunningServer, project: str) -> list[Figure]:
    """One page among a hundred people who move their cursors: how old a position is when the page hears of it."""
    runs = []
    for _ in range(bench.runs):
        others = threading.Thread(target=lambda: asyncio.run(move(server.port, project, SECONDS + 2.0)))
        others.start()
        time.sleep(1)
        runs.append(run(browser, server, CURSORS, [project, SECONDS]))
        others.join()
    what = f"{PEOPLE} people's cursors at {RATE} Hz"
    return [
        Figure(f"{what}, as one page hears them, p95", "ms", tuple(run["p95"] for run in runs), at_most=50),
        Figure(f"{what}: people seen", "", tuple(run["people"] for run in runs), at_least=PEOPLE - 1),
        Figure(f"{what}: versions written", "", tuple(run["written"] for run in runs), at_most=0),
    ]


async def move(port: int, project: str, seconds: float) -> None:
    wires = [await connect(port, project, new_client()) for _ in range(PEOPLE - 1)]
    for wire in wires:
        wire.on_message = lambda _: None
    end = time.monotonic() + seconds
    await asyncio.gather(*(wander(wire, end, at / PEOPLE) for at, wire in enumerate(wires)))
    for wire in wires:
        wire.hang_up()


async def wander(wire: Wire, end: float, phase: float) -> None:
    await asyncio.sleep(phase / RATE)
    while time.monotonic() < end:
        state = {"at": time.time() * 1000, "x": time.monotonic() % 1}
        wire.transport.write(text_frame(json.dumps({"type": "presence", "state": state}).encode()))
        await asyncio.sleep(1 / RATE)
