"""A real server with two projects: one that is abused, and a neighbour who must not notice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import RunningServer
from tests.scenarios.window import Window

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
COLOR = {"type": "string", "pattern": "^#[0-9a-f]{6}$"}
CONTRACT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "node": {
            "type": "array",
            "x-sql": {"tree": "parent"},
            "items": {
                "type": "object",
                "required": ["id", "name"],
                "properties": {
                    "id": TEXT,
                    "name": {"type": "string", "maxLength": 20},
                    "parent": {"type": "string", "x-sql": {"references": "node", "onDelete": "cascade"}},
                    "size": {"type": "integer", "minimum": 0},
                    "weight": {"type": "number"},
                    "note": TEXT,
                    "style": {"type": "object", "properties": {"color": COLOR}},
                },
                "additionalProperties": False,
            },
        },
        "seat": {
            "type": "array",
            "x-sql": {"unique": [["line", "number"], ["guest"]]},
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": TEXT, "line": NUMBER, "number": NUMBER, "guest": TEXT},
                "additionalProperties": False,
            },
        },
    },
}


class Street:
    """The server, the abused project and the neighbour."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.project = server.create("abused", CONTRACT)
        self.neighbour = server.create("neighbour", CONTRACT)

    def window(self, project: str | None = None) -> Window:
        return Window(self.server, project or self.project)

    def neighbour_is_undisturbed(self) -> bool:
        """The neighbour commits as ever."""
        with self.window(self.neighbour) as window:
            return bool(window.push([["s", "node", ["n"], {"name": window.client[:16]}]])["type"] == "commits")

    def rows(self, table: str = "node") -> int:
        """How many rows the abused project's commits have left."""
        status, answer = self.server.ask("GET", f"/v1/projects/{self.project}/commits?after=0&limit=1000")
        assert status == 200, answer
        kinds = [change[0] for commit in answer["commits"] for change in commit["changes"] if change[1] == table]
        return kinds.count("i") - kinds.count("d")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with RunningServer(tmp_path_factory.mktemp("street") / "data") as server:
        yield Street(server)
