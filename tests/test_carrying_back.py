"""What `sharelite export` writes is read again, with the same content; triggers come on request (SPEC J21, J22)."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.carrying import content
from tests.foreign_files import SAMPLE, made
from tests.serving import Serving
from tests.test_carrying_commands import done, run

ROUTES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {
            "type": "array",
            "x-sql": {"key": "id"},
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "name": {"type": "string", "default": "Somewhere"}},
            },
        },
        "route": {
            "type": "array",
            "x-sql": {"key": "id"},
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string"},
                    "width": {"type": "number", "default": 1},
                    "points": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}},
                    },
                },
            },
        },
    },
}
TREE: dict[str, Any] = {
    "place": [{"id": "a", "name": 'Ä, "b"\nc'}, {"id": "b"}],
    "route": [{"id": "r", "width": 2.5, "points": [{"x": 1, "y": 2}, {"x": 3}]}, {"id": "s", "points": []}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("back") / "data") as serving:
        yield serving


def project(server: Serving, name: str, contract: dict[str, Any] = ROUTES) -> str:
    made: str = server.http.post("/v1/projects", json={"name": name, "contract": contract}).json()["id"]
    return made


def exported(server: Serving, name: str, file: Path) -> Path:
    done(server, "export", name, "-o", str(file))
    return file


def filled(server: Serving, name: str, folder: Path) -> str:
    made = project(server, name)
    (folder / "tree.json").write_text(json.dumps(TREE))
    done(server, "import", str(folder / "tree.json"), "--into", name)
    return made


def test_a_zip_of_csv_fills_a_project_of_the_contract_nested_lists_too(server: Serving, tmp_path: Path) -> None:  # J21
    filled(server, "zip from", tmp_path)
    project(server, "zip to")
    archive = exported(server, "zip from", tmp_path / "all.zip")
    done(server, "import", str(archive), "--into", "zip to")
    trees = [exported(server, f"zip {end}", tmp_path / f"{end}.json").read_bytes() for end in ("from", "to")]
    assert trees[0] == trees[1] and "Ä" in trees[0].decode()


def test_an_archive_with_a_strange_file_fills_nothing(server: Serving, tmp_path: Path) -> None:  # J21
    project(server, "strange")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("place.csv", "id,name\na,A\n")
        archive.writestr("../evil.csv", "id\na\n")
    result = run(server, "import", str(tmp_path / "all.zip"), "--into", "strange")
    assert "../evil.csv: the contract has no such table" in str(result.exception)
    (tmp_path / "bad.zip").write_bytes(b"PK but no archive")
    assert "archive" in str(run(server, "import", str(tmp_path / "bad.zip"), "--into", "strange").exception)
    assert server.http.get("/v1/projects?name=strange").json()["projects"][0]["version"] == 1


def test_sql_text_becomes_a_project_with_the_same_rows(server: Serving, tmp_path: Path) -> None:  # J21
    sample = made(tmp_path / "sample.db", SAMPLE.split("CREATE VIRTUAL")[0])
    done(server, "import", str(sample), "--name", "sql from")
    done(server, "import", str(exported(server, "sql from", tmp_path / "a.sql")), "--name", "sql to")
    assert content(exported(server, "sql to", tmp_path / "b.db")) == content(sample)


def test_sql_text_that_fails_or_leads_elsewhere_makes_nothing(server: Serving, tmp_path: Path) -> None:  # J21
    for text in ("CREATE TABLE t(a); nonsense", f"ATTACH '{tmp_path / 'other.db'}' AS o; CREATE TABLE o.t(a)"):
        (tmp_path / "bad.sql").write_text(text)
        result = run(server, "import", str(tmp_path / "bad.sql"), "--name", "never")
        assert result.exit_code and "bad.sql" in str(result.exception)
    assert not (tmp_path / "other.db").exists()
    assert server.http.get("/v1/projects?name=never").json()["projects"] == []


def test_a_history_is_done_again_version_by_version(server: Serving, tmp_path: Path) -> None:  # J21
    first = filled(server, "story", tmp_path)
    for number in range(5):
        changes = [["s", "place", ["a"], {"name": f"name {number}"}]]
        server.http.post(f"/v1/projects/{first}/mutations", json={"changes": changes}).raise_for_status()
    file = exported(server, "story", tmp_path / "story.ndjson")
    again = done(server, "import", str(file), "--name", "story again").strip()
    found = [server.http.get(f"/v1/projects/{id}/commits").json() for id in (first, again)]
    assert [[each["changes"] for each in one["commits"]] for one in found][0] == [
        each["changes"] for each in found[1]["commits"]
    ]
    trees = [exported(server, name, tmp_path / f"{name}.json").read_bytes() for name in ("story", "story again")]
    assert trees[0] == trees[1]


def test_a_history_that_cannot_be_done_again_makes_nothing(server: Serving, tmp_path: Path) -> None:  # J21
    filled(server, "short", tmp_path)
    lines = exported(server, "short", tmp_path / "short.ndjson").read_text().splitlines()
    broken = {
        "version 1 is missing": lines[1:],
        "is no commit": ['{"id":"a"}'],
        "line 2: ": [lines[0], lines[1].replace('"place"', '"nowhere"')],
    }
    for says, kept in broken.items():
        (tmp_path / "broken.ndjson").write_text("\n".join(kept) + "\n")
        result = run(server, "import", str(tmp_path / "broken.ndjson"), "--name", "broken")
        assert says in str(result.exception), says
    names = [each["name"] for each in server.http.get("/v1/projects").json()["projects"]]
    assert not [name for name in names if "broken" in name]


def test_a_history_whose_import_was_killed_is_gone_on_with(server: Serving, tmp_path: Path) -> None:  # J21
    filled(server, "long", tmp_path)
    lines = exported(server, "long", tmp_path / "long.ndjson").read_text().splitlines()
    last = json.loads(lines[-1])
    edits = [
        json.dumps({**last, "v": number, "changes": [["s", "place", ["a"], {"name": f"name {number}"}]]})
        for number in range(len(lines) + 1, 2000)
    ]
    file = tmp_path / "long.ndjson"
    file.write_text("\n".join([*lines, *edits]) + "\n")
    command = [sys.executable, "-m", "sharelite", "import", str(file), "--name", "long again", "--url", server.url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while begun(server, "long again (") < 20:
        assert process.poll() is None
    process.kill()
    process.wait()
    left = begun(server, "long again (")
    assert 20 <= left < 1999
    again = done(server, "import", str(file), "--name", "long again").strip()
    assert begun(server, "long again (") == -1
    assert server.http.get(f"/v1/projects/{again}").json()["version"] == 1999


def begun(server: Serving, start: str) -> int:
    """The version of the project whose name begins so; -1: there is none."""
    for project in server.http.get("/v1/projects").json()["projects"]:
        if project["name"].startswith(start):
            found = server.http.get(f"/v1/projects/{project['id']}")
            return int(found.json()["version"]) if found.status_code == 200 else -1
    return -1


TRIGGERS = """
CREATE TABLE part(id INTEGER PRIMARY KEY, name TEXT, changed INTEGER DEFAULT 0);
CREATE TABLE gone(name TEXT);
INSERT INTO part(id, name) VALUES (1, 'one');
CREATE TRIGGER counted AFTER UPDATE OF name ON part BEGIN UPDATE part SET changed = changed + 1 WHERE id = new.id; END;
CREATE TRIGGER evil AFTER DELETE ON part BEGIN SELECT load_extension('evil'); END;
CREATE VIEW names AS SELECT name FROM part;
"""


def test_triggers_come_along_on_request_as_far_as_the_guards_let_them(server: Serving, tmp_path: Path) -> None:  # J22
    file = made(tmp_path / "parts.db", TRIGGERS)
    result = run(server, "import", str(file), "--name", "parts", "--triggers")
    assert result.exit_code == 0, result.exception
    assert "trigger evil: a project does not take it" in result.stderr and "counted" not in result.stderr
    body = {"statements": ["UPDATE part SET name = 'two' WHERE id = 1", "SELECT name, changed FROM part"]}
    answer = server.http.post(f"/v1/projects/{result.stdout.strip()}/sql", json=body).json()
    assert answer["results"][1]["rows"] == [["two", 1]]


def test_exports_have_the_triggers_behind_the_rows(server: Serving, tmp_path: Path) -> None:  # J23
    made_of = done(server, "import", str(made(tmp_path / "parts.db", TRIGGERS)), "--name", "kept", "--triggers").strip()
    more = {"statements": ["CREATE TRIGGER housed AFTER INSERT ON gone BEGIN DELETE FROM gone WHERE _key < 0; END"]}
    server.http.post(f"/v1/projects/{made_of}/sql", json=more).raise_for_status()
    (tmp_path / "text.db").touch()
    with closing(sqlite3.connect(tmp_path / "text.db")) as text:
        text.executescript(exported(server, "kept", tmp_path / "kept.sql").read_text())
    for file in (exported(server, "kept", tmp_path / "kept.db"), tmp_path / "text.db"):
        with closing(sqlite3.connect(file)) as plain:
            assert plain.execute("SELECT name FROM sqlite_schema WHERE type='trigger'").fetchall() == [("counted",)]
            assert plain.execute("SELECT name, changed FROM part").fetchall() == [("one", 0)]
            plain.execute("UPDATE part SET name = 'two'")
            plain.execute("INSERT INTO gone VALUES ('fits')")
            assert plain.execute("SELECT name, changed FROM part").fetchall() == [("two", 1)]
    assert "-- left out: trigger housed: no such column: _key" in (tmp_path / "kept.sql").read_text()
    told = run(server, "export", "kept", "-o", str(tmp_path / "kept.db"))
    assert told.stderr.splitlines()[-1] == "left out: trigger housed: no such column: _key"
    again = done(server, "import", str(tmp_path / "kept.db"), "--name", "kept again", "--triggers").strip()
    contract = server.http.get(f"/v1/projects/{again}/contract").json()
    assert "counted" in str(contract)


def test_unasked_no_trigger_comes_along_and_each_is_told(server: Serving, tmp_path: Path) -> None:  # J22
    result = run(server, "import", str(made(tmp_path / "parts.db", TRIGGERS)), "--name", "no triggers")
    assert "nothing of a file runs unasked" in result.stderr and "view names" in result.stderr
    body = {"statements": ["UPDATE part SET name = 'two' WHERE id = 1", "SELECT name, changed FROM part"]}
    answer = server.http.post(f"/v1/projects/{result.stdout.strip()}/sql", json=body).json()
    assert answer["results"][1]["rows"] == [["two", 0]]
