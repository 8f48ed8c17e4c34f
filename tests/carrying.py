"""Files in and out of a server under test: what a client of the HTTP interface does, in a few lines."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import apsw
import httpx

PATIENCE = 120.0
PIECE = 1 << 20


def upload(http: httpx.Client, content: bytes, name: str, piece: int = PIECE) -> dict[str, Any]:
    """Begin, send, finish; the import as it is then."""
    made: dict[str, Any] = http.post("/v1/imports", json={"name": name, "size": len(content)}).raise_for_status().json()
    send(http, made["id"], content, 0, piece)
    finished = http.post(f"/v1/imports/{made['id']}/finish", json={"hash": hashlib.sha256(content).hexdigest()})
    found: dict[str, Any] = finished.raise_for_status().json()
    return found


def send(http: httpx.Client, name: str, content: bytes, start: int = 0, piece: int = PIECE) -> None:
    headers = {"content-type": "application/octet-stream"}
    for offset in range(start, len(content), piece):
        part = content[offset : offset + piece]
        http.put(f"/v1/imports/{name}?offset={offset}", content=part, headers=headers).raise_for_status()


def settled(http: httpx.Client, name: str) -> dict[str, Any]:
    """The import once it is neither receiving nor working any more."""
    for _ in range(int(PATIENCE * 50)):
        found: dict[str, Any] = http.get(f"/v1/imports/{name}").raise_for_status().json()
        if found["state"] in ("ready", "failed"):
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"still {found['state']}: {found['progress']}")


def imported(http: httpx.Client, content: bytes, name: str) -> dict[str, Any]:
    """A file as a project: the import, which is ready."""
    found = settled(http, upload(http, content, name)["id"])
    assert found["state"] == "ready", found["problem"]
    return found


def refused(http: httpx.Client, content: bytes, name: str) -> str:
    found = settled(http, upload(http, content, name)["id"])
    assert found["state"] == "failed", found
    return str(found["problem"])


def exported(http: httpx.Client, project: str, form: str) -> bytes:
    answer = http.get(f"/v1/projects/{project}/export", params={"format": form}, timeout=PATIENCE)
    return answer.raise_for_status().content


def content(path: Path) -> dict[str, list[Any]]:
    """Every row of every plain table, typed and sorted, by the names that the file has."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    names: list[Any] = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    ).fetchall()
    found = {name: _rows(connection, name) for (name,) in names}
    connection.close()
    return found


def _rows(connection: apsw.Connection, table: str) -> list[Any]:
    name = '"' + table.replace('"', '""') + '"'
    rows = [tuple((type(cell).__name__, cell) for cell in row) for row in connection.execute(f"SELECT * FROM {name}")]
    return sorted(rows, key=repr)
