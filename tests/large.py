"""A large project as `sharelite publish` would leave it: a plain file of any size and its `latest.json`.

Made in seconds: its rows come from SQL, and its place in a log is invented: nothing but reading is possible with it.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from sharelite.schema.contract import Contract
from sharelite.schema.tables import create_steps
from sharelite.sync import apply

PROJECT = "1a" * 16
VERSION = 7
PAGE = 4096
CHUNK = 65_536
TEXT, NUMBER = {"type": "string"}, {"type": "number"}


def rows(index: list[list[str]], required: list[str], **properties: object) -> dict[str, Any]:
    items = {"type": "object", "required": ["id", *required], "properties": {"id": TEXT, **properties}}
    return {"type": "array", "x-sql": {"index": index}, "items": items}


CONTRACT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "node": rows(
            [["parent"], ["name"]],
            ["parent", "name"],
            **{"parent": TEXT, "name": TEXT, "kind": {**TEXT, "default": "box"}, "color": TEXT},
            **{name: NUMBER for name in ("x", "y", "z", "width", "height", "depth")},
            visible={"type": "boolean", "default": True},
        ),
        "link": rows([["source"]], ["source", "target"], source=TEXT, target=TEXT, weight=NUMBER),
        "doc": rows([["node"]], ["node"], node=TEXT, title=TEXT, body=TEXT),
        "picture": rows([], [], data={**TEXT, "contentEncoding": "base64"}),
    },
}
COUNT = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ? - 1) "
NODES = """INSERT INTO node(id, parent, name, kind, color, x, y, z, width, height, depth, visible)
  SELECT printf('n%07d', i), printf('n%07d', i / 20), printf('node %07d', i), CASE i % 3 WHEN 0 THEN 'sphere' END,
    printf('#%06x', i * 7919 % 16777216), i * 0.5, i * 0.25, i * 0.125, 10.5, 20.25, 30.125,
    CASE i % 5 WHEN 0 THEN 0 END
  FROM n"""
LINKS = """INSERT INTO link SELECT printf('l%07d', i), printf('n%07d', i), printf('n%07d', i * 31 % 10007), i * 0.5
  FROM n"""
DOCS = """INSERT INTO doc SELECT printf('d%06d', i), printf('n%07d', i), printf('Document %d', i),
  printf('%.*c', ?, char(97 + i % 26)) FROM n"""
PICTURES = "INSERT INTO picture SELECT printf('p%05d', i), randomblob(20000) FROM n"


def make(path: Path, nodes: int, links: int, docs: int, pictures: int, words: int = 300) -> None:
    """A database of these numbers of rows; `words`: characters of a document."""
    contract = Contract.parse(CONTRACT)
    with closing(apsw.Connection(str(path))) as database:
        for pragma in (f"page_size={PAGE}", "journal_mode=off", "synchronous=off", "cache_size=-200000"):
            database.execute(f"PRAGMA {pragma}")
        apply.create(database, PROJECT, "2b" * 16)
        steps = create_steps(contract)
        with database:
            for step in steps:
                database.execute(step)
            for statement, number in ((NODES, nodes), (LINKS, links), (DOCS, docs), (PICTURES, pictures)):
                database.execute(COUNT + statement, (number, words) if statement is DOCS else (number,))
            version = VERSION.to_bytes(8, "big")
            database.execute('UPDATE "_sharelite" SET seq=?, version=? WHERE id=1', (version, version))
            text = json.dumps(CONTRACT, separators=(",", ":"))
            database.execute(apply.SET_CONTRACT, (hashlib.sha256(text.encode()).hexdigest(), text))


def publish(folder: Path, **numbers: int) -> dict[str, Any]:
    """Makes and announces it; what `latest.json` says."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "made.db"
    make(made, **numbers)
    hash = image_hash(made)
    name = f"{VERSION}-{hash}.db"
    made.rename(folder / name)
    said = {
        "format": 1, "project": PROJECT, "name": "Large", "epoch": "2b" * 16, "version": VERSION, "seq": VERSION,
        "url": name, "size": (folder / name).stat().st_size, "page_size": PAGE, "hash": hash,
    }  # fmt: skip
    (folder / "latest.json").write_text(json.dumps(said))
    return said


def image_hash(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            whole.update(hashlib.sha256(chunk).digest())
    return whole.hexdigest()
