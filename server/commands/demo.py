"""`sharelite demo`: a server with the scene editor, and in it the world."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .. import logs
from ..app import Sharelite, create_app
from ..catalog import Catalog
from ..errors import ShareliteError
from ..model import Edit, Mutation
from ..project import Project
from ..routes.pages import STATIC, NotBuilt
from ..schema.bundle import SUFFIX, read
from ..schema.contract import Contract
from .demo_data import CITIES, Cities, batches, operations
from .demo_places import SCENE
from .listening import Server, configured
from .serve import PORT, bound, trouble_told

PROJECT, CONTRACT, BY = "World", "annotation", "demo"
BATCH = 1_000
#: Where the contract lies: in a checkout, or beside the built demo in a wheel.
CONTRACT_FILES = (
    Path(__file__).parents[2] / "contracts" / f"{CONTRACT}{SUFFIX}",
    STATIC / "demo" / f"{CONTRACT}{SUFFIX}",
)
LOADED = "SELECT 1 FROM scene WHERE title = ?"


class LoadFailed(ShareliteError):
    code = "load_failed"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return f"the demo's data was refused: {self.why}"


@click.command()
@click.argument("data", type=click.Path(path_type=Path, file_okay=False), default=Path("sharelite-demo"))
@click.option("--port", default=8080, show_default=True, type=PORT, help="0: any free one; the address is printed.")
@click.option("--browser/--no-browser", default=None, help="Open a browser. Default: where there is a screen.")
def demo(data: Path, port: int, browser: bool | None) -> None:
    """Serve the scene editor on the data directory DATA (default: sharelite-demo).

    The first time, a project World is filled with 25,000 real cities; from then on it is there at once, as it was left.

    \b
    Examples:
      sharelite demo
      sharelite demo /tmp/world --port 0 --no-browser
    """
    if not (STATIC / "demo" / "index.html").exists():
        raise NotBuilt("the demo")
    logs.set_up("rich" if sys.stderr.isatty() else "json", "WARNING")
    app, listener = create_app(data), bound("127.0.0.1", port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/demo/"

    def ready() -> None:
        Console(stderr=True, highlight=False).print(f"The demo is at [bold]{escape(address)}[/] (Ctrl-C ends it)")
        if has_screen() if browser is None else browser:
            webbrowser.open(address)

    with trouble_told(data), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, listener, ready))


async def _serve(app: Sharelite, listener: socket.socket, ready: Callable[[], None]) -> None:
    """The life of the data directory is around that of the listener; nobody is let in before the data is there."""
    async with app.running():
        await fill(app.state.house.catalog)
        server = Server(configured(app, lifespan="off"), ready, app.farewell)
        await server.serve(sockets=[listener])


async def fill(catalog: Catalog, cities: int = CITIES) -> str:
    """The id of the project with everything in it; what an interrupted earlier run left out is added.

    Raises LoadFailed, CitiesMissing.
    """
    contract = packaged_contract()
    await catalog.put_contract(CONTRACT, contract.document, BY)
    record = catalog.by_name(PROJECT) or await catalog.create(PROJECT, CONTRACT, BY)
    async with catalog.hold(record.id) as project:
        if not await project.read(lambda connection: connection.execute(LOADED, (SCENE["title"],)).fetchall()):
            await load(project, Cities(cities))
    return record.id


async def load(project: Project, cities: Cities) -> None:
    """Send everything along the road, a thousand rows to a commit. Safe to do again: rows that are there are set."""
    every = list(operations(cities))
    with progress() as bar:
        task = bar.add_task("Loading places", total=len(every))
        for part in batches(every, BATCH):
            outcome = await project.mutate(Mutation(BY, Edit(part), tag="load"))
            if outcome.refusal is not None:
                raise LoadFailed(outcome.refusal.message)
            bar.advance(task, len(part))


def packaged_contract() -> Contract:
    return read(next((path for path in CONTRACT_FILES if path.exists()), CONTRACT_FILES[-1]))


def progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def has_screen() -> bool:
    """Whether somebody sits here: at a terminal, not over ssh, and where windows can be opened."""
    windows = sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return windows and sys.stderr.isatty() and "SSH_CONNECTION" not in os.environ
