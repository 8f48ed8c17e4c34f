"""`sharelite contract`, against a real server (SPEC C27)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sharelite.commands.contract import contract
from tests.contract_files import CONTRACTS, bad, one_table
from tests.serving import Serving

TEXT = {"type": "string"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("contracts") / "data") as running:
        yield running


def run(server: Serving | None, *arguments: str | Path) -> Result:
    url = ["--url", server.url] if server else []
    return CliRunner().invoke(contract, [*url, *map(str, arguments)])


def good(done: Result) -> str:
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def write(folder: Path, name: str, document: Any) -> Path:
    path = folder / f"{name}.schema.json"
    path.write_text(json.dumps(document))
    return path


def test_check_says_which_tables_there_are() -> None:  # C27
    told = good(run(None, "check", *sorted(CONTRACTS.glob("*.schema.json"))))
    assert "route.points: 8 columns, key _parent.id, id" in told
    assert "scene: 21 columns, single row" in told
    assert "note: feature: spatial search is not yet available" in told


def test_check_ends_with_1_and_the_places_of_every_file(tmp_path: Path) -> None:  # C1, C27
    wrong = [write(tmp_path, name, bad(name)["contract"]) for name in ("dot-in-a-name", "look-ahead")]
    done = run(None, "check", *wrong, CONTRACTS / "todo.schema.json")
    assert done.exit_code == 1
    for path, place in zip(wrong, ("a.b", "a/pattern"), strict=True):
        assert f"{path}: /properties/t/items/properties/{place}: " in done.output
    assert "todo: " in done.output


def test_types_go_to_the_screen_or_to_a_file(tmp_path: Path) -> None:  # C26, C27
    shown = good(run(None, "types", CONTRACTS / "todo.schema.json"))
    assert "export interface Todo {" in shown
    good(run(None, "types", CONTRACTS / "todo.schema.json", "-o", tmp_path / "todo.ts"))
    assert (tmp_path / "todo.ts").read_text() == shown


def test_what_is_pushed_is_what_is_pulled(server: Serving, tmp_path: Path) -> None:  # C27
    path = CONTRACTS / "whiteboard.schema.json"
    assert "whiteboard: version 1, " in good(run(server, "push", path))
    assert "whiteboard: version 1, " in good(run(server, "push", path))
    good(run(server, "pull", "whiteboard", "-o", tmp_path / "pulled.schema.json"))
    assert json.loads((tmp_path / "pulled.schema.json").read_text()) == json.loads(path.read_text())


def test_diff_shows_kind_reasons_and_steps(server: Serving, tmp_path: Path) -> None:  # C21, C22, C27
    old, new = write(tmp_path, "old", one_table({"a": TEXT})), write(tmp_path, "new", one_table({"b": TEXT}))
    told = good(run(None, "diff", old, new))
    assert told.splitlines()[:2] == ["destructive", "  t: a and its values are dropped"]
    assert '  ALTER TABLE "t" ADD COLUMN "b" TEXT;' in told
    good(run(server, "push", old, "--name", "differs"))
    assert good(run(server, "diff", new, "--name", "differs")) == told
    assert good(run(server, "diff", old, "--name", "differs")) == "none\n"


def test_migrate_tells_first_and_does_it_with_the_flag(server: Serving, tmp_path: Path) -> None:  # C22, C27
    good(run(server, "push", write(tmp_path, "grows", one_table({"a": TEXT}))))
    made = server.http.post("/v1/projects", json={"name": "growing", "contract": "grows"}).json()["id"]
    single = {"type": "object", "properties": {"title": {**TEXT, "default": "x"}}}
    document = one_table({"b": TEXT})
    document["properties"]["s"] = single
    good(run(server, "push", write(tmp_path, "grows", document)))
    assert f"growing ({made}): destructive, would be" in good(run(server, "migrate", "grows", "--all", "--dry-run"))
    refused = run(server, "migrate", "grows", "--project", made)
    assert refused.exit_code == 1 and "destructive, not done" in refused.output
    told = good(run(server, "migrate", "grows", "--all", "--allow-destructive"))
    assert f"growing ({made}): destructive, done" in told and 'CREATE TABLE "s"' in told
    pushed = server.http.post(f"/v1/projects/{made}/mutations", json={"changes": [["u", "s", [1], {"title": "y"}]]})
    assert pushed.status_code == 200, pushed.text


def test_migrate_wants_to_know_which_projects(server: Serving) -> None:  # C27
    assert run(server, "migrate", "grows").exit_code == 2


def test_what_a_server_refuses_is_told_in_its_words(server: Serving, tmp_path: Path) -> None:  # C27
    for arguments in (["pull", "nothing"], ["push", write(tmp_path, "x", one_table({})), "--name", "a/b"]):
        done = run(server, *arguments)
        assert done.exit_code == 1 and str(done.exception), done.output
    invalid = run(server, "push", write(tmp_path, "y", bad("dot-in-a-name")["contract"]))
    assert "a name cannot contain a dot" in str(invalid.exception)
