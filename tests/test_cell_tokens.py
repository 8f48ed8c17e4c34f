"""A cell with keys: who asks at any node is who he is at the leader (SPEC K75)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from sharelite.auth import Role
from sharelite.tokens import issue, load_keys
from tests.company import Company, company
from tests.serving import NOTES
from tests.test_app import key_file

EDIT = {"changes": [["s", "note", ["n"], {"text": "x"}]]}


class Guarded:
    """A cell whose nodes know one key file."""

    def __init__(self, cell: Company, keys: Any) -> None:
        self.cell, self._key = cell, keys.keys["main"]
        root = self.make("root", {"*": "owner"})
        self.project = str(self.ask("b", root, "POST", "", json={"name": "p", "contract": NOTES}).json()["id"])
        for node in "abc":
            assert self.ask(node, root, "GET", f"/{self.project}?level=strict").status_code == 200
        (leader,) = [node for node in "abc" if cell.node(node).cell.leading]
        self.followers = [node for node in "abc" if node != leader]

    def make(self, user: str, projects: Mapping[str, Role], seconds: int = 600) -> str:
        return issue(self._key, "main", user, projects, seconds)

    def ask(self, node: str, token: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.request(method, f"{self.cell[node].url}/v1/projects{path}", headers=headers, timeout=60, **more)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    path = key_file(folder)
    with company(folder, keys=path) as cell:
        yield Guarded(cell, load_keys(path))


def test_a_follower_asks_for_the_same_rights_as_the_leader(guarded: Guarded) -> None:  # K75
    project = guarded.project
    reader, stranger = guarded.make("rita", {project: "reader"}), guarded.make("sam", {"other": "owner"})
    late = guarded.make("ada", {project: "editor"}, seconds=-3600)
    for node in guarded.followers:
        for method, path, more in (
            ("POST", f"/{project}/mutations", {"json": EDIT}),
            ("POST", f"/{project}/sql", {"json": {"statements": [{"sql": "DELETE FROM note"}]}}),
            ("PATCH", f"/{project}", {"json": {"public": True}}),
            ("DELETE", f"/{project}", {}),
        ):
            codes = [guarded.ask(node, token, method, path, **more).status_code for token in (None, late)]
            assert codes == [401, 401], path
            assert guarded.ask(node, reader, method, path, **more).status_code == 403, path
            assert guarded.ask(node, stranger, method, path, **more).status_code == 404, path
        assert guarded.ask(node, reader, "GET", f"/{project}/commits?level=strict").json()["version"] == 1


def test_what_is_done_through_a_follower_bears_the_name_of_who_did_it(guarded: Guarded) -> None:  # K75
    project = guarded.project
    for node in guarded.followers:
        ada = guarded.make(f"ada at {node}", {project: "editor"})
        answer = guarded.ask(node, ada, "POST", f"/{project}/mutations", json=EDIT)
        assert answer.status_code == 200, answer.text
        sql = {"statements": [{"sql": "UPDATE note SET text=?", "params": [node]}]}
        assert guarded.ask(node, ada, "POST", f"/{project}/sql", json=sql).status_code == 200
        commits = guarded.ask(node, ada, "GET", f"/{project}/commits").json()["commits"]
        assert [commit["by"] for commit in commits[-1:]] == [f"ada at {node}"]


def test_a_token_is_renewed_at_a_follower(guarded: Guarded) -> None:  # K75
    project, node = guarded.project, guarded.followers[0]
    with guarded.cell[node].open(project, guarded.make("eve", {project: "reader"})) as talk:
        talk.push("e", text="x")
        assert talk.hear()["code"] == "forbidden"
        talk.say("auth", token=guarded.make("eve", {project: "editor"}))
        talk.push("e", text="x")
        assert talk.hear()["commits"][0]["by"] == "eve"
