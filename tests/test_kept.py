"""Data directories of earlier releases are opened whole, and go on (SPEC L27)."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sharelite.__main__ import sharelite
from tests.keeping import KEPT, told
from tests.running import RunningServer

RELEASES = sorted(path.stem for path in KEPT.glob("*.json"))


def unpacked(release: str, folder: Path) -> Path:
    with tarfile.open(KEPT / f"{release}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "data"


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(release: str, tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(unpacked(release, tmp_path)) as running:
        yield running


def kept(release: str) -> Any:
    return json.loads((KEPT / f"{release}.json").read_text(encoding="utf-8"))


def test_there_are_some() -> None:
    assert len(RELEASES) >= 2 and [name for name in RELEASES if not (KEPT / f"{name}.tar.xz").exists()] == []


def test_what_an_earlier_release_wrote_is_read_whole(release: str, server: RunningServer) -> None:  # L27
    assert told(server) == kept(release)["projects"]
    server.stop()
    server.start()
    assert told(server) == kept(release)["projects"]


def test_mutations_of_an_earlier_release_have_the_answer_that_they_had(release: str, server: RunningServer) -> None:
    # L27
    for each in kept(release)["repeated"]:
        answer = server.ask("POST", f"/v1/projects/{each['project']}/mutations", each["body"])
        assert answer == (each["status"], each["answer"])


def test_a_project_of_an_earlier_release_goes_on(release: str, server: RunningServer) -> None:  # L27
    seen = kept(release)["projects"]
    for name, project in seen.items():
        table = "thing" if name.startswith("Plan") else "heard"
        key = "new" if table == "thing" else 99
        body = {"changes": [["i", table, [key], {}]]}
        answer = server.ask("POST", f"/v1/projects/{project['id']}/mutations", body)
        assert answer == (200, {"version": project["version"] + 1})
        assert server.ask("GET", f"/v1/projects/{project['id']}/image")[1]["version"] <= project["version"] + 1
    server.kill()
    server.start()
    assert {name: project["version"] - 1 for name, project in told(server).items()} == {
        name: project["version"] for name, project in seen.items()
    }


def test_verify_finds_nothing_wrong_with_it(release: str, tmp_path: Path) -> None:  # L27, I18
    answer = CliRunner().invoke(sharelite, ["verify", str(unpacked(release, tmp_path)), "--replay"])
    assert (answer.exit_code, answer.stdout) == (0, "")
