"""The rows of the catalog: its contract, and its projects, contracts and nodes as plain values."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

CONTRACT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "catalog",
    "type": "object",
    "properties": {
        "project": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "name", "fold", "state", "created", "by"],
                "properties": {
                    "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                    "name": {"type": "string"},
                    "fold": {"type": "string", "x-sql": {"unique": True}},
                    "contract": {"type": "string"},
                    "public": {"type": "boolean", "default": False},
                    "state": {"enum": ["creating", "ready", "deleting"], "type": "string"},
                    "created": {"type": "integer"},
                    "by": {"type": "string"},
                },
            },
        },
        "contract": {
            "type": "array",
            "x-sql": {"key": ["name", "version"]},
            "items": {
                "type": "object",
                "required": ["name", "version", "hash", "document", "created", "by"],
                "properties": {
                    "name": {"type": "string"},
                    "version": {"type": "integer", "minimum": 1},
                    "hash": {"type": "string"},
                    "document": {"type": "string"},
                    "created": {"type": "integer"},
                    "by": {"type": "string"},
                },
            },
        },
        "node": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "incarnation", "raft", "peer", "url"],
                "properties": {
                    "id": {"type": "string"},
                    "incarnation": {"type": "integer", "minimum": 1},
                    "raft": {"type": "string"},
                    "peer": {"type": "string"},
                    "url": {"type": "string"},
                },
            },
        },
        "grant": {
            "type": "array",
            "x-sql": {"key": ["project", "user"]},
            "items": {
                "type": "object",
                "required": ["project", "user", "role"],
                "properties": {
                    "project": {"type": "string", "x-sql": {"references": "project", "onDelete": "cascade"}},
                    "user": {"type": "string"},
                    "role": {"enum": ["reader", "editor", "owner"], "type": "string"},
                },
            },
        },
    },
}


class ProjectRecord(Struct, frozen=True):
    """A project as the catalog knows it. `contract`: the named one it follows; None: its own."""

    id: str
    name: str
    state: str
    created: int
    by: str
    contract: str | None = None
    public: bool = False


class ContractRecord(Struct, frozen=True):
    """One version of a named contract."""

    name: str
    version: int
    hash: str
    document: dict[str, Any]
    created: int
    by: str


class NodeRecord(Struct, frozen=True):
    """A node of the cell: where the others and clients reach it. One that came back without what it had has a higher
    incarnation."""

    id: str
    incarnation: int
    raft: str
    peer: str
    url: str
