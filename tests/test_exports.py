"""Exports: what other programs read of a project, and that an import of it gives the same content (SPEC J12 to J17)."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.carrying import content, exported, imported
from tests.foreign_files import SAMPLE, made, rows
from tests.roads import SCENE
from tests.serving import Serving

FORMS = ("db", "sql", "json", "csv", "ndjson")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("exports") / "data") as serving:
        yield serving


@pytest.fixture(scope="module")
def sample(server: Serving, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A foreign file without virtual tables, and the project made of it."""
    path = made(tmp_path_factory.mktemp("sample") / "sample.db", SAMPLE.split("CREATE VIRTUAL")[0])
    return path, imported(server.http, path.read_bytes(), "sample")["project"]


@pytest.fixture(scope="module")
def scene(server: Serving) -> str:
    """A project of our own contract, with defaults, a single part and nested lists."""
    made = server.http.post("/v1/projects", json={"name": "scene", "contract": SCENE}).raise_for_status().json()
    changes = [
        ["u", "scene", [1], {"title": "Rome"}],
        ["i", "layer", ["l1"], {"title": "ground"}],
        ["i", "layer", ["l2"], {"parent": "l1"}],
        ["i", "note", ["a"], {"layer": "l1", "text": "first", "done": True, "any": {"$r": 3}}],
        ["i", "note.points", ["a", "p2"], {"_order": "a1", "x": 2}],
        ["i", "note.points", ["a", "p1"], {"_order": "a2", "x": 1.5}],
        ["i", "note", ["b"], {"size": 50, "any": "three"}],
        ["i", "note.points", ["b", "q"], {"_order": "a0"}],
    ]
    server.http.post(f"/v1/projects/{made['id']}/mutations", json={"changes": changes}).raise_for_status()
    return str(made["id"])


def file(server: Serving, project: str, form: str, folder: Path) -> Path:
    path = folder / f"export.{form}"
    path.write_bytes(exported(server.http, project, form))
    return path


def test_an_exported_database_has_the_rows_names_and_types_of_the_file(
    server: Serving, sample: tuple[Path, str], tmp_path: Path
) -> None:  # J12
    path, project = sample
    out = file(server, project, "db", tmp_path)
    assert content(out) == content(path)
    declared = 'SELECT name, type FROM pragma_table_info("shape.v2")'
    assert rows(out, declared.replace('"', "'")) == rows(path, declared.replace('"', "'"))
    assert rows(out, "PRAGMA integrity_check") == [("ok",)] and rows(out, "PRAGMA foreign_key_check") == []


def test_an_exported_database_has_nothing_of_the_house(server: Serving, scene: str, tmp_path: Path) -> None:  # J12
    out = file(server, scene, "db", tmp_path)
    sql = "".join(str(row[0]) for row in rows(out, "SELECT sql FROM sqlite_schema"))
    assert not {word for word in ("_sharelite", "_key", "_full", "STRICT") if word in sql}
    assert rows(out, "SELECT * FROM scene") == [("Rome",)]
    assert rows(out, "SELECT id, text, size, done FROM note") == [("a", "first", 12.0, 1), ("b", "", 50.0, 0)]


def test_a_value_that_the_declared_type_would_change_keeps_its_own(server: Serving, tmp_path: Path) -> None:  # J12
    path = made(
        tmp_path / "f.db",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b VARCHAR(5)); INSERT INTO t VALUES(1,'x','y'),(2,7,'z')",
    )
    project = imported(server.http, path.read_bytes(), "affinity")["project"]
    change = {"changes": [["u", "t", [1], {"a": "123"}]]}
    server.http.post(f"/v1/projects/{project}/mutations", json=change).raise_for_status()
    out = file(server, project, "db", tmp_path)
    assert rows(out, "SELECT a, typeof(a) FROM t") == [("123", "text"), (7, "integer")]
    assert [row[2] for row in rows(out, "PRAGMA table_info(t)")] == ["INTEGER", "", "VARCHAR(5)"]


def test_sql_text_is_read_back_to_the_same_rows(
    server: Serving, sample: tuple[Path, str], tmp_path: Path
) -> None:  # J13
    path, project = sample
    text = exported(server.http, project, "sql").decode()
    back = sqlite3.connect(tmp_path / "back.db")
    back.executescript(text)
    back.close()
    assert content(tmp_path / "back.db") == content(path)


def test_sql_text_keeps_what_literals_cannot_say(server: Serving, tmp_path: Path) -> None:  # J13
    sql = """CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t(a) VALUES('a' || char(0) || 'b'),(1e300),(0.1),
        (-9223372036854775808),(x''),(''),('it''s; "quoted"' || char(10) || 'ü'),(NULL),(1.0)"""
    path = made(tmp_path / "f.db", sql)
    project = imported(server.http, path.read_bytes(), "literals")["project"]
    back = sqlite3.connect(tmp_path / "back.db")
    back.executescript(exported(server.http, project, "sql").decode())
    back.close()
    assert content(tmp_path / "back.db") == content(path)


def test_a_json_export_is_the_tree_of_the_contract(server: Serving, scene: str) -> None:  # J14
    tree = json.loads(exported(server.http, scene, "json"))
    assert tree["scene"] == {"title": "Rome"} and tree["layer"][1] == {"id": "l2", "parent": "l1"}
    assert tree["note"] == [
        {"id": "a", "layer": "l1", "text": "first", "size": 12, "done": True, "any": 3,
         "points": [{"id": "p2", "x": 2}, {"id": "p1", "x": 1.5}]},
        {"id": "b", "text": "", "size": 50, "done": False, "any": "three", "points": [{"id": "q"}]},
    ]  # fmt: skip


def test_csv_of_several_tables_is_an_archive_with_a_file_for_each(
    server: Serving, sample: tuple[Path, str]
) -> None:  # J15
    archive = zipfile.ZipFile(io.BytesIO(exported(server.http, sample[1], "csv")))
    assert sorted(archive.namelist()) == [
        "bare.csv",
        "broken.csv",
        "layer.csv",
        "money_full.csv",
        "pair.csv",
        "shape.v2.csv",
    ]
    lines = list(csv.reader(io.StringIO(archive.read("layer.csv").decode())))
    assert lines == [["id", "name", "parent"], ["-3", "below", "1"], ["1", "ground", ""], ["2", "roads", "1"]]


def test_csv_of_one_table_is_one_file(server: Serving, tmp_path: Path) -> None:  # J15
    path = made(tmp_path / "f.db", 'CREATE TABLE "../up"(a, b); INSERT INTO "../up" VALUES(\'x,"y"\', x\'00ff\')')
    project = imported(server.http, path.read_bytes(), "one table")["project"]
    assert exported(server.http, project, "csv") == b'a,b\r\n"x,""y""",AP8=\r\n'


def test_ndjson_is_the_log_with_one_commit_in_a_line(server: Serving, scene: str) -> None:  # J16
    lines = [json.loads(line) for line in exported(server.http, scene, "ndjson").splitlines()]
    assert [(line["v"], line["kind"]) for line in lines] == [(1, "schema"), (2, "edit")]


def test_an_export_says_its_version_and_name(server: Serving, scene: str) -> None:  # J17
    for form in FORMS:
        answer = server.http.get(f"/v1/projects/{scene}/export", params={"format": form})
        assert answer.headers["sharelite-version"] == "2" and "scene-2." in answer.headers["content-disposition"]
    assert server.http.get(f"/v1/projects/{scene}/export?format=xml").status_code == 400


def test_who_stops_reading_an_export_leaves_nothing_behind(server: Serving, scene: str) -> None:  # J17
    folder: Path = server.app.settings.data / "exports"
    with server.http.stream("GET", f"/v1/projects/{scene}/export"):
        pass
    exported(server.http, scene, "db")
    deadline = time.monotonic() + 30
    while list(folder.iterdir()) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert list(folder.iterdir()) == []


def test_the_sqlite3_command_reads_the_text(server: Serving, sample: tuple[Path, str], tmp_path: Path) -> None:  # J13
    """As people do it; the module of Python stands in where the command is not installed."""
    path, project = sample
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())"
    text = exported(server.http, project, "sql")
    done: Any = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "back.db")], input=text, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "back.db") == content(path)
