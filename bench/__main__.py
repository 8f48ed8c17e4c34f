"""`make bench`: every figure, one table on the screen and in bench/README.md.

    python -m bench [--runs N] [--seconds S] [--history N] [--full] [--write] [figure ...]

What is measured with the usual thoroughness, or with --write, takes the place of what bench/README.md had of it.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import (
    browser,
    carrying,
    cell,
    demo,
    driver,
    editor,
    fanout,
    idle,
    images,
    opening,
    projects,
    raft,
    sequential,
    size,
    sql,
    throughput,
    tokens,
    viewer,
)
from .figure import HEADINGS, Bench, Figure

FIGURES = {
    "sequential": sequential.measure,
    "throughput": throughput.measure,
    "raft": raft.measure,
    "cell": cell.measure,
    "sql": sql.measure,
    "driver": driver.measure,
    "fanout": fanout.measure,
    "images": images.measure,
    "tokens": tokens.measure,
    "idle": idle.measure,
    "opening": opening.measure,
    "projects": projects.measure,
    "browser": browser.measure,
    "carrying": carrying.measure,
    "demo": demo.measure,
    "editor": editor.measure,
    "size": size.measure,
    "viewer": viewer.measure,
}
PAGE = Path(__file__).parent / "README.md"
COLUMNS = (*HEADINGS, "on")
MARKERS = ("<!-- table -->\n", "<!-- end of table -->")


def main() -> int:
    usual = Bench(Path())
    options = argparse.ArgumentParser(prog="python -m bench", description="Measures the figures of Sharelite.")
    options.add_argument("figures", nargs="*", metavar="figure", help=f"only these: {', '.join(FIGURES)}")
    options.add_argument("--runs", type=int, default=usual.runs)
    options.add_argument("--seconds", type=float, default=usual.seconds, help="length of a throughput run")
    options.add_argument("--history", type=int, default=usual.history, help="commits of the project with a past")
    options.add_argument("--projects", type=int, default=usual.projects, help="projects of a node that has many")
    options.add_argument("--megabytes", type=int, default=usual.megabytes, help="of the project with images")
    options.add_argument("--full", action="store_true", help="a node that joins a cell lacks 1 GB instead of 200 MB")
    options.add_argument("--write", action="store_true", help="write it down, although it is less than usual")
    chosen = options.parse_args()
    asked = (chosen.runs, chosen.seconds, chosen.history, chosen.projects, chosen.megabytes, chosen.full)
    with tempfile.TemporaryDirectory(prefix="sharelite-bench-") as folder:
        bench = Bench(Path(folder), *asked)
        figures = [figure for name in chosen.figures or FIGURES for figure in measured(name, bench)]
    show(figures)
    if chosen.write or asked[:-1] == (usual.runs, usual.seconds, usual.history, usual.projects, usual.megabytes):
        write(figures)
    return 1 if any(figure.verdict == "no" for figure in figures) else 0


def measured(name: str, bench: Bench) -> Sequence[Figure]:
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    return FIGURES[name](bench)


def show(figures: Sequence[Figure]) -> None:
    table = Table(*HEADINGS, title=machine())
    for figure in figures:
        table.add_row(*figure.cells())
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def write(figures: Sequence[Figure]) -> None:
    """Puts the rows in the place of those of the same name in bench/README.md; new ones come last."""
    head, rest = PAGE.read_text().split(MARKERS[0])
    tail = rest.split(MARKERS[1])[1]
    rows = {row[0]: row for line in rest.splitlines() if len(row := cells(line)) == len(COLUMNS)}
    del rows[COLUMNS[0]], rows["---"]
    rows |= {figure.name.strip(): (*figure.cells(), str(datetime.date.today())) for figure in figures}
    lines = [f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows.values())]
    table = f"Measured on {machine()}.\n\n" + "\n".join(lines) + "\n\n"
    PAGE.write_text(head + MARKERS[0] + table + MARKERS[1] + tail)


def cells(line: str) -> tuple[str, ...]:
    """Those of a line of a table."""
    return tuple(cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|"))


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
