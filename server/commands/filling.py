"""Rows of documents into the tables of a project that is there: everything is checked before the first is sent."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .projects import CannotImport, Server

#: How often a batch is sent again before we give up, and how long we wait before each.
TRIES, WAIT_SECONDS = 6, 1.0
MOST_CHANGES, MOST_BYTES = 1000, 1 << 20
WHOLE_CHANGES, WHOLE_BYTES = 150_000, 24 << 20
SHOWN = 20
#: Forms that can hold a whole project.
WHOLE = frozenset({"json", "zip"})


def fill(server: Server, file: Path, into: str, table: str | None, op: str) -> None:
    """Fill one table, or without one all that a document names. `op`: `i` inserts, `s` updates what is there too.
    Raises CannotImport, DocumentInvalid, Remote."""
    from ..schema.contract import Contract
    from ..transfer import documents

    form = documents.FORMS.get(file.suffix.lower())
    if form is None:
        raise CannotImport(f"{file}: its name has to end in {', '.join(documents.FORMS)}")
    if table is None and form not in WHOLE:
        raise CannotImport("say --table: only a .json file, or a .zip of CSV files, can be a whole project")
    if table is not None and form == "zip":
        raise CannotImport("leave --table out: each file of the archive is a table")
    project = server.project(into)["id"]
    contract = Contract.parse(server.ask("GET", f"/v1/projects/{project}/contract")["document"])
    new = documents.NewIds(lambda: secrets.token_hex(16), lambda: secrets.randbits(52))
    found = documents.items(file.read_bytes(), form, contract, table, op, new)
    limits = (WHOLE_CHANGES, WHOLE_BYTES) if table is None else (MOST_CHANGES, MOST_BYTES)
    _push(server, project, found, list(documents.batches(found, *limits)))


def _push(server: Server, project: str, found: list[Any], batches: list[list[Any]]) -> None:
    """Each batch is a mutation with an id, so that one whose answer is lost is sent again and has one effect."""
    from ..transfer import documents
    from ..transfer.faults import DocumentFault

    client, done, version = secrets.token_hex(16), 0, 0
    with _progress() as progress:
        bar = progress.add_task("writing", total=len(found))
        for number, batch in enumerate(batches, 1):
            body = {"id": [client, number], "changes": [change for item in batch for change in item.changes]}
            status, answer = server.push(project, body, TRIES, WAIT_SECONDS)
            if status != 200:
                error = answer["error"]
                faults = documents.places(batch, error["errors"]) or [DocumentFault("", error["message"])]
                rest = "nothing was written" if not done else f"{done:,} of {len(found):,} rows were written before it"
                listed = "\n  ".join(map(str, faults[:SHOWN]))
                raise CannotImport(f"the server refused ({error['code']}), and {rest}:\n  {listed}")
            done, version = done + len(batch), answer["version"]
            progress.update(bar, completed=done)
    click.echo(f"{done:,} rows, version {version}")


def _progress() -> Progress:
    counted = TextColumn("{task.completed:,.0f} rows")
    columns = (TextColumn("{task.description:>9}"), BarColumn(), counted, TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
