"""Makes a data directory that is kept for ever: later releases must open it whole (tests/test_kept.py).

.venv/bin/python -m tests.keeping NAME      writes tests/kept/NAME.tar.xz and NAME.json, and replaces neither

A release that writes something new to disk gets one more; what is there is never made again. The server is killed, so
that write-ahead logs that nobody carried over are among what is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.running import RunningServer

KEPT = Path(__file__).resolve().parent / "kept"
CLIENT = "c0ffee" * 5 + "00"
TEXT = {"type": "string"}


def contract(**more: Any) -> dict[str, Any]:
    """Every kind of column, a singleton, a nested list, a reference, a default; `more` of a thing's properties."""
    deep = {"type": "object", "properties": {"x": {"type": "number"}}}
    thing = {
        "id": TEXT, "text": {**TEXT, "default": "new"}, "count": {"type": "integer"}, "size": {"type": "number"},
        "on": {"type": "boolean", "default": False}, "raw": {"type": "string", "contentEncoding": "base64"},
        "any": {"type": ["string", "number"]}, "tags": {"type": "array", "items": TEXT},
        "look": {"type": "object", "properties": {"color": TEXT, "deep": deep}},
        "of": {**TEXT, "x-sql": {"references": "group"}},
        "points": {"type": "array", "items": deep},
        **more,
    }  # fmt: skip
    group = {"id": TEXT, "name": {**TEXT, "x-sql": {"unique": True}}}
    rows = {"group": group, "thing": thing}
    tables = {
        name: {"type": "array", "items": {"type": "object", "required": ["id"], "properties": properties}}
        for name, properties in rows.items()
    }
    board = {"type": "object", "properties": {"title": {**TEXT, "default": "Board"}}}
    return {"type": "object", "properties": {**tables, "board": board}}


def pushed(server: RunningServer, project: str, body: dict[str, Any], status: int = 200) -> Any:
    answer = server.ask("POST", f"/v1/projects/{project}/mutations", body)
    assert answer[0] == status, answer
    return answer[1]


def fill(server: RunningServer) -> list[dict[str, Any]]:
    """Projects of every origin. The mutations with ids, each with the answer that it gets when it is sent again."""
    assert server.ask("PUT", "/v1/contracts/things", contract())[0] < 300
    plan = server.create("Plan \N{LATIN SMALL LETTER A WITH DIAERESIS}", "things")
    blob = base64.b64encode(bytes(range(256))).decode()
    pushed(server, plan, {"changes": [["i", "group", ["g"], {"name": "first"}]]})
    many = [
        ["i", "thing", [f"t{n}"], {"text": f"text {n} \N{GRINNING FACE}", "count": {"$i": str(2**62 + n)},
         "size": n / 3, "on": True, "raw": {"$b": blob}, "any": n if n % 2 else str(n), "of": "g"}]
        for n in range(12)
    ]  # fmt: skip
    pushed(server, plan, {"changes": many, "tag": "many"})
    pushed(server, plan, {"changes": [["u", "thing", ["t3"], {"text": None, "size": -1.5}], ["d", "thing", ["t4"]]]})
    pushed(server, plan, {"changes": [["u", "board", [1], {"title": "Ours"}]]})
    server.ask("GET", f"/v1/projects/{plan}/db")
    assert server.ask("PUT", "/v1/contracts/things", contract(note=TEXT))[0] < 300
    server.ask("POST", "/v1/contracts/things/migrate", {"all": True})
    ids: list[dict[str, Any]] = [
        {"project": plan, "body": {"id": [CLIENT, 1], "changes": [["u", "thing", ["t5"], {"count": 7}]]}},
        {"project": plan, "body": {"id": [CLIENT, 2], "changes": [["u", "thing", ["gone"], {"count": 7}]]}},
    ]
    for each in ids:
        for _ in range(2):
            each["status"], each["answer"] = server.ask("POST", f"/v1/projects/{plan}/mutations", each["body"])
    gone = server.create("Gone", "things")
    assert server.ask("DELETE", f"/v1/projects/{gone}")[0] < 300
    _by_sql(server)
    return ids


def _by_sql(server: RunningServer) -> None:
    """A project whose tables SQL makes, where there is that: schema commits, triggers, large entries in parts."""
    status, made = server.ask("POST", "/v1/projects", {"name": "By SQL"})
    if status != 201:
        return
    statements: list[Any] = [
        "CREATE TABLE item(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, price REAL, raw BLOB, a ANY)",
        "CREATE TABLE heard(id INTEGER PRIMARY KEY, what TEXT)",
        "CREATE UNIQUE INDEX by_name ON item(name)",
        "CREATE TRIGGER t AFTER UPDATE ON item BEGIN INSERT INTO heard(what) VALUES (old.name || '>' || new.name); END",
        {"sql": "INSERT INTO item(name, raw, a) VALUES ('tea', ?, ?)", "params": [{"$b": "AP8="}, {"$r": 3}]},
        "INSERT INTO item(name, a) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) "
        "SELECT 'n' || i, i FROM n",
        "UPDATE item SET name = 'green ' || name WHERE name = 'tea'",
        "ALTER TABLE item ADD COLUMN more TEXT",
        "INSERT INTO item(name, more) VALUES ('large', replace(hex(zeroblob(600000)), '00', 'ab'))",
        "DELETE FROM item WHERE id = 20",
    ]  # fmt: skip
    for statement in statements:
        answer = server.ask("POST", f"/v1/projects/{made['id']}/sql", {"statements": [statement]})
        assert answer[0] == 200, (statement, answer)


def told(server: RunningServer) -> dict[str, Any]:
    """All that a reader can see, by the projects' names."""
    seen = {}
    for project in server.ask("GET", "/v1/projects")[1]["projects"]:
        id = project["id"]
        seen[project["name"]] = {
            "id": id,
            "version": project["version"],
            "contract": server.ask("GET", f"/v1/projects/{id}/contract")[1]["document"],
            "commits": server.ask("GET", f"/v1/projects/{id}/commits?after=0&limit=1000")[1]["commits"],
            "tables": dict(_tables(server, id)),
        }
    return {name: short(project) for name, project in seen.items()}


def short(value: Any) -> Any:
    """With a digest where a text is long."""
    if isinstance(value, dict):
        return {key: short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [short(each) for each in value]
    return hashlib.sha256(value.encode()).hexdigest() if isinstance(value, str) and len(value) > 1000 else value


def _tables(server: RunningServer, project: str) -> Iterator[tuple[str, Any]]:
    with closing(server.connection()) as connection, tempfile.NamedTemporaryFile(suffix=".db") as file:
        connection.request("GET", f"/v1/projects/{project}/db")
        file.write(connection.getresponse().read())
        file.flush()
        with closing(sqlite3.connect(f"file:{file.name}?mode=ro", uri=True)) as database:
            names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'")
            for (name,) in names.fetchall():
                if name != "_sharelite":
                    rows = database.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2').fetchall()
                    yield name, [[cell.hex() if isinstance(cell, bytes) else cell for cell in row] for row in rows]


def keep(name: str) -> None:
    """Raises FileExistsError where that is kept already."""
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with RunningServer(Path(folder) / "data") as server:
            answers = fill(server)
            seen = told(server)
            server.kill()
            with tarfile.open(KEPT / f"{name}.tar.xz", "x:xz") as archive:
                archive.add(server.data, "data", filter=_plain)
    with open(KEPT / f"{name}.json", "x", encoding="utf-8") as file:
        json.dump({"projects": seen, "repeated": answers}, file, ensure_ascii=False, separators=(",", ":"))


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's, and made at no time."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    keep(*sys.argv[1:])
