"""`sharelite import`: files into a running server, as new projects or into tables that are there."""

from __future__ import annotations

import hashlib
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

from .filling import fill
from .projects import CannotImport, Remote, Server, says_where
from .replaying import replay
from .triggers import stored, take

MAGIC = b"SQLite format 3\x00"
LOOK_SECONDS = 0.2
#: How often a piece is sent again before we give up, and how long we wait before each.
TRIES, WAIT_SECONDS = 6, 1.0
SHOWN = 20
#: Names that a line tells.
NAMED = 5


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Of the new project; the file's name if not given.")
@click.option("--public", is_flag=True, help="Everybody may read it.")
@click.option("--into", help="A project that is there (id or name): its rows come from the file.")
@click.option("--table", help="With --into: the table; without it the file is a whole project as a JSON tree.")
@click.option("--triggers", is_flag=True, help="Of a SQLite file: take its triggers along, as far as a project can.")
@click.option("--replace", is_flag=True, help="With --into: rows whose key is there are updated, not refused.")
@says_where
def import_(
    file: Path,
    name: str | None,
    public: bool,
    into: str | None,
    table: str | None,
    triggers: bool,
    replace: bool,
    url: str,
    token: str,
) -> None:
    """Make a project of a SQLite file, or fill tables from CSV, JSON, NDJSON or GeoJSON.

    Of a SQLite file every plain table comes along with its rows, keys, references and types as far as they hold; what
    does not is listed. An import that was interrupted goes on where it stopped when it is asked for again.

    What `sharelite export` writes can be read again: .db and .sql as new projects, .ndjson as a new project with the
    same history, .json and .zip (CSV) into a new project of the same contract.

    \b
    Examples:
      sharelite import places.db
      sharelite import places.gpkg --name places --server https://data.example
      sharelite import cities.csv --into plan --table annotation
      sharelite import points.geojson --into plan --table annotation --replace
      sharelite import plan.json --into plan
      sharelite import history.ndjson --name "plan again"
    """
    with Server(url, token) as server:
        with open(file, "rb") as opened:
            is_database = opened.read(16) == MAGIC
        ending = file.suffix.lower()
        if into is not None:
            if is_database:
                raise CannotImport("a SQLite file becomes a project of its own: leave --into out")
            fill(server, file, into, table, "s" if replace else "i")
        elif is_database:
            _make(server, file, name or file.stem, public, triggers)
        elif ending == ".sql":
            with _run(file) as database:
                _make(server, database, name or file.stem, public, triggers)
        elif ending in (".ndjson", ".jsonl"):
            replay(server, file, name or file.stem, public)
        else:
            raise CannotImport(f"{file} is not a SQLite file; to fill a table of a project say --into and --table")


@contextmanager
def _run(text: Path) -> Iterator[Path]:
    """SQL text as the database that it makes. It can reach no other file. Raises CannotImport."""
    with tempfile.TemporaryDirectory(prefix="sharelite-") as folder:
        database = Path(folder) / "text.db"
        connection = sqlite3.connect(database)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        try:
            connection.executescript(text.read_text("utf-8"))
        except (sqlite3.Error, UnicodeDecodeError) as problem:
            raise CannotImport(f"{text}: {problem}") from None
        finally:
            connection.close()
        yield database


def _make(server: Server, file: Path, name: str, public: bool, triggers: bool) -> None:
    with _settled(file) as whole, _progress() as progress:
        wanted = stored(whole) if triggers else []
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
    _tell(found, take(server, found["project"], wanted))


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


def _tell(found: dict[str, Any], triggers: dict[str, str | None]) -> None:
    """The new project's id on the output; what came and what did not beside it. `triggers`: those that were asked
    for, with the reason where one did not come."""
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    rows, left = found["report"]["rows"], []
    for each in found["report"]["left"]:
        if each["kind"] != "trigger" or each["name"] not in triggers:
            left.append(each)
        elif (reason := triggers[each["name"]]) is not None:
            left.append({**each, "reason": reason})
    out.print(f"[bold]{found['name']}[/]: {_some(len(rows), 'table')}, {_some(sum(rows.values()), 'row')}")
    kinds = Counter(each["kind"] for each in left)
    if left:
        out.print(f"Not as it was: {', '.join(_some(count, kind) for kind, count in kinds.items())}", style="dim")
    lines = _reasons(left)
    for line in lines[:SHOWN]:
        out.print(f"  {line}", style="dim", markup=False)
    if len(lines) > SHOWN:
        out.print(f"  ... and {len(lines) - SHOWN} more", style="dim")
    click.echo(found["project"])


def _hash(path: Path, told: Any) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(4 << 20):
            found.update(piece)
            told(file.tell())
    return found.hexdigest()


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description:>9}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _reasons(left: list[dict[str, str]]) -> list[str]:
    """A line for each kind of thing and reason, with the first names."""
    names: dict[tuple[str, str], list[str]] = {}
    for each in left:
        names.setdefault((each["kind"], each["reason"]), []).append(each["name"])
    return [
        f"{kind} {', '.join(found[:NAMED])}{f' and {len(found) - NAMED} more' if len(found) > NAMED else ''}: {reason}"
        for (kind, reason), found in names.items()
    ]


def _some(count: int, what: str) -> str:
    many = f"{what}es" if what.endswith("x") else f"{what}s"
    return f"{count:,} {what}" if count == 1 else f"{count:,} {many}"
