"""The HTTP interface on a real server: what each address does, and what every answer looks like."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import NOTES, Serving

CLIENT = "c" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("routes") / "data") as serving:
        yield serving


@pytest.fixture
def project(server: Serving) -> str:
    return server.project()


def write(server: Serving, project: str, texts: list[str]) -> None:
    """One commit for each text."""
    for text in texts:
        body = {"changes": [["s", "note", ["n"], {"text": text}]]}
        assert server.http.post(f"/v1/projects/{project}/mutations", json=body).status_code == 200


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error; that it has the shape of all errors."""
    found = answer.json()["error"]
    assert found.keys() == {"code", "message", "errors"} and found["message"] and isinstance(found["errors"], list)
    return answer.status_code, found["code"]


def test_a_project_is_made_shown_renamed_published_and_deleted(server: Serving) -> None:  # W10
    made = server.http.post("/v1/projects", json={"name": "Plan A", "contract": NOTES})
    assert made.status_code == 201
    address = made.headers["location"]
    assert server.http.get(address).json() == made.json()
    assert (made.json()["version"], made.json()["connections"], made.json()["role"]) == (1, 0, "owner")
    renamed = server.http.patch(address, json={"name": "Plan B", "public": True}).json()
    assert (renamed["name"], renamed["public"]) == ("Plan B", True)
    assert "Plan B" in [each["name"] for each in server.http.get("/v1/projects").json()["projects"]]
    assert server.http.delete(address).status_code == 204
    assert error(server.http.get(address)) == (404, "not_found")


def test_the_list_shows_size_version_and_who_is_there(server: Serving, project: str) -> None:  # W10
    write(server, project, ["a", "b"])
    with server.open(project), server.open(project):
        (found,) = [each for each in server.http.get("/v1/projects").json()["projects"] if each["id"] == project]
    assert (found["version"], found["connections"], found["users"]) == (3, 2, ["local"])
    assert found["size"] > 4096


def test_a_project_tells_when_it_was_last_changed(server: Serving, project: str) -> None:  # W10
    def updated() -> int:
        told: int = server.http.get(f"/v1/projects/{project}").json()["updated"]
        return told

    def newest() -> int:
        at: int = server.http.get(f"/v1/projects/{project}/commits").json()["commits"][-1]["at"]
        return at

    assert updated() == newest()
    write(server, project, ["a"])
    assert updated() == newest()
    body = {"changes": [["u", "note", ["nobody"], {"text": "x"}]]}
    assert server.http.post(f"/v1/projects/{project}/mutations", json=body).status_code == 404
    server.http.head(f"/v1/projects/{project}/db")
    assert updated() == newest(), "refusals and images change nothing"


def test_the_list_can_be_asked_for_one_name(server: Serving) -> None:  # W10
    id = server.project("looked for")
    found = server.http.get("/v1/projects", params={"name": "looked for"}).json()["projects"]
    assert [each["id"] for each in found] == [id]


def test_whoever_is_on_a_deleted_project_is_told(server: Serving, project: str) -> None:  # W10
    with server.open(project) as talk:
        assert server.http.delete(f"/v1/projects/{project}").status_code == 204
        assert (talk.hear()["code"], talk.closed()) == ("not_found", 1008)


def test_a_mutation_is_answered_with_its_version_and_again_with_the_same(server: Serving, project: str) -> None:  # W11
    body = {"id": [CLIENT, 1], "changes": [["i", "note", ["a"], {"text": "x"}]]}
    first = server.http.post(f"/v1/projects/{project}/mutations", json=body)
    again = server.http.post(f"/v1/projects/{project}/mutations", json=body)
    assert first.json() == again.json() == {"version": 2}


def test_a_refused_mutation_is_a_4xx_with_the_refusal(server: Serving, project: str) -> None:  # W11
    body = {"changes": [["u", "note", ["nobody"], {"text": "x"}]]}
    answer = server.http.post(f"/v1/projects/{project}/mutations", json=body)
    assert error(answer) == (404, "not_found")
    assert answer.json()["version"] == 1
    body = {"changes": [["i", "note", ["a"], {"colour": 1}]]}
    answer = server.http.post(f"/v1/projects/{project}/mutations", json=body)
    assert error(answer) == (422, "invalid")
    assert answer.json()["error"]["errors"][0] == {
        "message": answer.json()["error"]["errors"][0]["message"], "table": "note", "key": ["a"], "pointer": "/colour",
    }  # fmt: skip


def test_what_was_not_judged_is_told_apart(server: Serving, project: str) -> None:  # W11
    body = {"id": [CLIENT, 5], "changes": []}
    assert error(server.http.post(f"/v1/projects/{project}/mutations", json=body)) == (409, "out_of_order")


def test_the_database_is_a_file_at_the_version_it_says(server: Serving, project: str, tmp_path: Path) -> None:  # W12
    write(server, project, ["hello"])
    answer = server.http.get(f"/v1/projects/{project}/db")
    assert (answer.headers["sharelite-version"], answer.headers["cache-control"]) == (
        "2",
        "private, no-cache, no-transform",
    )
    (tmp_path / "copy.db").write_bytes(answer.content)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT text FROM note").fetchall() == [("hello",)]


def test_the_tag_of_the_database_tells_whether_it_is_still_the_same(server: Serving, project: str) -> None:  # W12
    address = f"/v1/projects/{project}/db"
    tag = server.http.head(address).headers["etag"]
    assert server.http.get(address, headers={"if-none-match": tag}).status_code == 304
    assert server.http.get(address, headers={"if-match": tag}).status_code == 200
    write(server, project, ["changed"])
    assert server.http.get(address, headers={"if-none-match": tag}).status_code == 200
    assert error(server.http.get(address, headers={"if-match": tag})) == (412, "precondition_failed")


def test_commits_come_in_pages(server: Serving, project: str) -> None:  # W13
    write(server, project, ["a", "b", "c"])
    page = server.http.get(f"/v1/projects/{project}/commits", params={"after": 1, "limit": 2}).json()
    assert ([commit["v"] for commit in page["commits"]], page["version"]) == ([2, 3], 4)
    last = server.http.get(f"/v1/projects/{project}/commits", params={"after": 4})
    assert last.json() == {"commits": [], "version": 4}


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=1e3", "limit=0", "limit=1001", "after=٣"])
def test_a_page_that_cannot_be_is_a_bad_request(server: Serving, project: str, query: str) -> None:  # W13
    assert error(server.http.get(f"/v1/projects/{project}/commits?{query}")) == (400, "bad_request")


def test_a_page_ahead_of_the_project_is_a_reset(server: Serving, project: str) -> None:  # W13
    assert error(server.http.get(f"/v1/projects/{project}/commits?after=9")) == (410, "reset")


def test_the_whole_log_comes_as_lines(server: Serving, project: str) -> None:  # W13
    write(server, project, ["a", "b"])
    answer = server.http.get(f"/v1/projects/{project}/commits", headers={"accept": "application/x-ndjson"})
    assert [json.loads(line)["v"] for line in answer.text.splitlines()] == [1, 2, 3]


def test_commits_come_live_as_events_and_go_on_where_they_broke_off(server: Serving, project: str) -> None:  # W13
    write(server, project, ["a"])
    headers = {"accept": "text/event-stream", "last-event-id": "1"}
    with server.http.stream("GET", f"/v1/projects/{project}/commits", headers=headers) as stream:
        lines = (line for line in stream.iter_lines() if line)
        assert next(lines) == "id: 2"
        assert json.loads(next(lines).removeprefix("data: "))["v"] == 2
        write(server, project, ["b"])
        assert next(lines) == "id: 3"


def test_a_contract_is_put_read_and_followed(server: Serving) -> None:  # W14
    put = server.http.put("/v1/contracts/notes", json=NOTES)
    assert (put.status_code, put.json()["version"]) == (201, 1)
    assert server.http.put("/v1/contracts/notes", json=NOTES).status_code == 200
    assert server.http.get("/v1/contracts/notes").json()["document"] == NOTES
    project = server.http.post("/v1/projects", json={"name": "follows", "contract": "notes"}).json()
    has = server.http.get(f"/v1/projects/{project['id']}/contract").json()
    assert (has["name"], has["hash"], has["document"]) == ("notes", put.json()["hash"], NOTES)
    assert "notes" in [each["name"] for each in server.http.get("/v1/contracts").json()["contracts"]]


def test_a_destructive_contract_waits_for_a_migration_that_says_so(server: Serving) -> None:  # W14
    server.http.put("/v1/contracts/shrinks", json=NOTES)
    project = server.http.post("/v1/projects", json={"name": "shrinks", "contract": "shrinks"}).json()["id"]
    smaller: dict[str, Any] = json.loads(json.dumps(NOTES))
    del smaller["properties"]["note"]["items"]["properties"]["text"]
    assert server.http.put("/v1/contracts/shrinks", json=smaller).json()["version"] == 2
    migrate = "/v1/contracts/shrinks/migrate"
    (told,) = server.http.post(migrate, json={"projects": "all"}).json()["projects"]
    assert (told["id"], told["kind"], told["version"]) == (project, "destructive", 1)
    (refused,) = server.http.post(migrate, json={"projects": [project], "dry_run": False}).json()["projects"]
    assert refused["problem"]
    body = {"projects": [project], "dry_run": False, "allow_destructive": True}
    (done,) = server.http.post(migrate, json=body).json()["projects"]
    assert (done["problem"], done["version"]) == (None, 2)


def test_an_unknown_address_and_a_wrong_method_are_told_like_every_error(server: Serving) -> None:  # W15
    assert error(server.http.get("/v1/nowhere")) == (404, "not_found")
    assert error(server.http.get(f"/v1/projects/{'0' * 32}")) == (404, "not_found")
    assert error(server.http.put("/v1/projects", json={})) == (405, "method_not_allowed")


BODIES = [b"", b"{", b"[]", b'{"name":1}', b'{"contract":{}}', b'{"name":"x","contract":{},"more":1}']


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_no_request_is_told_like_every_error(server: Serving, body: bytes) -> None:  # W15
    answer = server.http.post("/v1/projects", content=body, headers={"content-type": "application/json"})
    assert error(answer) == (400, "bad_request")


def test_a_bad_contract_is_refused_with_the_pointer(server: Serving) -> None:  # W15
    bad = {"type": "object", "properties": {"_t": {"type": "array"}}}
    answer = server.http.post("/v1/projects", json={"name": "bad", "contract": bad})
    assert error(answer) == (422, "contract_invalid")
    assert answer.json()["error"]["errors"][0]["pointer"].startswith("/properties/_t")


def test_only_json_as_it_is_comes_in(server: Serving) -> None:  # W16
    form = server.http.post("/v1/projects", content=b"{}", headers={"content-type": "text/plain"})
    assert error(form) == (415, "unsupported_media_type")
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert error(server.http.post("/v1/projects", content=b"{}", headers=headers)) == (415, "unsupported_media_type")


def test_a_body_without_a_length_is_counted_while_it_comes(server: Serving, project: str) -> None:  # W16
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * (1 << 20)

    headers = {"content-type": "application/json"}
    answer = server.http.post(f"/v1/projects/{project}/mutations", content=endless(), headers=headers)
    assert error(answer) == (413, "too_large")


def test_every_answer_has_the_id_of_its_request(server: Serving) -> None:  # W17
    assert len(server.http.get("/healthz").headers["x-request-id"]) == 16
    assert server.http.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    odd = server.http.get("/healthz", headers={"x-request-id": "a b"}).headers["x-request-id"]
    assert odd != "a b"


def test_the_server_says_that_it_lives_and_is_ready(server: Serving) -> None:  # W17
    assert server.http.get("/healthz").json() == {"status": "ok"}
    assert server.http.get("/readyz").json()["status"] == "ready"


def test_figures_are_there_for_prometheus_and_name_no_project(server: Serving, project: str) -> None:  # W17
    write(server, project, ["a"])
    page = server.http.get("/metrics").text
    assert 'sharelite_requests_total{method="POST",route="/v1/projects/{project}/mutations",status="200"}' in page
    assert 'sharelite_mutations_total{answer="committed"}' in page
    assert project not in page


def test_the_console_brings_everything_along(server: Serving) -> None:  # W18
    page = server.http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("console.js", "console.css", "icon.svg"):
        assert f"console/{name}" in page.text
        assert server.http.get(f"/console/{name}").status_code == 200
    assert "://" not in page.text.replace("http://www.w3.org", "")


@pytest.mark.parametrize("path", ["%2e%2e/%2e%2e/app.py", "..%2f..%2fapp.py", "a%00b", "/etc/passwd"])
def test_files_of_a_folder_are_all_that_it_gives(server: Serving, path: str) -> None:  # W18
    assert error(server.http.get(f"/console/{path}")) == (404, "not_found")


def test_one_project_in_use_by_many_at_once(server: Serving, project: str) -> None:  # W11
    def writer(number: int) -> None:
        body = {"changes": [["i", "note", [f"n{number}"], {"text": "x"}]]}
        answers.append(httpx.post(f"{server.url}/v1/projects/{project}/mutations", json=body).json()["version"])

    answers: list[int] = []
    threads = [threading.Thread(target=writer, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(2, 22))
