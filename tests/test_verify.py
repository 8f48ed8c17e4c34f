"""`sharelite verify` and `sharelite publish` (SPEC I18, I19)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sharelite.__main__ import sharelite
from sharelite.commands.publish import write
from sharelite.errors import Damaged, ShareliteError
from sharelite.storage.lock import DirectoryInUse
from tests.serving import Serving


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one project `plan` that has images of versions 2 and 3."""
    data = tmp_path_factory.mktemp("verify") / "data"
    with Serving(data) as server:
        project = server.project("plan")
        for turn in range(2):
            changes = [["s", "note", [f"n{n}"], {"text": f"{turn if n == 50 else n}" * 2000}] for n in range(60)]
            server.http.post(f"/v1/projects/{project}/mutations", json={"changes": changes})
            server.http.get(f"/v1/projects/{project}/db")
    return data


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "data"))


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(sharelite, [str(word) for word in words])


def project_of(data: Path) -> Path:
    (project,) = (data / "projects").iterdir()
    return project


def test_what_is_as_it_was_written_passes(data: Path) -> None:  # I18
    answer = run("verify", data, "--replay")
    assert (answer.exit_code, answer.stdout) == (0, "")


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def shared(data: Path) -> Iterator[tuple[Path, str]]:
    """Chunks, and the versions that `verify` says they touch."""
    for path in sorted((data / "chunks").iterdir()):
        flip(path, 100)
        yield path, run("verify", data).stdout
        flip(path, 100)


def test_each_flipped_chunk_is_found_with_the_versions_that_it_touches(data: Path) -> None:  # I18
    told = [(path.name, text) for path, text in shared(data)]
    assert all(f"plan: chunk {name} is not itself (touches version" in text for name, text in told)
    touched = {text.partition("(touches ")[2].strip(" )\n") for _, text in told}
    assert touched == {"version 2", "version 3", "versions 2, 3"}


def test_lost_and_swapped_chunks_are_found(data: Path) -> None:  # I18
    first, second, third, *_ = sorted((data / "chunks").iterdir())
    first.unlink()
    keep = second.read_bytes()
    second.write_bytes(third.read_bytes())
    third.write_bytes(keep)
    text = run("verify", data).stdout
    assert f"{first.name} is missing" in text
    assert f"{second.name} is not itself" in text and f"{third.name} is not itself" in text


def harm_log(project: Path) -> str:
    with closing(sqlite3.connect(project / "log.db")) as log:
        log.execute("UPDATE entries SET body=CAST(substr(body, 1, length(body) - 1) || 'x' AS BLOB) WHERE seq=2")
        log.commit()
    return "entry 2 is not what its digest says"


def harm_gap(project: Path) -> str:
    with closing(sqlite3.connect(project / "log.db")) as log:
        log.execute("DELETE FROM entries WHERE seq=2")
        log.commit()
    return "entry 2 is missing"


def harm_rows(project: Path) -> str:
    with closing(sqlite3.connect(project / "data.db")) as rows:
        rows.execute("UPDATE note SET text='forged' WHERE id='n1'")
        rows.commit()
    return "its rows do not have the row digest"


def harm_position(project: Path) -> str:
    with closing(sqlite3.connect(project / "data.db")) as rows:
        rows.execute('UPDATE "_sharelite" SET log_digest=zeroblob(32) WHERE id=1')
        rows.commit()
    return "which is not on the way of its log"


def harm_manifest(project: Path) -> str:
    flip(next(path for path in (project / "images").iterdir() if path.name != "changed"), 60)
    return "not as it was written"


def harm_file(project: Path) -> str:
    (project / "data.db").write_bytes(b"no database at all" * 1000)
    return "plan: "


HARMS = [harm_log, harm_gap, harm_rows, harm_position, harm_manifest, harm_file]


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_what_is_not_as_it_was_written_is_told(data: Path, harm: Any) -> None:  # I18
    words = harm(project_of(data))
    answer = run("verify", data)
    assert answer.exit_code == 1 and words in answer.stdout, answer.stdout


def test_rows_that_the_log_does_not_lead_to_are_told_by_a_replay(data: Path) -> None:  # I18
    """Forged with the right row digest: only the log knows."""
    with closing(sqlite3.connect(project_of(data) / "data.db")) as rows:
        rows.execute("DELETE FROM note")
        rows.execute('UPDATE "_sharelite" SET row_digest=zeroblob(16) WHERE id=1')
        rows.commit()
    assert "does not have the rows that its log leads to" in run("verify", data, "--replay").stdout


def test_a_directory_that_is_served_is_not_verified(tmp_path: Path) -> None:  # I18
    with Serving(tmp_path / "data"):
        assert isinstance(run("verify", tmp_path / "data").exception, DirectoryInUse)


def test_a_project_is_published_as_plain_files_from_a_server(tmp_path: Path) -> None:  # I19
    with Serving(tmp_path / "data") as server:
        project = server.project("plan")
        answer = run("publish", "plan", tmp_path / "out", "--url", server.url)
        assert answer.exit_code == 0, answer.output
        told = server.http.get(f"/v1/projects/{project}/image").json()
    latest = json.loads((tmp_path / "out/latest.json").read_text())
    file = f"{told['version']}-{told['hash']}.db"
    assert latest == {**told, "url": file, "format": 1, "name": "plan"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([file, "latest.json"])
    with closing(sqlite3.connect(tmp_path / "out" / file)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_project_is_published_from_a_data_directory(data: Path, tmp_path: Path) -> None:  # I19
    for _ in range(2):
        answer = run("publish", "plan", tmp_path / "out", "--data", data)
        assert answer.exit_code == 0, answer.output
    latest = json.loads((tmp_path / "out/latest.json").read_text())
    assert (latest["version"], (tmp_path / "out" / latest["url"]).stat().st_size) == (3, latest["size"])
    assert isinstance(run("publish", "nobody", tmp_path / "out", "--data", data).exception, ShareliteError)


def test_what_came_wrong_is_not_published(tmp_path: Path) -> None:  # I19
    image = {"version": 2, "hash": "0" * 64, "size": 5}
    with pytest.raises(Damaged):
        write(tmp_path, "plan", image, [b"other"])
    assert list(tmp_path.iterdir()) == []
