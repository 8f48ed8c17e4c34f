"""Upgrades from one contract to the next, in real SQLite (SPEC C)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharelite.model import Row
from sharelite.schema.contract import Contract
from sharelite.schema.steps import Upgrade, compatible, plan
from sharelite.sync.apply import Mismatch, run_steps
from sharelite.sync.grammar import is_step
from tests.contract_files import database, everything, insert, one_table, rows

TXT, INT, NUM = {"type": "string"}, {"type": "integer"}, {"type": "number"}
PAIR = {"a": TXT, "b": TXT}
ABSENT = {"type": "object", "required": ["a"]}
SINGLE = {"type": "object", "properties": {"id": TXT}}
OTHER = one_table({})["properties"]["t"]


def upgrade(old: dict[str, Any], new: dict[str, Any], *before: Row) -> tuple[Upgrade, list[Row]]:
    """The plan from one to the other, and what the rows of `t` are after its steps."""
    one, other = Contract.parse(old), Contract.parse(new)
    connection = database(one)
    for row in before:
        insert(connection, "t", row)
    planned = plan(one, other)
    for step in planned.steps:
        assert is_step(step), step
        connection.execute(step).fetchall()
    return planned, rows(connection, "t_full", "id") if "t" in other.tables else []


def t(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return one_table(properties, **more)


def changed(document: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**document, "properties": {**document["properties"], **parts}}


ADDITIVE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a new property": (t({}), t({"a": TXT})),
    "a new property with a default": (t({}), t({"a": {**TXT, "default": "x"}})),
    "a new required property with a default": (t({}), t({"a": {**TXT, "default": "x"}}, required=["id", "a"])),
    "a new nested object": (t({}), t({"o": {"type": "object", "properties": {"a": TXT}}})),
    "a new object that may be absent": (t({}), t({"o": {**ABSENT, "properties": {"a": TXT}}})),
    "a new nested list": (t({}), t({"l": {"type": "array", "items": {"type": "object", "properties": {"a": TXT}}}})),
    "a new reference": (t({}), t({"a": {**TXT, "x-sql": {"references": "t", "onDelete": "set null"}}})),
    "a new table": (t({}), changed(t({}), u=OTHER)),
    "a new index": (t({"a": TXT}), t({"a": TXT}, sql={"index": ["a"]})),
    "an index less": (t({"a": TXT}, sql={"index": ["a"]}), t({"a": TXT})),
    "no longer unique": (t({"a": TXT}, sql={"unique": ["a"]}), t({"a": TXT})),
    "no longer a tree": (t({"a": TXT}, sql={"tree": "a"}), t({"a": {**TXT, "x-sql": {"references": "t"}}})),
    "no longer required": (t({"a": TXT}, required=["id", "a"]), t({"a": TXT})),
    "longer texts": (t({"a": {**TXT, "maxLength": 3}}), t({"a": {**TXT, "maxLength": 4}})),
    "a limit less": (t({"a": {**INT, "minimum": 0}}), t({"a": INT})),
    "more values": (t({"a": {**TXT, "enum": ["x"]}}), t({"a": {**TXT, "enum": ["y", "x"]}})),
    "may be null": (t({"a": TXT}), t({"a": {"type": ["string", "null"]}})),
    "a condition less": (t({"a": TXT, "b": TXT}, dependentRequired={"a": ["b"]}), t({"a": TXT, "b": TXT})),
    "annotations": (t({"a": TXT}), {**t({"a": {**TXT, "title": "A", "x-component": "text"}}), "title": "T"}),
    "properties in another order": (t({"a": TXT, "b": INT}), t({"b": INT, "a": {**TXT, "title": "A"}})),
}


@pytest.mark.parametrize("case", ADDITIVE)
def test_what_only_adds_or_loosens_is_additive_and_copies_nothing(case: str) -> None:  # C21
    planned, after = upgrade(*ADDITIVE[case], {"id": "k"})
    assert (planned.kind, planned.reasons, planned.tightened) == ("additive", [], ())
    assert not any(step.startswith(("INSERT", "DROP TABLE")) for step in planned.steps)
    assert [row["id"] for row in after] == ["k"]


DESTRUCTIVE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a table less": (changed(t({}), u=OTHER), t({}), "u: the table and its rows are dropped"),
    "a property less": (t({"a": TXT}), t({}), "a and its values are dropped"),
    "another type": (t({"a": TXT}), t({"a": INT}), "a changes from TEXT to INTEGER"),
    "another kind of text": (t({"a": TXT}), t({"a": {"type": "array"}}), "a changes from TEXT to json"),
    "another default": (t({"a": {**INT, "default": 1}}), t({"a": {**INT, "default": 2}}), "a has another default"),
    "a default for what had none": (t({"a": INT}), t({"a": {**INT, "default": 2}}), "a has another default"),
    "a default less": (t({"a": {**INT, "default": 1}}), t({"a": INT}), "a has another default"),
    "new, required, no default": (t({}), t({"a": TXT}, required=["id", "a"]), "new and required"),
    "now required": (t({"a": TXT}), t({"a": TXT}, required=["id", "a"]), "a becomes required"),
    "another key": (t({"a": TXT}), t({"a": TXT}, sql={"key": ["id", "a"]}), "the key changes"),
    "now a reference": (t({"a": TXT}), t({"a": {**TXT, "x-sql": {"references": "t"}}}), "must name a row of t"),
    "no longer a reference": (t({"a": {**TXT, "x-sql": {"references": "t"}}}), t({"a": TXT}), "the reference of a"),
    "now unique": (t({"a": TXT}), t({"a": TXT}, sql={"unique": ["a"]}), "a becomes unique"),
    "narrower limits": (t({"a": TXT}), t({"a": {**TXT, "maxLength": 4}}), "a may hold less"),
    "fewer values": (t({"a": {**TXT, "enum": ["x", "y"]}}), t({"a": {**TXT, "enum": ["x"]}}), "a may hold less"),
    "a condition more": (t(PAIR), t(PAIR, dependentRequired={"a": ["b"]}), "another condition"),
    "now a single row": (t({}), changed(t({}), t=SINGLE), "its rows cannot be brought"),
}


@pytest.mark.parametrize("case", DESTRUCTIVE)
def test_what_takes_or_asks_is_destructive_with_its_reason(case: str) -> None:  # C22
    old, new, reason = DESTRUCTIVE[case]
    planned = plan(Contract.parse(old), Contract.parse(new))
    assert planned.kind == "destructive"
    assert any(reason in told for told in planned.reasons), planned.reasons


ASKING = ["now required", "now unique", "narrower limits", "now a reference", "a condition more"]


@pytest.mark.parametrize("case", ASKING)
def test_what_asks_more_of_rows_names_the_tables_to_check(case: str) -> None:  # C22
    old, new, _ = DESTRUCTIVE[case]
    assert plan(Contract.parse(old), Contract.parse(new)).tightened == ("t",)


def test_rows_keep_what_they_showed_when_a_default_changes() -> None:  # C22, C23
    old = t({"a": {**INT, "default": 1}, "b": {**INT, "default": 1}, "c": INT})
    new = t({"a": {**INT, "default": 2}, "b": INT, "c": {**INT, "default": 5}})
    before: list[Row] = [{"id": "k"}, {"id": "l", "a": 2, "b": 3, "c": 5}]
    _, after = upgrade(old, new, *before)
    assert after == [{"id": "k", "a": 1, "b": 1, "c": 5}, {"id": "l", "a": 2, "b": 3, "c": 5}]


def test_values_are_converted_where_nothing_is_lost_and_dropped_otherwise() -> None:  # C22
    old = t({"a": TXT, "b": NUM, "c": INT, "d": INT, "e": {"type": ["string", "number"]}, "f": TXT})
    new = t({"a": INT, "b": INT, "c": NUM, "d": {"type": "boolean"}, "e": TXT, "f": {"type": "array"}})
    before: list[Row] = [
        {"id": "k", "a": "12", "b": 2.0, "c": 3, "d": 1, "e": "x", "f": "[]"},
        {"id": "l", "a": "12x", "b": 2.5, "c": 4, "d": 2, "e": 7, "f": "no"},
    ]
    _, after = upgrade(old, new, *before)
    assert after == [
        {"id": "k", "a": 12, "b": 2, "c": 3.0, "d": 1, "e": "x", "f": None},
        {"id": "l", "a": None, "b": None, "c": 4.0, "d": None, "e": "7", "f": None},
    ]


def test_a_new_single_part_brings_its_row() -> None:  # C9, C21
    single = {"type": "object", "properties": {"a": {**TXT, "default": "x"}}}
    planned = plan(Contract.parse(t({})), Contract.parse(changed(t({}), s=single)))
    assert [(change.op, change.table, change.key) for change in planned.changes] == [("i", "s", (1,))]


def test_a_parent_that_is_written_anew_keeps_its_nested_rows() -> None:  # C23
    nested = {"type": "array", "items": {"type": "object", "properties": {"x": NUM}}}
    old, new = t({"a": TXT, "l": nested}), t({"a": INT, "l": nested})
    one, other = Contract.parse(old), Contract.parse(new)
    connection = database(one)
    insert(connection, "t", {"id": "k", "a": "1"})
    insert(connection, "t.l", {"_parent.id": "k", "_id": "i", "x": 1.5})
    for step in plan(one, other).steps:
        connection.execute(step).fetchall()
    assert rows(connection, "t.l") == [{"_parent.id": "k", "_id": "i", "_order": None, "x": 1.5}]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA foreign_key_list(\"t.l\")").fetchall()[0][2] == "t"


def test_everything_can_go_and_come_back() -> None:  # C23
    nothing, whole = Contract.parse(t({})), everything()
    connection = database(whole)
    for one, other in ((whole, nothing), (nothing, whole)):
        for step in plan(one, other).steps:
            assert is_step(step), step
            connection.execute(step).fetchall()
    fresh = database(whole).execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    assert connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall() == fresh


NO_STEPS = '''\
PRAGMA foreign_keys=ON
DELETE FROM "t"
UPDATE "t" SET "a"=1
DROP TABLE t
DROP TABLE "_sharelite"
DROP TABLE "_ShareLite"
DROP TABLE "sqlite_schema"
DROP TABLE "t"; DROP TABLE "u"
DROP TABLE "t" --
DROP TABLE "t" /* */
DROP TRIGGER "t"; DROP TABLE "t"
CREATE TRIGGER "t" AFTER INSERT ON "a" BEGIN SELECT 1; END; DROP TABLE "t"
CREATE TRIGGER "t" AFTER INSERT ON "a"; DROP TABLE "t"
CREATE TRIGGER "_cap_t" AFTER INSERT ON "a" BEGIN SELECT 1; END
CREATE TEMP TRIGGER "t" AFTER INSERT ON "a" BEGIN SELECT 1; END
CREATE TABLE "t"("a" TEXT DEFAULT (random())) STRICT
ATTACH 'x' AS "y"
CREATE VIEW "v" AS SELECT random() FROM "t"
CREATE VIEW "v" AS SELECT coalesce(datetime('now'),1) FROM "t"
CREATE VIEW "v" AS SELECT "a" FROM "_sharelite"
INSERT INTO "t"("a") SELECT "a" FROM "u"
INSERT INTO "_sharelite"("id") SELECT "a" FROM "u" ORDER BY "a"
INSERT INTO "t"("a") SELECT "a" FROM "u" ORDER BY random()
INSERT INTO "t"("a") VALUES(1)
CREATE TABLE "t"("a" TEXT)
CREATE TABLE "t"("a" TEXT DEFAULT (random())) STRICT
CREATE TABLE "t"("a" TEXT CHECK(1)) STRICT
CREATE TABLE "t" AS SELECT 1
CREATE TEMP TABLE "t"("a" TEXT) STRICT
CREATE TABLE main."t"("a" TEXT) STRICT
CREATE INDEX "i" ON "t"(lower("a"))
VACUUM
CREATE TABLE "t"("a
CREATE VIRTUAL TABLE "t" USING fts5("a")
ALTER TABLE "t" RENAME COLUMN "a" TO "b"
SELECT 1
'''.splitlines()
NO_STEPS += ["", f'CREATE VIEW "v" AS SELECT {"(" * 5000}1{")" * 5000} FROM "t"']


@pytest.mark.parametrize("sql", NO_STEPS, ids=lambda sql: sql[:40])
def test_anything_else_is_no_step(sql: str) -> None:  # C24
    assert not is_step(sql)


def test_a_push_of_an_older_contract_is_understood_while_what_it_knows_is_there() -> None:  # C25
    old = Contract.parse(t({"a": TXT, "b": {**INT, "default": 1}}))
    more = Contract.parse(changed(t({"a": TXT, "b": {**INT, "default": 1}, "c": TXT}), u=OTHER))
    assert compatible(old, more) == ()
    less = compatible(more, old)
    assert [(fault.table, fault.pointer) for fault in less] == [("t", "/c"), ("u", None)]
    assert compatible(more, old, tables=["t"]) == less[:1]
    other = compatible(old, Contract.parse(t({"a": INT, "b": {**INT, "default": 2}})))
    assert [fault.pointer for fault in other] == ["/a", "/b"]
    rekeyed = compatible(old, Contract.parse(t({"a": TXT, "b": INT}, sql={"key": ["id", "a"]})))
    assert [fault.message for fault in rekeyed] == ["the key of t has changed"]


def test_the_same_contract_needs_no_step() -> None:  # C18, C21
    again = Contract.parse(json.loads(json.dumps(everything().document)))
    assert plan(everything(), again) == Upgrade("none")


def test_apply_runs_nothing_that_is_no_step() -> None:  # C24
    connection = database(everything())
    with pytest.raises(Mismatch, match="no schema step"):
        run_steps(connection, ['CREATE TABLE "x"("a" TEXT) STRICT', 'DELETE FROM "settings"'])
    assert len(rows(connection, "settings")) == 1
    harmless = ['ALTER TABLE "x" ADD COLUMN "b ADD COLUMN c" TEXT', 'CREATE VIEW "v" AS SELECT "a" FROM "x"']
    assert not run_steps(connection, harmless)
    assert run_steps(connection, ['ALTER TABLE "x" DROP COLUMN "b ADD COLUMN c"'])
