"""Mutations that nobody should send: each gets one clear answer, nothing is half-written, the neighbour goes on."""

from __future__ import annotations

import secrets

import pytest

from tests.scenarios.conftest import Street

NEW = ["i", "node", ["new"]]
TAKEN = [
    ["s", "node", ["root"], {"name": "root"}],
    ["s", "node", ["leaf"], {"name": "leaf", "parent": "root"}],
    ["s", "seat", ["s1"], {"line": 1, "number": 1, "guest": "ada"}],
    ["s", "seat", ["s2"], {"line": 1, "number": 2, "guest": "bob"}],
]
#: changes, the code of the refusal, and what its first place says: table, pointer.
REFUSED = {
    "unknown table": ([["i", "nobody", ["a"], {}]], "invalid", "nobody", None),
    "a prototype as table": ([["i", "__proto__", ["a"], {}]], "invalid", "__proto__", None),
    "a table of ours": ([["u", "_sharelite", [1], {"epoch": "x"}]], "invalid", "_sharelite", None),
    "a table of SQLite": ([["d", "sqlite_schema", [1]]], "invalid", "sqlite_schema", None),
    "unknown column": ([[*NEW, {"name": "x", "colour": 1}]], "invalid", "node", "/colour"),
    "a prototype as column": ([[*NEW, {"name": "x", "__proto__": 1}]], "invalid", "node", "/__proto__"),
    "SQL as column": ([[*NEW, {"name": "x", 'size" = 1 --': 1}]], "invalid", "node", '/size" = 1 --'),
    "too many key values": ([["i", "node", ["a", "b"], {"name": "x"}]], "invalid", "node", None),
    "no key value": ([["i", "node", [], {"name": "x"}]], "invalid", "node", None),
    "a key of another type": ([["i", "node", [7], {"name": "x"}]], "invalid", "node", None),
    "a null in the key": ([["i", "node", [None], {"name": "x"}]], "invalid", "node", None),
    "U+0000 in the key": ([["i", "node", ["a\0b"], {"name": "x"}]], "invalid", "node", None),
    "another key in the row": ([[*NEW, {"id": "other", "name": "x"}]], "invalid", "node", None),
    "a wrong type": ([[*NEW, {"name": "x", "size": "big"}]], "invalid", "node", "/size"),
    "a fraction as integer": ([[*NEW, {"name": "x", "size": 1.5}]], "invalid", "node", "/size"),
    "below the minimum": ([[*NEW, {"name": "x", "size": -1}]], "invalid", "node", "/size"),
    "too long a text": ([[*NEW, {"name": "x" * 21}]], "invalid", "node", "/name"),
    "deep in the tree": ([[*NEW, {"name": "x", "style.color": "red"}]], "invalid", "node", "/style/color"),
    "an object as value": ([[*NEW, {"name": {"first": "x"}}]], "invalid", "node", "/name"),
    "missing required": ([[*NEW, {"size": 1}]], "invalid", "node", "/name"),
    "a broken reference": ([[*NEW, {"name": "x", "parent": "ghost"}]], "reference", "node", "/parent"),
    "its own ancestor": ([["u", "node", ["root"], {"parent": "leaf"}]], "cycle", "node", "/parent"),
    "an existing row": ([["i", "node", ["root"], {"name": "again"}]], "exists", "node", None),
    "a row that is not there": ([["u", "node", ["ghost"], {"name": "x"}]], "not_found", "node", None),
    "a taken place": ([["u", "seat", ["s2"], {"number": 1}]], "unique", "seat", None),
    "no operation": ([["x", "node", ["a"], {}]], "invalid", None, "/changes/0"),
    "an operation in pieces": ([["i", "node"]], "invalid", None, "/changes/0"),
    "a good one and a bad one": ([[*NEW, {"name": "x"}], [*NEW, {"name": "y"}]], "exists", "node", None),
}
#: Texts that JSON, a double or an int64 cannot hold; "goodbye" where no push can be made of the message at all.
UNREADABLE = {
    "5,000 digits": '[["i","node",["new"],{"name":"x","size":' + "1" * 5000 + "}]]",
    "1e400": '[["i","node",["new"],{"name":"x","weight":1e400}]]',
    "NaN": '[["i","node",["new"],{"name":"x","weight":NaN}]]',
    "Infinity": '[["i","node",["new"],{"name":"x","weight":-Infinity}]]',
    "beyond 64 bits": '[["i","node",["new"],{"name":"x","size":9223372036854775808}]]',
    "beyond 64 bits, tagged": '[["i","node",["new"],{"name":"x","size":{"$i":"9223372036854775808"}}]]',
    "half a surrogate": '[["i","node",["new"],{"name":"\\ud800"}]]',
    "half a surrogate in a key": '[["i","node",["\\udc00"],{"name":"x"}]]',
    "no base64": '[["i","node",["new"],{"name":{"$b":"***"}}]]',
    "100,000 brackets": "[" * 100_000,
    "100,000 closed brackets": "[" * 100_000 + "]" * 100_000,
    "no list": '{"i":"node"}',
    "null": "null",
}
ACCEPTED = {
    "two rows swap a unique value": [["u", "seat", ["s1"], {"guest": "bob"}], ["u", "seat", ["s2"], {"guest": "ada"}]],
    "a composite unique moves as one": [
        ["u", "seat", ["s1"], {"line": 2, "number": 2}],
        ["u", "seat", ["s2"], {"line": 1, "number": 1}],
    ],
    "U+0000 in a text": [["u", "node", ["leaf"], {"name": "a\0b"}]],
    "a whole number as fraction": [["u", "node", ["leaf"], {"weight": 3}]],
}


@pytest.fixture(scope="module", autouse=True)
def taken(street: Street) -> None:
    with street.window() as window:
        assert window.push(TAKEN)["type"] == "commits"


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_mutation_is_refused_and_says_what_and_where(street: Street, case: str) -> None:
    changes, code, table, pointer = REFUSED[case]
    rows = street.rows()
    with street.window() as window:
        answer = window.push(changes)
        assert (answer["type"], answer["code"]) == ("refused", code), answer
        first = answer["errors"][0]
        assert (first.get("table"), pointer and first.get("pointer")) == (table, pointer), answer
        assert answer["message"] and window.push([["d", "node", ["nobody"]]])["type"] == "settled"
    assert street.rows() == rows and street.neighbour_is_undisturbed()


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_said_to_be_so(street: Street, case: str) -> None:
    rows = street.rows()
    with street.window() as window:
        answer = window.push(UNREADABLE[case])
        assert (answer["type"], answer["code"]) in {("refused", "invalid"), ("goodbye", "bad_request")}, answer
        assert answer["message"]
    assert street.rows() == rows and street.neighbour_is_undisturbed()


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_only_looks_bad_is_accepted(street: Street, case: str) -> None:
    with street.window() as window:
        assert window.push(ACCEPTED[case])["type"] == "commits"


def test_deleting_a_parent_takes_all_below_it_in_one_commit(street: Street) -> None:
    with street.window() as window:
        chain = [["i", "node", [f"c{n}"], {"name": "c", **({"parent": f"c{n - 1}"} if n else {})}] for n in range(50)]
        assert window.push(chain)["type"] == "commits"
        commit = window.push([["d", "node", ["c0"]]])["commits"][-1]
        assert sorted(change[2][0] for change in commit["changes"]) == sorted(f"c{n}" for n in range(50))


def test_the_same_id_again_has_the_same_answer_and_another_body_is_found_out(street: Street) -> None:
    with street.window() as window:
        first = window.push([["s", "node", ["twice"], {"name": "once"}]])["commits"][-1]
        again = window.push([["s", "node", ["twice"], {"name": "once"}]], counter=1)
        assert (again["type"], again["version"]) == ("settled", first["v"])
        other = window.push([["s", "node", ["twice"], {"name": "other"}]], counter=1)
        assert (other["type"], other["code"]) == ("refused", "id_reused")


def test_a_refusal_is_repeated_word_for_word(street: Street) -> None:
    with street.window() as window:
        bad = [["i", "node", ["new"], {"name": 7}]]
        assert window.push(bad) == window.push(bad, counter=1)


def test_a_gap_in_the_counters_is_refused_and_nothing_is_recorded(street: Street) -> None:
    with street.window() as window:
        early = window.push([["s", "node", ["early"], {"name": "early"}]], counter=2)
        assert (early["type"], early["code"]) == ("refused", "out_of_order")
        assert window.push([["d", "node", ["nobody"]]], counter=1)["type"] == "settled"
        assert window.push([["s", "node", ["early"], {"name": "early"}]], counter=2)["type"] == "commits"


@pytest.mark.parametrize("id", [["short", 1], ["A" * 32, 1], ["a" * 32, 0], ["a" * 32, 1.5], ["a" * 32], "a", 7, None])
def test_an_id_that_is_none_ends_the_connection_and_says_why(street: Street, id: object) -> None:
    with street.window() as window:
        window.say({"type": "push", "id": id, "changes": []})
        answer = window.hear()
        assert (answer["type"], answer["code"]) == ("goodbye", "bad_request") and "id" in answer["message"]


def test_a_mutation_with_too_many_operations_is_refused(street: Street) -> None:
    body = {"id": [secrets.token_hex(16), 1], "changes": [["d", "node", ["nobody"]]] * 200_001}
    status, answer = street.server.ask("POST", f"/v1/projects/{street.project}/mutations", body)
    assert (status, answer["error"]["code"]) == (413, "too_large") and "200,001" in answer["error"]["message"]


def test_a_mutation_of_33_mib_is_refused_by_its_size(street: Street) -> None:
    body = b'{"changes":[["i","node",["big"],{"name":"' + b"x" * (33 << 20) + b'"}]]}'
    status, answer = street.server.ask("POST", f"/v1/projects/{street.project}/mutations", body)
    assert (status, answer["error"]["code"]) == (413, "too_large")
    assert street.neighbour_is_undisturbed()


def test_a_push_over_a_mebibyte_is_not_for_the_websocket(street: Street) -> None:
    with street.window() as window:
        window.say('{"type":"push","changes":"' + "x" * (1 << 20) + '"}')
        assert window.close_code() == 1009
    assert street.neighbour_is_undisturbed()
