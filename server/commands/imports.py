"""`sharelite import`: files into a running server, as new projects or into tables that are there."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import ShareliteError
from .projects import Remote, Server

MAGIC = b"SQLite format 3\x00"
LOOK_SECONDS = 0.2
#: How often a piece is sent again before we give up, and how long we wait before each.
TRIES, WAIT_SECONDS = 6, 1.0
MOST_CHANGES, MOST_BYTES = 1000, 1 << 20
WHOLE_CHANGES, WHOLE_BYTES = 150_000, 24 << 20
SHOWN = 20


class CannotImport(ShareliteError):
    code = "cannot_import"

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Of the new project; the file's name if not given.")
@click.option("--public", is_flag=True, help="Everybody may read it.")
@click.option("--into", help="A project that is there (id or name): its rows come from the file.")
@click.option("--table", help="With --into: the table; without it the file is a whole project as a JSON tree.")
@click.option("--replace", is_flag=True, help="With --into: rows whose key is there are updated, not refused.")
@click.option("--url", "--server", "url", default="http://127.0.0.1:8080", envvar="SHARELITE_URL", show_default=True)
@click.option("--token", envvar="SHARELITE_TOKEN", show_envvar=True, help="Better in the environment than here.")
def import_(
    file: Path, name: str | None, public: bool, into: str | None, table: str | None, replace: bool, url: str, token: str
) -> None:
    """Make a project of a SQLite file, or fill tables from CSV, JSON, NDJSON or GeoJSON.

    Of a SQLite file every plain table comes along with its rows, keys, references and types as far as they hold; what
    does not is listed. An import that was interrupted goes on where it stopped when it is asked for again.

    \b
    Examples:
      sharelite import places.db
      sharelite import places.gpkg --name places --server https://data.example
      sharelite import cities.csv --into plan --table annotation
      sharelite import points.geojson --into plan --table annotation --replace
      sharelite import plan.json --into plan
    """
    with Server(url, token) as server:
        with open(file, "rb") as opened:
            is_database = opened.read(16) == MAGIC
        if into is not None:
            if is_database:
                raise CannotImport("a SQLite file becomes a project of its own: leave --into out")
            _fill(server, file, into, table, "s" if replace else "i")
        elif is_database:
            _make(server, file, name or file.stem, public)
        else:
            raise CannotImport(f"{file} is not a SQLite file; to fill a table of a project say --into and --table")


def _make(server: Server, file: Path, name: str, public: bool) -> None:
    with _settled(file) as whole, _progress() as progress:
        size = whole.stat().st_size
        bar = progress.add_task("reading", total=size)
        digest = _hash(whole, lambda read: progress.update(bar, completed=read))
        found = _begun(server, name, size, public)
        progress.update(bar, description="sending", completed=found["received"])
        found = _send(server, whole, found, lambda sent: progress.update(bar, completed=sent))
        found = server.ask("POST", f"/v1/imports/{found['id']}/finish", {"hash": digest})
        while found["state"] == "working":
            at = found["progress"] or {"phase": "working", "done": 0, "of": 0}
            progress.update(bar, description=at["phase"], completed=at["done"], total=at["of"] or None)
            time.sleep(LOOK_SECONDS)
            found = server.ask("GET", f"/v1/imports/{found['id']}")
    if found["state"] != "ready":
        raise CannotImport(f"{file}: {found['problem']}")
    _tell(found)


@contextmanager
def _settled(file: Path) -> Iterator[Path]:
    """The file; where a write-ahead log lies beside it, a consistent copy of both."""
    beside = file.with_name(file.name + "-wal")
    if not beside.exists() or not beside.stat().st_size:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="sharelite-") as folder:
        copy = Path(folder) / "copy.db"
        source, target = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True), sqlite3.connect(copy)
        with source, target:
            source.backup(target)
        source.close()
        target.close()
        yield copy


def _begun(server: Server, name: str, size: int, public: bool) -> dict[str, Any]:
    """One that was interrupted, or a new one."""
    known: list[dict[str, Any]] = server.ask("GET", "/v1/imports")["imports"]
    for one in known:
        if (one["name"], one["size"], one["state"]) == (name, size, "receiving"):
            return one
    made: dict[str, Any] = server.ask("POST", "/v1/imports", {"name": name, "size": size, "public": public})
    return made


def _send(server: Server, file: Path, found: dict[str, Any], told: Any) -> dict[str, Any]:
    """Send what has not come yet. A connection that is lost is tried again from where the server is."""
    failures = 0
    with open(file, "rb") as opened:
        while found["received"] < found["size"]:
            opened.seek(found["received"])
            piece = opened.read(found["piece"])
            try:
                found = server.put(f"/v1/imports/{found['id']}?offset={found['received']}", piece)
                failures = 0
            except Remote:
                failures += 1
                if failures > TRIES:
                    raise
                time.sleep(WAIT_SECONDS * failures)
                found = server.ask("GET", f"/v1/imports/{found['id']}")
            told(found["received"])
    return found


def _tell(found: dict[str, Any]) -> None:
    """The new project's id on the output; what came and what did not beside it."""
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    rows, left = found["report"]["rows"], found["report"]["left"]
    out.print(f"[bold]{found['name']}[/]: {len(rows):,} tables, {sum(rows.values()):,} rows")
    kinds = Counter(each["kind"] for each in left)
    if left:
        out.print(f"Not as it was: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}", style="dim")
    for each in left[:SHOWN]:
        out.print(f"  {each['kind']} {each['name']}: {each['reason']}", style="dim", markup=False)
    if len(left) > SHOWN:
        out.print(f"  ... and {len(left) - SHOWN} more", style="dim")
    click.echo(found["project"])


def _fill(server: Server, file: Path, into: str, table: str | None, op: str) -> None:
    from ..schema.contract import Contract
    from ..transfer import documents

    form = documents.FORMS.get(file.suffix.lower())
    if form is None:
        raise CannotImport(f"{file}: its name has to end in {', '.join(documents.FORMS)}")
    if table is None and form != "json":
        raise CannotImport("say --table: only a .json file can be a whole project")
    project = server.project(into)["id"]
    contract = Contract.parse(server.ask("GET", f"/v1/projects/{project}/contract")["document"])
    new = documents.NewIds(lambda: secrets.token_hex(16), lambda: secrets.randbits(52))
    found = documents.items(file.read_bytes(), form, contract, table, op, new)
    limits = (WHOLE_CHANGES, WHOLE_BYTES) if table is None else (MOST_CHANGES, MOST_BYTES)
    _push(server, project, found, list(documents.batches(found, *limits)))


def _push(server: Server, project: str, found: list[Any], batches: list[list[Any]]) -> None:
    """Each batch is a mutation with an id, so that one whose answer is lost is sent again and has one effect."""
    from ..transfer import documents

    client, done, version = secrets.token_hex(16), 0, 0
    with _progress(rows=True) as progress:
        bar = progress.add_task("writing", total=len(found))
        for number, batch in enumerate(batches, 1):
            body = {"id": [client, number], "changes": [change for item in batch for change in item.changes]}
            status, answer = server.push(project, body, TRIES, WAIT_SECONDS)
            if status != 200:
                error = answer["error"]
                faults = documents.places(batch, error["errors"]) or [documents.DocumentFault("", error["message"])]
                rest = "nothing was written" if not done else f"{done:,} of {len(found):,} rows were written before it"
                listed = "\n  ".join(map(str, faults[:SHOWN]))
                raise CannotImport(f"the server refused ({error['code']}), and {rest}:\n  {listed}")
            done, version = done + len(batch), answer["version"]
            progress.update(bar, completed=done)
    click.echo(f"{done:,} rows, version {version}")


def _hash(path: Path, told: Any) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(4 << 20):
            found.update(piece)
            told(file.tell())
    return found.hexdigest()


def _progress(rows: bool = False) -> Progress:
    counted = TextColumn("{task.completed:,.0f} rows") if rows else DownloadColumn(binary_units=True)
    columns = (TextColumn("{task.description:>9}"), BarColumn(), counted, TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
