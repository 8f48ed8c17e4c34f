"""Imports and deletions that are killed between every two steps, or find the disk full there (SPEC J9, L11)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.carrying import imported, send, settled
from tests.foreign_files import SAMPLE, made, small
from tests.running import ROOT, RunningServer
from tests.serving import Serving
from tests.test_foreign import built


def ends(folder: Path, how: str, which: str, verb: str = "adopt") -> dict[str, int]:
    found, base = built(made(folder / "sample.db", SAMPLE))
    (folder / "contract.json").write_text(json.dumps(found.contract))
    (folder / "data").mkdir()
    run = [sys.executable, "-m", "tests.dying", str(folder / "data"), str(base), str(folder / "contract.json")]
    run += [found.base.hash, str(found.base.row_digest), verb, how, which]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0 and done.stderr == "", done.stderr[-3000:]
    told: dict[str, int] = json.loads(done.stdout)
    return told


def test_an_import_killed_at_any_step_is_there_or_it_is_not(tmp_path: Path) -> None:  # J9
    told = ends(tmp_path, "die", "steps")
    assert set(told) == {"died", "done", "there", "gone"} and told["died"] > 15 and told["gone"] > 5


def test_an_import_that_finds_the_disk_full_at_any_step_is_there_or_it_is_not(tmp_path: Path) -> None:  # J9
    told = ends(tmp_path, "full", "steps")
    assert set(told) <= {"gave up", "done", "there", "gone"} and told["gave up"] > 15


@pytest.mark.long
@pytest.mark.parametrize("how", ["die", "full"])
def test_an_import_killed_at_any_write_is_there_or_it_is_not(tmp_path: Path, how: str) -> None:  # J9
    told = ends(tmp_path, how, "writes")
    assert not [end for end in told if end.startswith(("broken", "status"))]


@pytest.mark.long
@pytest.mark.parametrize("how", ["die", "full"])
def test_a_deletion_killed_at_any_write_is_done_or_has_not_begun(tmp_path: Path, how: str) -> None:  # L11
    told = ends(tmp_path, how, "writes", "delete")
    assert not [end for end in told if end.startswith(("broken", "status"))]


def test_a_server_killed_while_it_reads_a_file_takes_it_up_again(tmp_path: Path) -> None:  # J8, J9
    sql = """CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200000)
        INSERT INTO t SELECT i, 'row '||i FROM n"""
    content = small(tmp_path / "large.db", sql)
    with RunningServer(tmp_path / "data") as server:
        made: Any = server.ask("POST", "/v1/imports", {"name": "large", "size": len(content)})[1]
        octets = {"content-type": "application/octet-stream"}
        assert server.ask("PUT", f"/v1/imports/{made['id']}?offset=0", content, octets)[0] == 200
        assert server.ask("POST", f"/v1/imports/{made['id']}/finish", {})[1]["state"] == "working"
        while (server.ask("GET", f"/v1/imports/{made['id']}")[1]["progress"] or {"phase": "waiting"})[
            "phase"
        ] == "waiting":
            pass
        server.kill()
        server.start()
        found = server.ask("GET", f"/v1/imports/{made['id']}")[1]
        assert (found["state"], found["received"]) == ("receiving", len(content))
        assert server.ask("GET", "/v1/projects")[1] == {"projects": []}
        server.ask("POST", f"/v1/imports/{made['id']}/finish", {})
        while (found := server.ask("GET", f"/v1/imports/{made['id']}")[1])["state"] == "working":
            pass
        assert found["state"] == "ready" and found["report"]["rows"] == {"t": 200_000}


def test_what_an_ended_import_leaves_is_forgotten_in_time(tmp_path: Path) -> None:  # J8
    with Serving(tmp_path / "data") as first:
        name = first.http.post("/v1/imports", json={"name": "old", "size": 9}).json()["id"]
    state = tmp_path / "data" / "imports" / name / "import.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "created": 1}))
    (tmp_path / "data" / "imports" / "strange").mkdir()
    with Serving(tmp_path / "data") as second:
        assert second.http.get(f"/v1/imports/{name}").status_code == 404
        assert list((tmp_path / "data" / "imports").iterdir()) == []


def test_two_imports_of_one_name_make_one_project(tmp_path: Path) -> None:  # J9
    content = small(tmp_path / "sample.db", SAMPLE)
    with Serving(tmp_path / "data") as server:
        names = [
            server.http.post("/v1/imports", json={"name": "Rome", "size": len(content)}).json()["id"] for _ in "ab"
        ]
        for name in names:
            send(server.http, name, content)
            server.http.post(f"/v1/imports/{name}/finish", json={}).raise_for_status()
        ended = [settled(server.http, name) for name in names]
        assert sorted(each["state"] for each in ended) == ["failed", "ready"]
        assert "'Rome' already" in next(each["problem"] for each in ended if each["problem"])
        assert len(server.http.get("/v1/projects").json()["projects"]) == 1
        assert len(list((tmp_path / "data" / "projects").iterdir())) == 1


def test_deleting_an_imported_project_takes_its_base_along(tmp_path: Path) -> None:  # J9
    with Serving(tmp_path / "data") as server:
        project = imported(server.http, small(tmp_path / "sample.db", SAMPLE), "gone")["project"]
        server.http.get(f"/v1/projects/{project}/db").raise_for_status()
        assert server.http.delete(f"/v1/projects/{project}").status_code == 204
        assert not (tmp_path / "data" / "projects" / project).exists()
