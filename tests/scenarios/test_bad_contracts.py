"""Contracts from somebody who means no good, sent over HTTP: refused with the pointer, and nothing is fetched."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.conftest import Street


def contract(**properties: Any) -> dict[str, Any]:
    """A contract whose one table has these properties beside its id."""
    items = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, **properties}}
    return {"type": "object", "properties": {"t": {"type": "array", "items": items}}}


def table(name: str, **more: Any) -> dict[str, Any]:
    items = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    return {"type": "object", "properties": {name: {"type": "array", "items": items, **more}}}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return contract(a=schema)


ITEM = "/properties/t/items/properties"
#: The contract, and where the first fault is.
REFUSED: dict[str, tuple[Any, str]] = {
    "a pattern that explodes": (contract(a={"type": "string", "pattern": "^(?=a)b"}), ITEM + "/a/pattern"),
    "a back reference": (contract(a={"type": "string", "pattern": "(a)\\1"}), ITEM + "/a/pattern"),
    "a dot in a name": (contract(**{"a.b": {"type": "string"}}), ITEM + "/a.b"),
    "names equal but for case": (contract(a={"type": "string"}, A={}), ITEM + "/A"),
    "a name with an underscore in front": (contract(_a={"type": "string"}), ITEM + "/_a"),
    "a table of SQLite": (table("sqlite_schema"), "/properties/sqlite_schema"),
    "a table of ours": (table("_sharelite"), "/properties/_sharelite"),
    "a table named as a view": (table("t_full"), "/properties/t_full"),
    "a number as key": (table("t", **{"x-sql": {"key": "n"}}), "/properties/t/x-sql/key"),
    "null with another default": (contract(a={"type": ["string", "null"], "default": "x"}), ITEM + "/a"),
    "access rules": (table("t", **{"x-access": {"read": "all"}}), "/properties/t/x-access"),
    "a word nobody knows": (contract(a={"type": "string", "maxlength": 3}), ITEM + "/a/maxlength"),
    "depth 100": (deep(100), ""),
    "no object": ([], ""),
    "300 KiB": (contract(a={"type": "string", "description": "x" * 300_000}), ""),
}


def create(street: Street, document: Any) -> tuple[int, Any]:
    return street.server.ask("POST", "/v1/projects", {"name": secrets.token_hex(8), "contract": document})


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_contract_is_refused_with_the_place(street: Street, case: str) -> None:
    document, pointer = REFUSED[case]
    status, answer = create(street, document)
    assert 400 <= status < 500, answer
    error = answer["error"]
    places = [fault.get("pointer", "") for fault in error["errors"]] or [""]
    assert error["message"] and any(place.startswith(pointer) for place in places), error
    assert street.neighbour_is_undisturbed()


@pytest.mark.parametrize("levels", [10_000, 100_000])
def test_a_contract_without_bottom_is_refused(street: Street, levels: int) -> None:
    body = b'{"name":"deep","contract":' + b'{"properties":{"a":' * levels + b"{}" + b"}}" * levels + b"}"
    status, answer = street.server.ask("POST", "/v1/projects", body)
    assert 400 <= status < 500 and answer["error"]["message"]
    assert street.neighbour_is_undisturbed()


def test_a_contract_of_50_mb_is_refused_by_its_size(street: Street) -> None:
    body = b'{"name":"big","contract":{"description":"' + b"x" * 50_000_000 + b'"}}'
    status, answer = street.server.ask("POST", "/v1/projects", body)
    assert (status, answer["error"]["code"]) == (413, "too_large")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        yield server


def test_a_remote_reference_is_refused_and_never_fetched(street: Street, listener: socket.socket) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json"
    status, answer = create(street, contract(a={"$ref": address}))
    assert 400 <= status < 500
    assert any(fault["pointer"].endswith("/a/$ref") for fault in answer["error"]["errors"]), answer
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_pattern_that_hangs_others_costs_nothing_here(street: Street) -> None:
    status, made = create(street, contract(a={"type": "string", "pattern": "^(a+)+$"}))
    if status == 201:
        with street.window(made["id"]) as window:
            answer = window.push([["i", "t", ["x"], {"a": "a" * 40 + "!"}]])
            assert (answer["type"], answer["code"]) == ("refused", "invalid")
    else:
        assert any(fault["pointer"].endswith("/a/pattern") for fault in made["error"]["errors"]), made
    assert street.neighbour_is_undisturbed()
