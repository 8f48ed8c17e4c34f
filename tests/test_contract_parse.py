"""Contracts that are taken, and contracts that are refused with the place (SPEC C)."""

from __future__ import annotations

import hashlib
import json
import socket
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sharelite.errors import ContractInvalid
from sharelite.schema.bundle import read
from sharelite.schema.canonical import canonical
from sharelite.schema.contract import Contract
from tests.contract_files import BAD, CONTRACTS, bad, everything, one_table

LISTED = sorted(path.stem for path in BAD.glob("*.json"))


@pytest.mark.parametrize("name", LISTED)
def test_a_bad_contract_is_refused_at_its_place(name: str) -> None:  # C1, C3, C4, C5, C6, C12, C13
    case = bad(name)
    with pytest.raises(ContractInvalid) as refused:
        Contract.parse(case["contract"])
    found = [(fault.pointer, fault.message) for fault in refused.value.errors]
    assert any(pointer == case["pointer"] and case["message"] in message for pointer, message in found), found


@pytest.mark.parametrize("path", sorted(CONTRACTS.glob("*.schema.json")), ids=lambda path: path.stem)
def test_the_contracts_of_the_repository_are_good(path: Path) -> None:
    assert read(path).tables


def test_every_fault_is_told_at_once() -> None:  # C1
    document = one_table({"a.b": {"type": "string"}, "c": {"type": "integer", "default": "x"}, "_d": True})
    with pytest.raises(ContractInvalid) as refused:
        Contract.parse(document)
    items = "/properties/t/items/properties"
    assert {fault.pointer for fault in refused.value.errors} == {f"{items}/a.b", f"{items}/c/default", f"{items}/_d"}


@pytest.mark.parametrize("levels", [33, 10_000, 100_000])
def test_a_contract_that_is_too_deep_is_refused(levels: int) -> None:  # C2
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"not": schema}
    with pytest.raises(ContractInvalid, match="more than 32 objects"):
        Contract.parse(one_table({"a": schema}))


class Endless(dict[str, Any]):
    """Whoever wants to see all of it never comes back."""

    def items(self) -> Any:
        return ((f"p{number}", {"type": "string"}) for number in count())


def test_a_contract_that_is_too_large_is_not_read_to_its_end() -> None:  # C2
    with pytest.raises(ContractInvalid, match="262,144 bytes"):
        Contract.parse(one_table(Endless()) | {"properties": Endless()})
    with pytest.raises(ContractInvalid, match="262,144 bytes"):
        Contract.parse(one_table({"a": {"type": "string", "description": "x" * 50_000_000}}))
    with pytest.raises(ContractInvalid, match="bytes"):
        Contract.parse(one_table({"a": {"type": "string", "description": "é" * 140_000}}))


@pytest.mark.parametrize("value", [None, [], "x", 3, True])
def test_a_contract_is_an_object(value: Any) -> None:  # C1
    with pytest.raises(ContractInvalid, match="JSON object"):
        Contract.parse(value)


def test_nothing_is_fetched_for_a_reference() -> None:  # C3
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        remote = f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json"
        for word in ("$ref", "$schema", "$id"):
            document = one_table({"a": {"$ref": remote}}) if word == "$ref" else {**one_table({}), word: remote}
            if word != "$id":
                with pytest.raises(ContractInvalid):
                    Contract.parse(document)
            else:
                Contract.parse(document)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_what_belongs_to_others_passes_through_and_what_is_not_there_yet_is_told() -> None:  # C4
    document = one_table({"a": {"type": "string", "x-component": "text", "x-sql": {"fulltext": True}}})
    contract = Contract.parse(document)
    assert contract.document == document
    assert contract.notices == ("t.a: full text search is not yet available; it is accepted and has no effect",)


def test_the_hash_is_that_of_the_canonical_text() -> None:  # C18
    document = everything().document
    turned = dict(reversed(document.items()))
    assert everything().hash == hashlib.sha256(canonical(document).encode()).hexdigest()
    assert Contract.parse(json.loads(json.dumps(turned, indent=4))).hash == everything().hash


def test_a_recursive_value_is_one_column_and_is_checked_to_its_depth() -> None:  # C3, C7
    table = everything().tables["person"]
    assert (table.columns["notes"].type, table.columns["notes"].form) == ("TEXT", "json")
    wrong = table.check_cell("notes", '[{"text":"a","answers":[{"text":1}]}]')
    assert [fault.pointer for fault in wrong] == ["/notes/0/answers/0/text"]
