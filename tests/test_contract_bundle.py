"""Contracts that lie in several files (SPEC C19)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sharelite.errors import ContractInvalid
from sharelite.schema.bundle import load, read
from sharelite.schema.contract import Contract
from tests.contract_files import one_table


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    colour = {"type": "string", "pattern": "^#[0-9a-f]{6}$"}
    colours = {"$defs": {"colour": colour, "again": {"$ref": "#/$defs/colour"}}}
    write(tmp_path / "contracts/parts/colours & more.json", colours)
    coloured = {"$ref": "../parts/colours%20&%20more.json#/$defs/again"}
    point = {"type": "object", "properties": {"x": {"type": "number"}, "c": coloured}}
    write(tmp_path / "contracts/geo/point.json", point)
    write(tmp_path / "outside.json", {"type": "string"})
    return tmp_path / "contracts"


def scene(folder: Path, **properties: Any) -> Path:
    return write(folder / "scene.schema.json", one_table(properties))


def test_files_become_one_document_that_needs_no_other(folder: Path) -> None:  # C19
    path = scene(folder, at={"$ref": "geo/point.json"}, also={"$ref": "geo/point.json#/properties/x"})
    contract = read(path)
    assert contract.name == "scene" and Contract.parse(load(path)).hash == contract.hash
    assert list(contract.tables["t"].columns) == ["id", "at.x", "at.c", "also"]
    assert contract.tables["t"].check_cell("at.c", "red")


def test_files_may_refer_to_each_other_and_to_the_first(folder: Path) -> None:  # C19
    write(folder / "tree.json", {"type": "array", "items": {"$ref": "leaf.json"}})
    leaf = {"sub": {"$ref": "tree.json"}, "id": {"$ref": "scene.schema.json#/$defs/id"}}
    write(folder / "leaf.json", {"type": "object", "properties": leaf})
    document = {**one_table({"tree": {"$ref": "tree.json"}}), "$defs": {"id": {"type": "integer"}, "leaf.json": True}}
    table = read(write(folder / "scene.schema.json", document)).tables["t"]
    assert table.columns["tree"].form == "json"
    wrong = table.check_cell("tree", '[{"sub":[{"id":"x"}]}]')
    assert [fault.pointer for fault in wrong] == ["/tree/0/sub/0/id"]


OUTSIDE = [
    "../outside.json", "%2e%2e/outside.json", "link.json", "/etc/hostname", "file:///etc/hostname",
    "https://example.com/x.json", "//example.com/x",
]  # fmt: skip


@pytest.mark.parametrize("ref", OUTSIDE)
def test_nothing_outside_of_the_folder_is_read(folder: Path, ref: str) -> None:  # C19
    os.symlink(folder.parent / "outside.json", folder / "link.json")
    with pytest.raises(ContractInvalid, match="nothing is fetched|out of the folder") as refused:
        load(scene(folder, a={"$ref": ref}))
    assert refused.value.errors[0].pointer == "/properties/t/items/properties/a/$ref"
    assert str(folder / "scene.schema.json") in str(refused.value)


def test_a_fault_names_the_file_it_is_in(folder: Path) -> None:  # C1, C19
    write(folder / "geo/point.json", {"type": "object", "properties": {"a.b": {"type": "string"}}})
    with pytest.raises(ContractInvalid) as refused:
        read(scene(folder, at={"$ref": "geo/point.json"}, c={"type": "strnig"}))
    assert str(refused.value).splitlines()[0].startswith(f"{folder / 'scene.schema.json'}: ")
    found = {fault.pointer for fault in refused.value.errors}
    assert found == {"/properties/t/items/properties/c/type"}
    with pytest.raises(ContractInvalid) as refused:
        read(scene(folder, at={"$ref": "geo/point.json"}))
    assert [fault.pointer for fault in refused.value.errors] == ["geo/point.json#/properties/a.b"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a":NaN}', b"x" * 3_000_000, b"[" * 200_000])
def test_a_file_that_is_no_schema_is_told_by_its_name(folder: Path, content: bytes) -> None:  # C1, C19
    (folder / "bad.json").write_bytes(content)
    with pytest.raises(ContractInvalid, match=r"bad\.json"):
        load(scene(folder, a={"$ref": "bad.json"}))


def test_a_file_that_is_missing_is_told(folder: Path) -> None:  # C19
    with pytest.raises(ContractInvalid, match="there is no file"):
        load(scene(folder, a={"$ref": "none.json"}))
    with pytest.raises(ContractInvalid, match="cannot be read"):
        load(folder / "none.schema.json")
