"""`sharelite publish`: the newest image of a project as plain files for any static host."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ..app import create_app
from ..errors import Damaged, NotFound
from ..routes.house import House
from ..storage.files import Files
from ..storage.manifest import CHUNK, described
from .projects import Server, says_where

FORMAT = 1
LATEST = "latest.json"


@click.command()
@click.argument("project")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@says_where
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Take it from a data directory that no server has open, instead of from a server.",
)
def publish(project: str, folder: Path, url: str, token: str | None, data: Path | None) -> None:
    """Write the present version of PROJECT (id or name) into the folder DIR, for any static host or bucket.

    DIR gets a file <version>-<hash>.db, whose content never changes, and then latest.json, which names it. Files of
    earlier versions stay: remove them when no viewer has them open any more.

    \b
    Examples:
      sharelite publish "Harbour plan" public
      sharelite publish plan public --url https://sharelite.example
      sharelite publish plan public --data data
    """
    if data is None:
        with Server(url, token) as server:
            _from_server(server, project, folder)
    else:
        asyncio.run(_from_data(data, project, folder))


def _from_server(server: Server, project: str, folder: Path) -> None:
    found = server.project(project)
    server.ask("HEAD", f"/v1/projects/{found['id']}/db")
    image = server.ask("GET", f"/v1/projects/{found['id']}/image")
    with server.stream(image["url"]) as coming:
        write(folder, found["name"], image, coming.pieces())


async def _from_data(data: Path, project: str, folder: Path) -> None:
    app = create_app(data)
    async with app.running():
        house: House = app.state.house
        catalog = house.catalog
        record = next((each for each in catalog.list() if each.id == project), None) or catalog.by_name(project)
        if record is None:
            raise NotFound("project", project)
        async with catalog.hold(record.id) as opened:
            image = await opened.image()
        manifest, read = image.manifest, catalog.gallery.chunks.read
        pieces = (read(manifest.chunk(index)) for index in range(manifest.count()))
        write(folder, record.name, described(image, ""), pieces)


def write(folder: Path, name: str, image: dict[str, Any], pieces: Iterable[bytes]) -> None:
    """The file, checked on its way, and then the page that names it: whoever reads that finds the file. Raises Damaged
    where what came is not the image."""
    files, file = Files(), f"{image['version']}-{image['hash']}.db"
    files.make_folder(folder)
    path, beside = folder / file, folder / f".{file}.new"
    with _progress(file, image["size"]) as advance, beside.open("wb") as out:
        digests = hashlib.sha256()
        size = 0
        for chunk in _chunks(pieces):
            digests.update(hashlib.sha256(chunk).digest())
            size += len(chunk)
            out.write(chunk)
            advance(len(chunk))
    if digests.hexdigest() != image["hash"] or size != image["size"]:
        beside.unlink()
        raise Damaged(str(path), "what came is not the image that was announced; try again")
    files.sync(beside)
    files.rename(beside, path)
    files.sync_folder(folder)
    members = ("project", "epoch", "version", "seq", "size", "page_size", "hash")
    latest = {"format": FORMAT, "name": name, "url": file, **{member: image[member] for member in members}}
    files.write(folder / LATEST, json.dumps(latest, indent=2).encode() + b"\n")
    click.echo(str(path))


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of 64 KiB, the last one shorter."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= CHUNK:
            yield bytes(waiting[:CHUNK])
            del waiting[:CHUNK]
    if waiting:
        yield bytes(waiting)


@contextmanager
def _progress(file: str, size: int) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(file[:20], total=size)
        yield lambda count: progress.advance(bar, count)
