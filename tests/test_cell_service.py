"""A whole cell as its clients see it: any node takes anything (SPEC K55, K56)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.company import Company, company
from tests.serving import NOTES


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company(tmp_path_factory.mktemp("cell")) as made:
        yield made


def push(text: str, row: str = "n", client: str = "1" * 32, counter: int = 1) -> dict[str, Any]:
    return {"id": [client, counter], "changes": [["s", "note", [row], {"text": text}]]}


def write(cell: Company, node: str, project: str, *args: Any, **named: Any) -> int:
    answer = cell[node].http.post(f"/v1/projects/{project}/mutations", json=push(*args, **named))
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


def texts(cell: Company, node: str, project: str, query: str = "") -> list[str]:
    answer = cell[node].http.get(f"/v1/projects/{project}/commits{query}")
    assert answer.status_code == 200, answer.text
    return [commit["changes"][0][3]["text"] for commit in answer.json()["commits"][1:]]


@pytest.mark.parametrize("node", "abc")
def test_a_project_made_at_any_node_is_on_every_node(cell: Company, node: str) -> None:  # K55, K56
    project = cell[node].project(f"made at {node}")
    shown = [cell[other].http.get(f"/v1/projects/{project}?level=strict").json() for other in "abc"]
    assert [each["name"] for each in shown] == [f"made at {node}"] * 3
    assert [cell[other].http.get(f"/v1/projects/{project}").status_code for other in node] == [200]


@pytest.mark.parametrize("node", "abc")
def test_a_mutation_is_taken_by_any_node_and_seen_there_at_once(cell: Company, node: str) -> None:  # K56
    project = cell[node].project()
    assert write(cell, node, project, "one") == 2
    assert texts(cell, node, project) == ["one"]
    for other in "abc":
        assert texts(cell, other, project, "?level=linearizable") == ["one"]


@pytest.mark.parametrize("node", "bc")
def test_a_project_is_known_at_every_node_at_once(cell: Company, node: str) -> None:  # K86
    for _ in range(10):
        project = cell["a"].project()
        assert cell[node].http.get(f"/v1/projects/{project}").status_code == 200
    assert cell[node].http.get(f"/v1/projects/{'0' * 32}").status_code == 404


def test_an_id_has_one_effect_whichever_node_it_is_sent_to(cell: Company) -> None:  # K56
    project = cell.project("b")
    assert [write(cell, node, project, "same") for node in "bacab"] == [2] * 5
    assert texts(cell, "c", project, "?level=strict") == ["same"]


def test_a_client_on_a_follower_gets_its_own_commit_in_its_feed(cell: Company) -> None:  # K56
    project = cell.project()
    with cell["b"].open(project) as ben, cell["c"].open(project) as cleo:
        ben.push("n", text="from ben")
        assert ben.hear()["commits"][0]["id"] == [ben.client, 1]
        assert cleo.hear()["commits"][0]["changes"][0][1:3] == ["note", ["n"]]
        ben.say("push", id=[ben.client, 2], changes=[["i", "note", ["n"], {}]])
        refused = ben.hear()
        assert (refused["type"], refused["code"], refused["version"]) == ("refused", "exists", 2)


def test_many_pushes_of_one_client_on_a_follower_keep_their_order(cell: Company) -> None:  # K56
    project = cell.project()
    with cell["b"].open(project) as ben:
        for number in range(100):
            ben.push("n", text=str(number))
        seen: list[int] = []
        while len(seen) < 100:
            seen += [commit["id"][1] for commit in ben.hear()["commits"]]
        assert seen == list(range(1, 101))


def test_a_deleted_project_is_gone_on_every_node_and_its_clients_are_told(cell: Company) -> None:  # K55
    project = cell.project("b")
    with cell["c"].open(project) as cleo:
        assert cell["b"].http.delete(f"/v1/projects/{project}").status_code == 204
        assert cleo.hear()["type"] == "goodbye"
    for node in "abc":
        gone(cell, node, project)


def gone(cell: Company, node: str, project: str) -> None:
    pause = threading.Event()
    for _ in range(1000):
        there = (cell.folder / node / "projects" / project).exists()
        if not there and cell[node].http.get(f"/v1/projects/{project}").status_code == 404:
            return
        pause.wait(0.01)
    raise AssertionError(f"{project} is still at {node}")


def test_a_contract_put_at_a_follower_counts_everywhere(cell: Company) -> None:  # K55
    assert cell["c"].http.put("/v1/contracts/notes", json=NOTES).status_code == 201
    answer = cell["b"].http.post("/v1/projects", json={"name": "by contract", "contract": "notes"})
    assert answer.status_code == 201, answer.text
    wider = {**NOTES, "properties": {**NOTES["properties"], "more": {"type": "object", "properties": {}}}}
    assert cell["b"].http.put("/v1/contracts/notes", json=wider).status_code == 201
    with cell["c"].open(answer.json()["id"]) as cleo:
        assert "more" in cleo.welcome["contract"]["properties"]


def test_what_is_wrong_is_said_by_the_leader_in_its_own_words(cell: Company) -> None:  # K56
    cell["a"].project("twice")
    for node in "bc":
        answer = cell[node].http.post("/v1/projects", json={"name": "twice", "contract": NOTES})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "already_exists")


def test_a_read_waits_for_the_version_it_was_asked_for(cell: Company) -> None:  # K59
    project = cell.project()
    version = write(cell, "a", project, "new")
    assert texts(cell, "c", project, f"?at_least={version}") == ["new"]
    assert cell["c"].http.get(f"/v1/projects/{project}/commits?level=wrong").status_code == 400


def test_a_client_that_comes_from_another_node_is_not_told_that_it_is_ahead(cell: Company) -> None:  # K69
    project = cell.project()
    with cell["b"].open(project) as ben:
        lane = cell.node("b").cell.lane(project)
        seen, lane.next = lane.next, lambda: None  # type: ignore[method-assign]
        version = write(cell, "a", project, "new")

        def go_on() -> None:
            lane.next = seen  # type: ignore[method-assign]
            lane.call()

        threading.Timer(0.3, go_on).start()
        with cell["b"].open(project, cursor=version) as cleo:
            assert cleo.welcome["version"] == version
        assert ben.hear()["commits"][0]["v"] == version


def test_what_was_acknowledged_is_read_right_after_an_election(tmp_path: Path) -> None:  # K59
    with company(tmp_path) as made:
        project = made.project()
        write(made, "a", project, "one")
        (leader,) = [node for node in "abc" if made.node(node).cell.leading]
        made.memory.elect("b" if leader != "b" else "c")
        for node in "abc":
            for level in ("linearizable", "strict"):
                assert texts(made, node, project, f"?level={level}") == ["one"]


def test_a_leader_that_reaches_nobody_proves_nothing(tmp_path: Path) -> None:  # K59
    with company(tmp_path) as made:
        project = made["a"].project()
        made.memory.hold()
        for node in "ab":
            answer = made[node].http.get(f"/v1/projects/{project}?level=linearizable")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
            assert made[node].http.get(f"/v1/projects/{project}?level=any").status_code == 200
        made.memory.release()
