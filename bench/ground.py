"""What the figures stand on: contracts of n columns, projects with rows, memory and processor time of a process."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from typing import Any

from tests.running import RunningServer

from .raw import new_client

ROWS = 100


def contract(columns: int) -> dict[str, Any]:
    """One table `item` with a text key and `columns` columns in all."""
    properties: dict[str, Any] = {"id": {"type": "string"}}
    properties |= {f"c{n}": {"type": "integer"} for n in range(columns - 1)}
    items = {"type": "object", "required": ["id"], "properties": properties, "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"item": {"type": "array", "items": items}},
    }


def project(server: RunningServer, name: str, columns: int = 10) -> str:
    """A project whose table has 100 rows, r0 to r99, every column filled."""
    made = server.create(name, contract(columns))
    rows = [["i", "item", [f"r{n}"], {f"c{c}": 0 for c in range(columns - 1)}] for n in range(ROWS)]
    status, answer = server.ask("POST", f"/v1/projects/{made}/mutations", {"id": [new_client(), 1], "changes": rows})
    assert status == 200, answer
    return made


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True).stdout)


def download(server: RunningServer, path: str) -> bytes:
    with urllib.request.urlopen(server.url + path, timeout=60) as answer:
        body: bytes = answer.read()
        return body


def set_cell(row: int, column: int, value: int) -> str:
    """One update of one property, as JSON text."""
    return json.dumps([["u", "item", [f"r{row % ROWS}"], {f"c{column}": value}]], separators=(",", ":"))
