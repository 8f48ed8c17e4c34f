"""A history as `sharelite export --format ndjson` writes it, done again: a new project with the same versions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from .projects import CannotImport, Remote, Server

TRIES, WAIT_SECONDS = 6, 1.0


def replay(server: Server, file: Path, name: str, public: bool) -> None:
    """Make a project and push every commit of the file, each as one mutation; all of it or none of it.

    The whole file is looked through first. Who did what when is not done again: the commits are of whoever runs this,
    now. What an import of the same file left that was killed is gone on with. Raises CannotImport, Remote.
    """
    contract, newest = _looked_through(file)
    client = _digest(file, name)
    hidden = f"{name} ({client[:8]} is being imported)"
    made = _begun(server, hidden) or server.ask(
        "POST", "/v1/projects", {"name": hidden, "contract": contract, "public": False}
    )
    try:
        _push_all(server, made["id"], file, client, made["version"])
        version = server.ask("GET", f"/v1/projects/{made['id']}")["version"]
        if version != newest:
            raise CannotImport(f"{file}: done again, its {newest:,} commits made {version:,} versions")
        server.ask("PATCH", f"/v1/projects/{made['id']}", {"name": name, "public": public})
    except BaseException:
        with suppress(Remote):  # what went wrong first is what is told
            server.ask("DELETE", f"/v1/projects/{made['id']}")
        raise
    Console(stderr=True, highlight=False).print(f"[bold]{name}[/]: {newest:,} versions")
    click.echo(made["id"])


def _looked_through(file: Path) -> tuple[dict[str, Any], int]:
    """The contract that the history begins with, and its newest version. Raises CannotImport."""
    contract: dict[str, Any] | None = None
    version = 0
    for line, commit in _commits(file):
        version += 1
        if commit.get("v") != version:
            raise CannotImport(
                f"{file}, line {line}: version {version} is missing; a history is read from its beginning"
            )
        if "base" in commit:
            why = "begins with an imported file, whose rows are not in its log; export the project as .db"
            raise CannotImport(f"{file}, line {line}: this history {why}")
        if version == 1:
            contract = commit.get("contract")
        elif commit.get("kind") == "schema":
            why = "its tables are changed, which cannot be done again by edits; export the project as .db or .json"
            raise CannotImport(f"{file}, line {line}: here {why}")
    if not isinstance(contract, dict):
        raise CannotImport(f"{file} is no history of a project; to fill a table from it say --into and --table")
    return contract, version


def _digest(file: Path, name: str) -> str:
    """Who pushes this file as this project: the same one each time, so that nothing is done twice."""
    with open(file, "rb") as content:
        found = hashlib.file_digest(content, "sha256")
    found.update(name.encode())
    return found.hexdigest()[:32]


def _begun(server: Server, hidden: str) -> dict[str, Any] | None:
    """What an import of the same file left."""
    listed: list[dict[str, Any]] = server.ask("GET", "/v1/projects")["projects"]
    known = next((project for project in listed if project["name"] == hidden), None)
    if known is None:
        return None
    found: dict[str, Any] = server.ask("GET", f"/v1/projects/{known['id']}")
    text = f"going on behind version {found['version']:,}, where an import of this file was cut off"
    Console(stderr=True, highlight=False).print(text)
    return found


def _push_all(server: Server, project: str, file: Path, client: str, done: int) -> None:
    """Those behind the version that is there."""
    columns = (TextColumn("replaying"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("replaying", total=file.stat().st_size)
        for line, commit in _commits(file):
            if line <= done:
                progress.advance(bar, commit["bytes"])
                continue
            more = {"tag": commit["tag"]} if "tag" in commit else {}
            body = {"id": [client, line - 1], "changes": commit["changes"], **more}
            status, answer = server.push(project, body, TRIES, WAIT_SECONDS)
            if status != 200:
                raise CannotImport(f"{file}, line {line}: {answer['error']['message']}")
            progress.advance(bar, commit["bytes"])


def _commits(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number of the line and commit, with the bytes it takes. Raises CannotImport."""
    with open(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                commit = msgspec.json.decode(line)
            except msgspec.DecodeError as problem:
                raise CannotImport(f"{file}, line {number}: {problem}") from None
            if not isinstance(commit, dict) or not isinstance(commit.get("changes"), list):
                raise CannotImport(f"{file}, line {number}: is no commit; to fill a table say --into and --table")
            yield number, {**commit, "bytes": len(line)}
