"""`sharelite import`, `export` and `contract infer` against a real server (SPEC J18)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sharelite.__main__ import sharelite
from sharelite.schema.bundle import load
from sharelite.schema.contract import Contract
from tests.carrying import content, send
from tests.foreign_files import SAMPLE, made, rows
from tests.serving import NOTES, Serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("commands") / "data") as serving:
        yield serving


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return made(tmp_path / "sample.db", SAMPLE.split("CREATE VIRTUAL")[0])


def run(server: Serving, *arguments: str) -> Result:
    return CliRunner().invoke(sharelite, arguments, env={"SHARELITE_URL": server.url})


def done(server: Serving, *arguments: str) -> str:
    result = run(server, *arguments)
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_a_file_goes_in_and_comes_out_the_same(server: Serving, sample: Path, tmp_path: Path) -> None:  # J18
    result = run(server, "import", str(sample), "--name", "round")
    assert result.exit_code == 0, result.exception
    assert "6 tables, 15 rows" in result.stderr and "view names" in result.stderr
    out = tmp_path / "out.db"
    assert done(server, "export", "round", "-o", str(out)) == f"{out}\n"
    assert content(out) == content(sample) and not list(tmp_path.glob("*.part"))


def test_what_stays_behind_is_told_in_a_line_for_each_reason(server: Serving, tmp_path: Path) -> None:  # J18
    views = "".join(f"CREATE VIEW v{n} AS SELECT 1;" for n in range(7))
    result = run(server, "import", str(made(tmp_path / "views.db", f"CREATE TABLE t(a INTEGER PRIMARY KEY);{views}")))
    assert "Not as it was: 7 views\n" in result.stderr
    assert "  view v0, v1, v2, v3, v4 and 2 more: a project has" in result.stderr


def test_the_form_of_an_export_follows_the_name_of_the_file(
    server: Serving, sample: Path, tmp_path: Path
) -> None:  # J18
    done(server, "import", str(sample), "--name", "forms")
    for name, start in (("a.sql", b"PRAGMA"), ("a.json", b"{"), ("a.zip", b"PK"), ("a.ndjson", b'{"v":1')):
        done(server, "export", "forms", "-o", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(start)


def test_an_interrupted_upload_is_taken_up_by_the_next(server: Serving, sample: Path) -> None:  # J18
    begun = server.http.post("/v1/imports", json={"name": "again", "size": sample.stat().st_size}).json()
    send(server.http, begun["id"], sample.read_bytes()[:8000])
    done(server, "import", str(sample), "--name", "again")
    assert server.http.get(f"/v1/imports/{begun['id']}").json()["state"] == "ready"


def test_what_lies_in_a_write_ahead_log_comes_along(server: Serving, tmp_path: Path) -> None:  # J18
    path = tmp_path / "live.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL").fetchall()
    writer.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    writer.execute("INSERT INTO t(a) VALUES('in the log')")
    done(server, "import", str(path), "--name", "live")
    writer.close()
    done(server, "export", "live", "-o", str(tmp_path / "out.db"))
    assert rows(tmp_path / "out.db", "SELECT a FROM t") == [("in the log",)]


def test_a_table_is_filled_and_filled_again_with_replace(server: Serving, tmp_path: Path) -> None:  # J11, J18
    project = server.http.post("/v1/projects", json={"name": "filled", "contract": NOTES}).json()["id"]
    file = tmp_path / "notes.csv"
    file.write_text("id,text\n" + "".join(f"n{number},text {number}\n" for number in range(2500)))
    fill = ("import", str(file), "--into", "filled", "--table", "note")
    assert done(server, *fill) == "2,500 rows, version 4\n"
    again = run(server, *fill)
    assert "nothing was written" in str(again.exception) and "line 2: a row with this key is there" in str(
        again.exception
    )
    assert done(server, *fill, "--replace").startswith("2,500 rows")
    assert server.http.get(f"/v1/projects/{project}").json()["version"] == 4


def test_a_document_that_does_not_fit_sends_nothing(server: Serving, tmp_path: Path) -> None:  # J11
    server.http.post("/v1/projects", json={"name": "strict", "contract": NOTES}).raise_for_status()
    file = tmp_path / "notes.ndjson"
    file.write_text('{"id":"a"}\n{"id":"b","text":3}\n')
    result = run(server, "import", str(file), "--into", "strict", "--table", "note")
    assert "line 2, /text: a text is needed, not 3" in str(result.exception)
    assert server.http.get("/v1/projects?name=strict").json()["projects"][0]["version"] == 1


def test_a_json_export_fills_another_project_of_the_contract(server: Serving, tmp_path: Path) -> None:  # J14, J18
    for name in ("from", "to"):
        server.http.post("/v1/projects", json={"name": name, "contract": NOTES}).raise_for_status()
    (tmp_path / "rows.json").write_text(json.dumps([{"id": "a", "text": "ü"}, {"id": "b"}]))
    done(server, "import", str(tmp_path / "rows.json"), "--into", "from", "--table", "note")
    done(server, "export", "from", "-o", str(tmp_path / "from.json"))
    done(server, "import", str(tmp_path / "from.json"), "--into", "to")
    done(server, "export", "to", "-o", str(tmp_path / "to.json"))
    assert (tmp_path / "to.json").read_bytes() == (tmp_path / "from.json").read_bytes()


def test_a_contract_is_inferred_and_can_be_used(server: Serving, sample: Path, tmp_path: Path) -> None:  # J18
    target = tmp_path / "sample.schema.json"
    result = run(server, "contract", "infer", str(sample), "-o", str(target))
    assert result.exit_code == 0 and "trigger loud" in result.stderr
    assert set(Contract.parse(load(target)).tables) == {"layer", "shape-v2", "pair", "bare", "money_full_", "broken"}


def test_what_cannot_be_imported_is_told_in_a_sentence(server: Serving, sample: Path, tmp_path: Path) -> None:  # J18
    (tmp_path / "x.txt").write_text("hello")
    broken = tmp_path / "broken.db"
    broken.write_bytes(sample.read_bytes()[:5000])
    for arguments, said in (
        (("import", str(tmp_path / "x.txt")), "not a SQLite file"),
        (("import", str(tmp_path / "x.txt"), "--into", "p"), "its name has to end in"),
        (("import", str(sample), "--into", "p"), "leave --into out"),
        (("import", str(broken), "--name", "broken"), "damaged"),
        (("export", "nobody"), "there is no project 'nobody'"),
    ):
        assert said in str(run(server, *arguments).exception), arguments
