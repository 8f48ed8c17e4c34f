"""The plan of a cell: its name and key, which node this is, and where each of them is reached (SPEC K58).

A TOML file, the same on every node but for `node`:

    cluster = "3f2a..."            # the cell's name, as `sharelite cluster init` made it
    node = "a"                     # this node
    key = "..."                    # 64 hexadecimal digits; or key_file = "cell.key"; or SHARELITE_CLUSTER_KEY

    [nodes.a]
    raft = "10.0.0.1:7400"         # where the nodes' Raft talks
    peer = "10.0.0.1:7500"         # where they ask each other
    url = "http://10.0.0.1:8080"   # where clients reach it
"""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ..errors import ShareliteError

KEY = re.compile(r"[0-9a-fA-F]{64}\Z")
NAME = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})\Z")
URL = re.compile(r"https?://[^\s/]+/?\Z")
KEY_VARIABLE = "SHARELITE_CLUSTER_KEY"


class PlanInvalid(ShareliteError):
    """What is wrong with the plan, and where in it."""

    code = "plan_invalid"

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class CannotListen(ShareliteError):
    """An address of this node that it cannot have. `what`: `raft` or `peer`, as the plan calls it."""

    code = "cannot_listen"

    def __init__(self, what: str, address: str, problem: OSError) -> None:
        number = problem.errno or 0
        self.what, self.address = what, address
        self.why = os.strerror(number) if number > 0 else str(problem)

    def __str__(self) -> str:
        return f"cannot listen at {self.address}, the {self.what} address of this node in its plan: {self.why}"


class Address(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a node listens for the others (`raft`, `peer`: host:port) and for clients (`url`)."""

    raft: str
    peer: str
    url: str


class Plan(Struct, frozen=True):
    """One node's view of its cell. `joins`: it becomes a member of a cell that is there already."""

    cluster: str
    node: str
    key: bytes
    nodes: dict[str, Address]
    joins: bool = False

    @property
    def me(self) -> Address:
        return self.nodes[self.node]


class _File(Struct, forbid_unknown_fields=True):
    cluster: str
    node: str
    nodes: dict[str, Address]
    key: str | None = None
    key_file: str | None = None
    joins: bool = False


def read_plan(path: Path, environment: Mapping[str, str] | None = None) -> Plan:
    """Raises PlanInvalid, OSError."""
    environment = os.environ if environment is None else environment
    try:
        known: dict[str, Any] = tomllib.loads(path.read_text())
        file = msgspec.convert(known, _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as problem:
        raise PlanInvalid(path, str(problem)) from None
    if file.node not in file.nodes:
        raise PlanInvalid(path, f"node: there is no [nodes.{file.node}]; there are {', '.join(sorted(file.nodes))}")
    _check_nodes(path, file.nodes)
    return Plan(file.cluster, file.node, _key(path, file, environment), file.nodes, file.joins)


def _check_nodes(path: Path, nodes: Mapping[str, Address]) -> None:
    taken: dict[tuple[str, int], str] = {}
    for name, address in nodes.items():
        if not NAME.match(name):
            raise PlanInvalid(path, f"nodes.{name}: a name has letters, digits, - and _, at most 32")
        for member in ("raft", "peer"):
            where = f"nodes.{name}.{member}"
            place = split(path, where, getattr(address, member))
            if place in taken:
                raise PlanInvalid(path, f"{where}: {getattr(address, member)} is {taken[place]} already")
            taken[place] = where
        if not URL.match(address.url):
            raise PlanInvalid(path, f"nodes.{name}.url: {address.url!r} is not http://host:port or https://host:port")


def split(path: Path, where: str, address: str) -> tuple[str, int]:
    """Host and port. Raises PlanInvalid."""
    found = ADDRESS.match(address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise PlanInvalid(path, f"{where}: {address!r} is not host:port")
    return found[1].strip("[]"), int(found[2])


def _key(path: Path, file: _File, environment: Mapping[str, str]) -> bytes:
    text, where = environment.get(KEY_VARIABLE), KEY_VARIABLE
    if not text:
        text, where = file.key, "key"
    if not text and file.key_file:
        text, where = _key_file(path, file.key_file), f"key_file {path.parent / file.key_file}"
    if not text:
        raise PlanInvalid(path, f"there is no key: give key_file, key, or {KEY_VARIABLE}")
    if not KEY.match(text):
        raise PlanInvalid(path, f"{where}: a key has 64 hexadecimal digits, this one {len(text)} characters")
    return bytes.fromhex(text)


def _key_file(path: Path, name: str) -> str:
    try:
        return (path.parent / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise PlanInvalid(path, f"key_file {path.parent / name}: {why}") from None


def new_key() -> str:
    return secrets.token_hex(32)


def text(plan: Plan, key_file: str) -> str:
    """A plan as TOML; its key in a file beside it, which only its owner may read."""
    lines = [f'cluster = "{plan.cluster}"', f'node = "{plan.node}"', f'key_file = "{key_file}"']
    lines += ["joins = true"] if plan.joins else []
    for name, address in plan.nodes.items():
        lines += ["", f"[nodes.{name}]"]
        lines += [f'{member} = "{getattr(address, member)}"' for member in ("raft", "peer", "url")]
    return "\n".join(lines) + "\n"
