"""Images between the nodes of a cell (SPEC K74)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.company import Company, company
from tests.test_accord import eventually
from tests.test_cell_service import texts, write
from tests.test_imaging import SELDOM


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Company]:
    with company(tmp_path, images=SELDOM) as made:
        yield made


def published(cell: Company, node: str) -> tuple[str, dict[str, Any], bytes]:
    """A project whose image only one node has, what that node says of it, and its bytes."""
    project = cell.project()
    write(cell, "a", project, "one")
    texts(cell, node, project, "?level=strict")
    image = cell[node].http.get(f"/v1/projects/{project}/image").json()
    return project, image, cell[node].http.get(image["url"]).content


def test_an_address_that_one_node_gave_works_at_every_node(cell: Company) -> None:  # K74
    project, image, content = published(cell, "c")
    for node in "ab":
        assert not (cell.folder / node / "projects" / project / "images").exists()
        eventually(lambda node=node: cell[node].http.head(image["url"]).status_code == 200)  # type: ignore[misc]
        answer = cell[node].http.get(image["url"])
        assert (answer.status_code, answer.headers["etag"]) == (200, f'"{image["hash"]}"')
        assert answer.content == content
        part = cell[node].http.get(image["url"], headers={"range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, content[100:200])
        assert cell[node].http.head(image["url"]).headers["content-length"] == str(image["size"])


def test_what_no_node_has_is_not_there_and_what_nobody_gives_is_unavailable(cell: Company) -> None:  # K74
    project, image, _ = published(cell, "c")
    other = image["url"].replace(image["hash"], hashlib.sha256(b"").hexdigest())
    assert cell["a"].http.get(other).status_code in (404, 410)
    for chunk in (cell.folder / "c" / "chunks").iterdir():
        chunk.write_bytes(b"spoilt" + chunk.read_bytes())
    for node in "ab":
        for chunk in (cell.folder / node / "chunks").glob("*"):
            chunk.unlink()
    assert cell["a"].http.get(image["url"]).status_code == 503
