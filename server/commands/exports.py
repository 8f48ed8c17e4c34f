"""`sharelite export`: a project of a running server as a file that other programs read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from .projects import Server, says_where

FORMS = ("db", "sql", "json", "csv", "ndjson")
ENDINGS = {"": "db", "sqlite": "db", "sqlite3": "db", "db3": "db", "jsonl": "ndjson", "zip": "csv"}


@click.command("export")
@click.argument("project")
@click.option("--format", "form", type=click.Choice(FORMS), help="Default: by the ending of -o, else db.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Default: as the server names it."
)
@says_where
def export(project: str, form: str | None, output: Path | None, url: str, token: str) -> None:
    """Write PROJECT (id or name) to a file: a clean SQLite database, SQL text, its tree as JSON, CSV (a ZIP archive of
    several tables), or its log with one commit in a line.

    \b
    Examples:
      sharelite export plan
      sharelite export plan -o plan.json
      sharelite export plan --format csv -o plan.zip
      sharelite export plan --format ndjson -o history.ndjson
    """
    chosen = form or _by_ending(output)
    with Server(url, token) as server, _progress() as progress:
        bar = progress.add_task("receiving", total=None)
        found = server.project(project)
        with server.stream(f"/v1/projects/{found['id']}/export?format={chosen}") as answer:
            target = output or Path(_named(answer.headers.get("content-disposition", ""), f"{found['id']}.{chosen}"))
            beside = target.with_name(target.name + ".part")
            try:
                with open(beside, "wb") as file:
                    for piece in answer.pieces():
                        file.write(piece)
                        progress.advance(bar, len(piece))
                os.replace(beside, target)
            finally:
                beside.unlink(missing_ok=True)
            left = json.loads(answer.headers.get("sharelite-left-out", "[]"))
    click.echo(str(target))
    for trigger in left:
        click.echo(f"left out: trigger {trigger['trigger']}: {trigger['reason']}", err=True)


def _by_ending(output: Path | None) -> str:
    """Raises UsageError where an ending says nothing: the file would be another one than its name says."""
    ending = output.suffix.lower().lstrip(".") if output is not None else ""
    if ending in FORMS:
        return ending
    if ending not in ENDINGS:
        raise click.UsageError(f"no form of an export ends with .{ending}: say by --format which one is meant")
    return ENDINGS[ending]


def _named(disposition: str, otherwise: str) -> str:
    """The file name that the server proposes, without any path in it."""
    from urllib.parse import unquote

    name = unquote(disposition.rpartition("filename*=UTF-8''")[2])
    plain = "".join(letter for letter in name if letter.isprintable() and letter not in '/\\:*?"<>|')
    return plain.lstrip(".") or otherwise


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
