"""Who this data directory belongs to: `node.json`, written once and read at every start (design 5)."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

from ..errors import Damaged
from .files import Files

FORMAT = 1


class Node(Struct, frozen=True):
    """Identity of a node. `incarnation` grows when a node comes back without what it had."""

    format: int
    cluster: str
    node: str
    incarnation: int


def identity(files: Files, data: Path, cluster: str = "", node: str = "") -> Node:
    """The identity of a data directory; a new one is made where there is none, of this cluster and node if they are
    given. Raises Damaged for one that this release cannot read, or of another cluster: its files may mean something
    else."""
    path = data / "node.json"
    content = files.read(path)
    if content is None:
        made = Node(FORMAT, cluster or secrets.token_hex(16), node or secrets.token_hex(16), 1)
        files.write(path, msgspec.json.format(msgspec.json.encode(made)) + b"\n")
        return made
    try:
        known = msgspec.json.decode(content, type=Node)
    except msgspec.DecodeError as problem:
        raise Damaged(str(path), f"is not the identity of a node: {problem}") from None
    if known.format != FORMAT:
        raise Damaged(str(path), f"has format {known.format}; this release reads format {FORMAT}")
    if cluster and (known.cluster, known.node) != (cluster, node):
        raise Damaged(str(path), f"belongs to node {known.node} of cluster {known.cluster}, not to {node} of {cluster}")
    return known


def renamed(files: Files, data: Path, node: str, incarnation: int | None = None) -> Node:
    """The identity with another name for the node, or another incarnation."""
    known = identity(files, data)
    made = Node(FORMAT, known.cluster, node, known.incarnation if incarnation is None else incarnation)
    files.write(data / "node.json", msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    return made
