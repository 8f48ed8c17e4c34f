"""Imports of a running server: pieces, progress, restarts, and a project that is there whole or not at all (SPEC J)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sharelite.config import Limits
from tests.carrying import imported, refused, send, settled, upload
from tests.foreign_files import SAMPLE, small
from tests.serving import Serving

OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("imports") / "data") as serving:
        yield serving


@pytest.fixture
def sample(tmp_path: Path) -> bytes:
    return small(tmp_path / "sample.db", SAMPLE)


def begun(server: Serving, name: str, size: int) -> str:
    made = server.http.post("/v1/imports", json={"name": name, "size": size})
    assert made.status_code == 201 and made.headers["location"] == f"/v1/imports/{made.json()['id']}"
    return str(made.json()["id"])


def test_a_file_becomes_a_project_that_is_edited_like_any_other(server: Serving, sample: bytes) -> None:  # J8
    found = imported(server.http, sample, "edited")
    assert found["report"]["rows"]["layer"] == 3 and found["received"] == len(sample)
    with server.open(found["project"]) as talk:
        talk.counter = 1
        talk.say("push", id=[talk.client, 1], changes=[["u", "shape-v2", [1], {"Total": 9.5}]])
        commit = talk.hear()["commits"][0]
    assert (commit["v"], commit["changes"]) == (2, [["u", "shape-v2", [1], {"Total": 9.5}, {"Total": 2.5}]])


def test_a_row_gets_a_hidden_key_and_references_of_the_file_hold(server: Serving, sample: bytes) -> None:  # J2, J6
    project = imported(server.http, sample, "kept")["project"]
    push = f"/v1/projects/{project}/mutations"
    assert server.http.post(push, json={"changes": [["i", "bare", [77], {"x": "new"}]]}).status_code == 200
    wrong = server.http.post(push, json={"changes": [["u", "shape-v2", [1], {"layer": 12345}]]})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "reference")


def test_the_first_commit_names_the_base_by_its_hash(server: Serving, sample: bytes) -> None:  # J10
    project = imported(server.http, sample, "based")["project"]
    (commit,) = server.http.get(f"/v1/projects/{project}/commits").json()["commits"]
    data: Path = server.app.settings.data / "projects" / project
    assert commit["kind"] == "import" and commit["changes"] == []
    assert [path.name for path in data.glob("base-*")] == [f"base-{commit['base']['hash']}.db"]
    assert commit["contract_hash"] == server.http.get(f"/v1/projects/{project}/contract").json()["hash"]


def test_pieces_come_in_order_and_one_that_does_not_fit_tells_where_to_go_on(
    server: Serving, sample: bytes
) -> None:  # J8
    name = begun(server, "pieces", len(sample))
    send(server.http, name, sample[:5000])
    for offset in (0, 4999, 6000):
        early = server.http.put(f"/v1/imports/{name}?offset={offset}", content=b"x", headers=OCTETS)
        assert (early.status_code, early.json()["error"]["code"]) == (409, "conflict")
    assert server.http.post(f"/v1/imports/{name}/finish", json={}).status_code == 409
    at = server.http.get(f"/v1/imports/{name}").json()["received"]
    send(server.http, name, sample, at)
    server.http.post(f"/v1/imports/{name}/finish", json={}).raise_for_status()
    assert settled(server.http, name)["state"] == "ready"


def test_more_than_was_announced_and_other_bodies_are_refused(server: Serving) -> None:  # J8
    name = begun(server, "more", 10)
    put = f"/v1/imports/{name}?offset=0"
    assert server.http.put(put, content=bytes(11), headers=OCTETS).status_code == 413
    assert server.http.put(put, content=b"{}", headers={"content-type": "application/json"}).status_code == 415
    assert server.http.delete(f"/v1/imports/{name}").status_code == 204
    assert server.http.get(f"/v1/imports/{name}").status_code == 404


def test_a_file_that_changed_on_its_way_is_refused(server: Serving, sample: bytes) -> None:  # J8
    name = begun(server, "changed", len(sample))
    send(server.http, name, sample)
    server.http.post(f"/v1/imports/{name}/finish", json={"hash": "0" * 64}).raise_for_status()
    assert "changed on the way" in settled(server.http, name)["problem"]


def test_names_that_are_taken_and_files_that_are_too_large_are_refused_before_they_come(server: Serving) -> None:  # J8
    server.project("taken")
    for body, status in (
        ({"name": "Taken", "size": 1}, 409),
        ({"name": "../x", "size": 1}, 422),
        ({"name": "big", "size": 2**40}, 413),
    ):
        assert server.http.post("/v1/imports", json=body).status_code == status


def test_a_refused_file_leaves_no_project_and_its_name_is_free(server: Serving, sample: bytes) -> None:  # J7, J9
    assert "not a SQLite database" in refused(server.http, b"not a database", "again")
    assert imported(server.http, sample, "again")["state"] == "ready"


def test_finishing_twice_makes_one_project(server: Serving, sample: bytes) -> None:  # J9
    name = upload(server.http, sample, "twice")["id"]
    assert server.http.post(f"/v1/imports/{name}/finish", json={}).status_code == 202
    settled(server.http, name)
    assert server.http.post(f"/v1/imports/{name}/finish", json={}).json()["state"] == "ready"
    named = server.http.get("/v1/projects", params={"name": "twice"}).json()["projects"]
    assert len(named) == 1


def test_an_upload_goes_on_after_a_restart(tmp_path: Path, sample: bytes) -> None:  # J8
    with Serving(tmp_path / "data") as first:
        name = begun(first, "later", len(sample))
        send(first.http, name, sample[:9000])
    with Serving(tmp_path / "data") as second:
        assert second.http.get(f"/v1/imports/{name}").json()["received"] == 9000
        send(second.http, name, sample, 9000)
        second.http.post(f"/v1/imports/{name}/finish", json={}).raise_for_status()
        assert settled(second.http, name)["state"] == "ready"


def test_a_user_has_only_so_many_imports_on_their_way(tmp_path: Path) -> None:  # J8
    with Serving(tmp_path / "data", limits=Limits(imports=2)) as server:
        begun(server, "one", 1)
        begun(server, "two", 1)
        third = server.http.post("/v1/imports", json={"name": "three", "size": 1})
        assert (third.status_code, third.json()["error"]["code"]) == (429, "rate_limited")


def test_an_imported_project_comes_again_from_its_base_when_its_database_is_lost(
    tmp_path: Path, sample: bytes
) -> None:  # J10
    with Serving(tmp_path / "data") as first:
        project = imported(first.http, sample, "lost")["project"]
        change = {"changes": [["u", "layer", [1], {"name": "floor"}]]}
        first.http.post(f"/v1/projects/{project}/mutations", json=change).raise_for_status()
        before = first.http.get(f"/v1/projects/{project}/db").content
    (tmp_path / "data" / "projects" / project / "data.db").write_bytes(b"nothing that SQLite reads" * 400)
    with Serving(tmp_path / "data") as second:
        assert second.http.get(f"/v1/projects/{project}/db").content == before


def test_a_base_that_is_not_what_its_hash_says_is_not_used(tmp_path: Path, sample: bytes) -> None:  # J10
    with Serving(tmp_path / "data") as first:
        project = imported(first.http, sample, "flipped")["project"]
    folder = tmp_path / "data" / "projects" / project
    (base,) = folder.glob("base-*.db")
    content = bytearray(base.read_bytes())
    content[5000] ^= 1
    base.write_bytes(content)
    (folder / "data.db").unlink()
    with Serving(tmp_path / "data") as second:
        answer = second.http.get(f"/v1/projects/{project}/db")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "damaged")


def test_the_database_that_clients_load_is_of_the_project(
    server: Serving, sample: bytes, tmp_path: Path
) -> None:  # J10
    project = imported(server.http, sample, "loaded")["project"]
    (tmp_path / "loaded.db").write_bytes(server.http.get(f"/v1/projects/{project}/db").content)
    connection = sqlite3.connect(tmp_path / "loaded.db")
    id, contract = connection.execute(
        'SELECT a.project, b.contract FROM "_sharelite" a, "_sharelite" b WHERE a.id=1 AND b.id=2'
    ).fetchone()
    connection.close()
    assert id == project and json.loads(contract)["properties"].keys() == {
        "layer",
        "shape-v2",
        "pair",
        "bare",
        "money_full_",
        "broken",
    }


def test_somebody_else_sees_nothing_of_an_import(server: Serving) -> None:  # J8
    assert server.http.get(f"/v1/imports/{'0' * 32}").status_code == 404


def test_the_contract_of_an_import_may_grow_and_its_rows_stay(server: Serving, sample: bytes) -> None:  # J2, J3
    project = imported(server.http, sample, "growing")["project"]
    document: dict[str, Any] = server.http.get(f"/v1/projects/{project}/contract").json()["document"]
    assert server.http.get(f"/v1/projects/{project}").json()["contract"] is None
    assert document["properties"]["bare"]["x-sql"]["key"] == "_key"
