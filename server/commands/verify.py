"""`sharelite verify`: a data directory, checked from its bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..storage.lock import Lock
from ..verifying import Finding, Verifier


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--replay", is_flag=True, help="Also make each database anew from its log, and compare (takes long).")
def verify(data: Path, replay: bool) -> None:
    """Check the data directory DATA, which no server may have open.

    Every entry of every log is held against its digest, every database against SQLite's own check, its row digest and
    its log, and every chunk of every image is hashed again. Nothing is changed. Ends with status 1 if something is
    not as it was written, and says which versions it touches.

    \b
    Examples:
      sharelite verify data
      sharelite verify data --replay
    """
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Lock(data), Progress(*columns, console=out, transient=True) as progress:
        bar: list[TaskID] = []

        def told(what: str | None, steps: int) -> None:
            if what is not None:
                bar[:] = [progress.add_task(what, total=steps)]
            else:
                progress.advance(bar[0], steps)

        verifier = Verifier(data, told)
        findings = verifier.run(replay)
    for finding in findings:
        click.echo(line(finding))
    if findings:
        out.print(f"[bold red]{len(findings)} of them[/]: {escape(str(data))} is not as it was written")
        sys.exit(1)
    spare = f"; {verifier.unneeded} chunks are not needed and will go" if verifier.unneeded else ""
    out.print(f"[bold]{escape(str(data))}[/] is as it was written{spare}")


def line(finding: Finding) -> str:
    """One thing that is wrong, as people read it."""
    versions = ", ".join(map(str, finding.versions))
    touches = f" (touches version{'s' if len(finding.versions) > 1 else ''} {versions})" if versions else ""
    return f"{finding.project}: {finding.what}{touches}"
