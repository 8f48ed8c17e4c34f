"""Files in and out: importing PROJ's database and a file of 200 MB, exporting it again, and the memory that takes."""

from __future__ import annotations

import asyncio
import io
import os
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import httpx
import pyproj

from sharelite.transfer import process
from tests.carrying import PATIENCE, upload
from tests.running import RunningServer

from .figure import Bench, Figure
from .images import CONTRACT

MB = 1e6
SIZE = 200 * MB
FORMS = ("db", "sql", "json", "csv")
KINDS = ("box", "line", "label", "sphere")


def measure(bench: Bench) -> list[Figure]:
    proj = Path(pyproj.datadir.get_data_dir()) / "proj.db"
    big = large(bench.folder / "large.db")
    with RunningServer(bench.data()) as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
        smalls = tuple(imported(http, proj.read_bytes(), f"proj {run}")[1] for run in range(bench.runs))
        project, _ = imported(http, big.read_bytes(), "large")
        exports = {form: [exported(http, project, form) for _ in range(bench.runs)] for form in FORMS}
        log = written(http)
        logs = [exported(http, log, "ndjson") for _ in range(bench.runs)]
    reads = [asyncio.run(read(big, bench.folder / f"base-{run}.db")) for run in range(bench.runs)]
    size = big.stat().st_size / MB
    return [
        Figure("import of proj.db (9 MB), upload included", "s", smalls, at_most=10),
        Figure(f"import of a file of {size:,.0f} MB", "MB/s", tuple(size / each[0] for each in reads), at_least=15),
        Figure("memory of an import of 185 MB", "MiB", tuple(each[1] for each in reads), at_most=512),
        Figure("export of it as a database", "MB/s", tuple(exports["db"]), at_least=50),
        Figure("export of it as SQL text", "MB/s", tuple(exports["sql"]), at_least=50),
        Figure("export of it as a JSON tree", "MB/s", tuple(exports["json"]), at_least=50),
        Figure("export of it as CSV, before it is packed", "MB/s", tuple(exports["csv"]), at_least=50),
        Figure("export of a log of 100 MB as NDJSON", "MB/s", tuple(logs), at_least=50),
    ]


def large(path: Path) -> Path:
    """A scene such as people have: many narrow rows with texts and numbers, and some documents with pictures."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode=OFF").fetchall()
    connection.execute(
        "CREATE TABLE node(id INTEGER PRIMARY KEY, parent INTEGER, name TEXT NOT NULL, kind VARCHAR(20), x REAL, "
        "y REAL, z REAL, color TEXT, width FLOAT, visible BOOLEAN, note TEXT, changed DATETIME);"
        "CREATE INDEX by_parent ON node(parent); CREATE TABLE document(id TEXT PRIMARY KEY, body TEXT, picture BLOB)"
    )
    with connection:
        connection.executemany("INSERT INTO node VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", nodes(780_000))
        connection.executemany("INSERT INTO document VALUES(?,?,?)", documents(13_000))
    connection.close()
    return path


def nodes(count: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(1)
    for id in range(1, count):
        at = chance.random() * 1000, chance.random() * 1000, chance.random() * 10
        color, note = f"#{chance.randrange(1 << 24):06x}", "some longer note about this thing " * chance.randrange(4)
        yield (
            id,
            id // 10 or None,
            f"node {id} of the scene",
            chance.choice(KINDS),
            *at,
            color,
            2.5,
            1,
            note,
            "2026-01-01",
        )


def documents(count: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(2)
    return ((f"document {number}", "the text of a document " * 50, chance.randbytes(2000)) for number in range(count))


def imported(http: httpx.Client, content: bytes, name: str) -> tuple[str, float]:
    """The project, and seconds from the first byte to the moment in which it is there."""
    start = time.perf_counter()
    found = upload(http, content, name, 8 << 20)
    while found["state"] == "working":
        time.sleep(0.02)
        found = http.get(f"/v1/imports/{found['id']}").json()
    assert found["state"] == "ready", found["problem"]
    return str(found["project"]), time.perf_counter() - start


def written(http: httpx.Client) -> str:
    """A project with a history of about 100 MB, in commits of 1,000 rows."""
    made = http.post("/v1/projects", json={"name": f"log {time.monotonic()}", "contract": CONTRACT}).raise_for_status()
    project = str(made.json()["id"])
    for first in range(0, 250_000, 1000):
        rows = [["i", "note", [f"n{n}"], {"text": f"{n} {'x' * 370}"}] for n in range(first, first + 1000)]
        http.post(f"/v1/projects/{project}/mutations", json={"changes": rows}).raise_for_status()
    return project


def exported(http: httpx.Client, project: str, form: str) -> float:
    """MB/s of an export, from asking to its last byte; of an archive what is in it counts."""
    start, pieces = time.perf_counter(), []
    with http.stream("GET", f"/v1/projects/{project}/export", params={"format": form}) as answer:
        for piece in answer.iter_raw():
            pieces.append(piece)
    took = time.perf_counter() - start
    assert answer.status_code == 200
    size = sum(map(len, pieces))
    if form == "csv":
        size = sum(each.file_size for each in zipfile.ZipFile(io.BytesIO(b"".join(pieces))).infolist())
    return size / MB / took


async def read(source: Path, target: Path) -> tuple[float, float]:
    """Seconds that the reading process takes for a file, and the MiB that it and its workers hold together at most."""
    start, peak = time.perf_counter(), 0.0
    work = asyncio.create_task(process.built(source, target, lambda phase, done, of: None))
    while not work.done():
        peak = max(peak, held())
        await asyncio.sleep(0.05)
    await work
    return time.perf_counter() - start, peak


def held() -> float:
    """Resident MiB of all processes below this one; pages that they share count once for each (Linux)."""
    parents: dict[int, int] = {}
    sizes: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            sizes[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return sum(size for pid, size in sizes.items() if pid != os.getpid() and below(pid, parents))


def below(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False
