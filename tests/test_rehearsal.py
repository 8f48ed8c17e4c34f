"""What becomes of a mutation: its changes, or why it is refused (SPEC M)."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from sharelite.errors import Refused, Unavailable
from sharelite.model import Call, Change, Expectation, Mutation, Outcome, Sql, Statement
from sharelite.road import Road
from sharelite.schema.contract import Contract
from sharelite.schema.steps import plan
from sharelite.schema.tables import create_steps
from sharelite.schemachange import schema_change
from sharelite.sync.statements import Transaction
from tests.roads import (
    SCENE,
    Client,
    changes,
    code,
    delete,
    insert,
    new_road,
    one,
    put,
    row_digest,
    rows,
    traced,
    update,
)


def _fail(transaction: Transaction, args: Any) -> None:
    transaction.insert("note", ("made",), {"text": "half"})
    raise RuntimeError("no luck")


def _grow(transaction: Transaction, args: Any) -> None:
    for key, size in transaction.execute("SELECT id, coalesce(size, 12) FROM note"):
        transaction.update("note", (key,), {"size": size + args["by"]})


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    road = new_road(tmp_path, functions={"fail": _fail, "grow": _grow})
    yield road
    road.close()


@pytest.fixture
def ann(road: Road) -> Client:
    client = Client(road)
    client.do(insert("layer", "l1", title="one"), insert("layer", "l2", title="two"))
    client.do(insert("note", "n1", layer="l1", text="hello"), insert("note", "n2", layer="l1", size=20))
    return client


def test_a_cascade_is_captured_row_by_row(ann: Client, road: Road) -> None:  # M1
    arrival = road.travel([ann.mutation(delete("layer", "l1"))])
    assert sorted((c.op, c.table, c.key) for c in changes(arrival)) == [
        ("d", "layer", ("l1",)),
        ("d", "note", ("n1",)),
        ("d", "note", ("n2",)),
    ]


def test_a_row_that_replace_removes_is_captured(ann: Client, road: Road) -> None:  # M1
    sql = "INSERT OR REPLACE INTO layer(id, title) VALUES('l3', 'two')"
    arrival = road.travel([Mutation("ann", Sql((Statement(sql),)))])
    assert changes(arrival) == [
        Change("d", "layer", ("l2",), None, {"title": "two"}),
        Change("i", "layer", ("l3",), {"title": "two"}, None),
    ]


def test_chance_and_clock_travel_as_the_values_they_gave(ann: Client, tmp_path: Path) -> None:  # M1
    assert ann.sql("UPDATE note SET any = hex(randomblob(8)) || datetime('now')").kind == "committed"
    assert all(len(text) == 35 for (text,) in rows(tmp_path, "SELECT any FROM note"))


def test_properties_written_by_one_statement_are_one_change(ann: Client, road: Road) -> None:  # M2
    arrival = road.travel(
        [ann.mutation(update("note", "n1", text="a", size=1), update("note", "n1", done=True, text="b"))]
    )
    assert changes(arrival) == [
        Change("u", "note", ("n1",), {"text": "a", "size": 1.0}, {"text": "hello", "size": None}),
        Change("u", "note", ("n1",), {"text": "b", "done": 1}, {"text": "a", "done": None}),
    ]


def test_a_change_there_and_back_is_not_netted(ann: Client, road: Road) -> None:  # M2
    arrival = road.travel([ann.mutation(update("note", "n1", text="a"), update("note", "n1", text="hello"))])
    assert [(c.old, c.new) for c in changes(arrival)] == [
        ({"text": "hello"}, {"text": "a"}),
        ({"text": "a"}, {"text": "hello"}),
    ]


def test_a_refused_mutation_leaves_nothing_and_the_others_go_on(ann: Client, road: Road, tmp_path: Path) -> None:  # M3
    batch = [
        ann.mutation(update("note", "n1", text="first")),
        ann.mutation(insert("note", "n9", text="gone"), update("note", "n2", size=1000)),
        ann.mutation(update("note", "n1", size=3)),
    ]
    assert [answer.kind for answer in road.travel(batch).answers if isinstance(answer, Outcome)] == [
        "committed",
        "refused",
        "committed",
    ]
    assert rows(tmp_path, "SELECT id, text, size FROM note ORDER BY id") == [("n1", "first", 3.0), ("n2", None, 20.0)]


def test_inserting_an_existing_key_is_refused(ann: Client) -> None:  # M4
    assert code(ann.do(insert("note", "n1", text="again"))) == "exists"


def test_updating_a_row_that_is_gone_is_refused(ann: Client) -> None:  # M5
    outcome = ann.do(update("note", "nx", text="a"))
    assert code(outcome) == "not_found"
    assert outcome.refusal is not None and outcome.refusal.errors[0].key == ["nx"]


def test_updating_a_row_that_is_gone_is_skipped_on_request_and_listed(ann: Client, road: Road) -> None:  # M5
    mutation = ann.mutation(update("note", "nx", text="a"), update("note", "n1", text="b"), missing="skip")
    (commit,) = road.travel([mutation]).commits
    assert b'"skipped":[["note",["nx"]]]' in commit.json


def test_deleting_a_row_that_is_gone_has_no_effect(ann: Client) -> None:  # M6
    assert ann.do(delete("note", "nx")).kind == "settled"


def test_put_inserts_or_updates_only_its_columns(ann: Client, tmp_path: Path) -> None:  # M7
    ann.do(put("note", "n1", size=5))
    ann.do(put("note", "n3", size=6))
    assert rows(tmp_path, "SELECT id, text, size FROM note WHERE id<>'n2' ORDER BY id") == [
        ("n1", "hello", 5.0),
        ("n3", None, 6.0),
    ]


def test_a_singleton_is_updated_but_never_made_or_deleted(ann: Client) -> None:  # M8
    assert ann.do(put("scene", 1, title="Rome")).kind == "committed"
    assert code(ann.do(insert("scene", 1, title="x"))) == "exists"
    assert code(ann.do(delete("scene", 1))) == "invalid"
    assert code(ann.do(update("scene", 2, title="x"))) in ("invalid", "not_found")


def test_expectations_guard_a_mutation(ann: Client) -> None:  # M9
    hello = Expectation("=", "note", ("n1",), {"text": "hello"})
    assert ann.do(update("note", "n1", text="x"), expect=(hello,)).kind == "committed"
    assert code(ann.do(update("note", "n1", text="y"), expect=(hello,))) == "conflict"
    absent = Expectation("absent", "note", ("n1",), {})
    assert code(ann.do(update("note", "n1", text="y"), expect=(absent,))) == "conflict"


def test_an_expectation_since_a_version_sees_the_log_and_the_batch(ann: Client, road: Road) -> None:  # M9
    version = road.position.version
    since = Expectation("since", "note", ("n1",), {}, version)
    batch = [
        ann.mutation(update("note", "n1", text="a")),
        ann.mutation(update("note", "n1", text="b"), expect=(since,)),
    ]
    assert [answer.kind for answer in road.travel(batch).answers if isinstance(answer, Outcome)] == [
        "committed",
        "refused",
    ]
    assert code(ann.do(update("note", "n1", text="c"), expect=(since,))) == "conflict"
    now = Expectation("since", "note", ("n1",), {}, road.position.version)
    assert ann.do(update("note", "n1", text="c"), expect=(now,)).kind == "committed"


def test_two_rows_swap_a_unique_value(ann: Client, tmp_path: Path) -> None:  # M10
    assert ann.do(update("layer", "l1", title="two"), update("layer", "l2", title="one")).kind == "committed"
    assert rows(tmp_path, "SELECT id, title FROM layer ORDER BY id") == [("l1", "two"), ("l2", "one")]


def test_a_unique_value_may_be_freed_later_in_the_mutation(ann: Client, tmp_path: Path) -> None:  # M10
    assert ann.do(insert("layer", "l3", title="one"), update("layer", "l1", title="free")).kind == "committed"
    assert rows(tmp_path, "SELECT id FROM layer WHERE title='one'") == [("l3",)]


def test_a_taken_unique_value_is_refused(ann: Client) -> None:  # M10
    assert code(ann.do(update("layer", "l1", title="two"))) == "unique"


def test_a_reference_without_target_is_refused_with_its_place(ann: Client) -> None:  # M11
    outcome = ann.do(insert("note", "n5", layer="nowhere"))
    assert code(outcome) == "reference"
    assert outcome.refusal is not None
    (fault,) = outcome.refusal.errors
    assert (fault.table, fault.key, fault.pointer) == ("note", ["n5"], "/layer")


def test_references_may_be_made_whole_later_in_the_mutation(ann: Client) -> None:  # M11
    assert ann.do(insert("note", "n5", layer="l5"), insert("layer", "l5")).kind == "committed"


@pytest.mark.parametrize("action", ["restrict", "no action", "cascade"])
def test_a_reference_that_restricts_is_judged_at_the_end_too(tmp_path: Path, action: str) -> None:  # M11
    contract = copy.deepcopy(SCENE)
    contract["properties"]["note"]["items"]["properties"]["layer"]["x-sql"]["onDelete"] = action
    ann = Client(road := new_road(tmp_path, contract))
    ann.do(insert("layer", "l1"), insert("note", "n1", layer="l1"))
    if action != "cascade":
        assert code(ann.do(delete("layer", "l1"))) == "reference"
    assert ann.do(delete("layer", "l1"), delete("note", "n1")).kind == "committed"
    road.close()


def test_a_cycle_in_a_tree_is_refused(ann: Client) -> None:  # M12
    assert ann.do(update("layer", "l2", parent="l1")).kind == "committed"
    assert code(ann.do(update("layer", "l1", parent="l2"))) == "cycle"
    assert code(ann.do(update("layer", "l1", parent="l1"))) == "cycle"


def test_a_row_that_breaks_the_contract_is_refused_with_pointers(ann: Client) -> None:  # M13
    outcome = ann.do(update("note", "n1", size=-1, text="x" * 30))
    assert code(outcome) == "invalid"
    assert outcome.refusal is not None
    assert sorted(str(fault.pointer) for fault in outcome.refusal.errors) == ["/size", "/text"]


def test_sql_is_held_to_the_contract_too(ann: Client, tmp_path: Path) -> None:  # M13
    assert code(ann.sql("UPDATE note SET size=101")) == "invalid"
    assert rows(tmp_path, "SELECT count(*) FROM note WHERE size=101") == [(0,)]


def test_the_length_of_a_nested_list_is_checked(ann: Client) -> None:  # M14
    points = [insert("note.points", ("n1", f"p{i}"), x=i) for i in range(4)]
    assert ann.do(*points[:3]).kind == "committed"
    assert code(ann.do(points[3])) == "invalid"
    assert ann.do(delete("note.points", ("n1", "p0")), points[3]).kind == "committed"


def test_a_statement_that_takes_everything_back_is_refused_alone(ann: Client, road: Road) -> None:  # M16
    rollback = Mutation("ann", Sql((Statement("INSERT OR ROLLBACK INTO note(id) VALUES('n1')"),)))
    batch = [ann.mutation(update("note", "n1", text="a")), rollback, ann.mutation(update("note", "n2", text="b"))]
    assert [answer.kind for answer in road.travel(batch).answers if isinstance(answer, Outcome)] == [
        "committed",
        "refused",
        "committed",
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH 'x.db' AS x",
        "PRAGMA foreign_keys=OFF",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT mutation",
        "DROP TABLE note",
        "CREATE TABLE x(y)",
        "UPDATE \"_sharelite\" SET version=x'00'",
        "DELETE FROM temp._chg",
        "UPDATE temp._cap SET v=0",
        "SELECT load_extension('x')",
    ],
)
def test_statements_beyond_reading_and_writing_rows_are_forbidden(ann: Client, sql: str) -> None:  # M16
    assert code(ann.sql(sql)) in ("forbidden", "failed")
    assert ann.do(update("note", "n1", text="still fine")).kind == "committed"


def test_a_function_works_inside_the_rehearsal(ann: Client, tmp_path: Path) -> None:  # M17
    assert ann.call("grow", by=2).kind == "committed"
    assert rows(tmp_path, "SELECT size FROM note ORDER BY id") == [(14.0,), (22.0,)]


def test_a_function_that_fails_leaves_nothing(ann: Client, tmp_path: Path) -> None:  # M17
    outcome = ann.call("fail")
    assert code(outcome) == "failed"
    assert outcome.refusal is not None and "no luck" in outcome.refusal.message
    assert rows(tmp_path, "SELECT count(*) FROM note WHERE id='made'") == [(0,)]


def test_an_unknown_function_is_named(ann: Client) -> None:  # M17
    outcome = ann.call("nope")
    assert code(outcome) == "unknown_function"


def test_a_write_that_changes_nothing_is_settled(ann: Client, road: Road) -> None:  # M22
    before = road.position.version
    assert ann.do(update("note", "n1", text="hello")) == Outcome("settled", before)
    assert road.position.version == before


def test_values_equal_to_the_default_are_stored_as_null(ann: Client, tmp_path: Path) -> None:  # M13
    assert ann.do(update("note", "n2", size=12)).kind == "committed"
    assert rows(tmp_path, "SELECT size FROM note WHERE id='n2'") == [(None,)]


def test_a_push_made_for_another_contract_is_told_when_it_no_longer_fits(road: Road, ann: Client) -> None:  # M23
    import msgspec

    stale = msgspec.structs.replace(ann.mutation(update("note", "n1", colour="red")), contract="0" * 64)
    (answer,) = road.travel([stale]).answers
    assert isinstance(answer, Outcome) and code(answer) == "contract_changed"
    fits = msgspec.structs.replace(ann.mutation(update("note", "n1", text="x")), contract="0" * 64)
    (answer,) = road.travel([fits]).answers
    assert isinstance(answer, Outcome) and answer.kind == "committed"


def test_a_push_that_would_mean_something_else_now_is_told(road: Road, ann: Client) -> None:  # M23
    import copy

    import msgspec

    former = road._rules.hash  # type: ignore[union-attr]
    document = copy.deepcopy(SCENE)
    document["properties"]["note"]["items"]["properties"]["size"]["default"] = 20
    contract = Contract.parse(document)
    upgrade = plan(Contract.parse(SCENE), contract)
    road.change_schema(schema_change(contract, upgrade.steps, upgrade.tightened), "ann")
    stale = msgspec.structs.replace(ann.mutation(update("note", "n1", size=20)), contract=former)
    assert code(one(road.travel([stale]))) == "contract_changed"
    elsewhere = msgspec.structs.replace(ann.mutation(update("layer", "l1", title="x")), contract=former)
    assert one(road.travel([elsewhere])).kind == "committed"


def test_an_unknown_table_or_column_is_named(ann: Client) -> None:  # M13
    for operation in (insert("nope", "a"), update("note", "n1", nope=1), update("note", "n1", __proto__=1)):
        outcome = ann.do(operation)
        assert code(outcome) == "invalid"
        assert outcome.refusal is not None and (
            "nope" in outcome.refusal.message or "__proto__" in outcome.refusal.message
        )


def test_the_row_digest_follows_every_change(ann: Client, road: Road, tmp_path: Path) -> None:  # L6
    ann.do(update("note", "n1", any=1), insert("note.points", ("n1", "p"), x=1))
    ann.do(update("note", "n1", any=1.0))
    ann.do(delete("layer", "l1"))
    assert road.row_digest == row_digest(tmp_path)


def test_refused_inside_a_function_keeps_its_code(tmp_path: Path) -> None:  # M17
    def strict(transaction: Transaction, args: Any) -> None:
        raise Refused("forbidden", "not on Sundays")

    (tmp_path / "other").mkdir()
    road = new_road(tmp_path / "other", functions={"strict": strict})
    assert code(Client(road).call("strict")) == "forbidden"
    road.close()


def test_infinity_is_refused_and_minus_zero_is_zero(ann: Client, tmp_path: Path) -> None:  # M25
    assert code(ann.sql("UPDATE note SET any=9e999 WHERE id='n1'")) == "invalid"
    assert ann.sql("UPDATE note SET any=-0.0 WHERE id='n1'").kind == "committed"
    assert repr(rows(tmp_path, "SELECT any FROM note WHERE id='n1'")) == "[(0.0,)]"


def test_text_that_is_not_utf8_is_refused(ann: Client) -> None:  # M25
    assert code(ann.sql("UPDATE note SET text=CAST(x'ff' AS TEXT)")) == "invalid"
    assert ann.do(update("note", "n1", text="fine")).kind == "committed"


def test_a_function_that_goes_on_after_everything_was_taken_back_writes_nothing(tmp_path: Path) -> None:  # M16
    def stubborn(transaction: Transaction, args: Any) -> None:
        with contextlib.suppress(Refused):
            transaction.execute("INSERT OR ROLLBACK INTO note(id) VALUES('a')")
        transaction.execute("INSERT INTO note(id) VALUES('stray')")

    road = new_road(tmp_path, functions={"stubborn": stubborn})
    ann = Client(road)
    ann.do(insert("note", "a"))
    refused, fine = road.travel([Mutation("ann", Call("stubborn", {})), ann.mutation(insert("note", "b"))]).answers
    assert isinstance(refused, Outcome) and code(refused) == "failed" and fine == Outcome("committed", 3)
    assert rows(tmp_path, "SELECT id FROM note ORDER BY id") == [("a",), ("b",)]
    road.close()


def test_a_full_disk_inside_a_function_is_no_judgement(tmp_path: Path) -> None:  # L8
    def unlucky(transaction: Transaction, args: Any) -> None:
        raise apsw.FullError("database or disk is full")

    road = new_road(tmp_path, functions={"unlucky": unlucky})
    with pytest.raises(Unavailable, match="disk is full"):
        road.travel([Mutation("ann", Call("unlucky", {}))])
    assert Client(road).do(insert("note", "a")) == Outcome("committed", 2)
    road.close()


def test_a_refusal_does_not_repeat_what_was_pushed(ann: Client) -> None:  # M30
    outcome = ann.do(insert("note", "k" * 900_000, text="x" * 900_000, size=1000))
    assert code(outcome) == "invalid" and len(repr(outcome.refusal)) < 5000
    many = ann.do(*[insert("note", f"m{i}", size=-1) for i in range(500)])
    assert many.refusal is not None and len(many.refusal.errors) == 20


def test_a_row_that_grows_beyond_64_mib_is_refused(road: Road) -> None:  # M31
    free = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "a": {"type": "string"}, "b": {"type": "string"}},
    }
    wide = {"type": "object", "properties": {"t": {"type": "array", "items": {**free, "required": ["id"]}}}}
    road.change_schema(schema_change(Contract.parse(wide), create_steps(Contract.parse(wide)), ()), "ann")
    ann = Client(road)
    assert ann.do(insert("t", "1", a="x" * (33 << 20))).kind == "committed"
    assert code(ann.do(update("t", "1", b="y" * (33 << 20)))) == "too_large"
    assert ann.do(update("t", "1", b="y")).kind == "committed"


def test_a_thousand_rows_that_pass_a_unique_value_on_cost_no_square(tmp_path: Path) -> None:  # M33
    ran: list[str] = []
    numbered = {"id": {"type": "integer"}, "n": {"type": "integer", "x-sql": {"unique": True}}}
    items = {"type": "object", "required": ["id"], "properties": numbered}
    road = new_road(tmp_path, {"type": "object", "properties": {"t": {"type": "array", "items": items}}})
    ann = Client(road)
    ann.do(*[insert("t", i, n=i) for i in range(1000)])
    traced(road, ran)
    assert ann.do(*[update("t", i, n=i + 1) for i in range(1000)]).kind == "committed"
    assert ann.do(*[update("t", i, n=1 + (i ^ 1)) for i in range(1000)]).kind == "committed"
    assert rows(tmp_path, "SELECT id, n FROM t ORDER BY id LIMIT 3") == [(0, 2), (1, 1), (2, 4)]
    assert len([sql for sql in ran if sql.startswith("UPDATE")]) < 12_000
    road.close()


def test_operations_on_one_row_keep_their_order_when_one_of_them_waits(ann: Client, tmp_path: Path) -> None:  # M33
    outcome = ann.do(update("layer", "l1", title="two"), update("layer", "l1", title="last"), delete("layer", "l2"))
    assert outcome.kind == "committed"
    assert rows(tmp_path, "SELECT id, title FROM layer") == [("l1", "last")]


def test_since_looks_back_so_far_and_no_further(
    ann: Client, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:  # M32
    monkeypatch.setattr("sharelite.sync.recent.MOST_VERSIONS", 5)
    start = road.position.version
    for size in range(5):
        ann.do(update("note", "n1", size=size))
    assert ann.do(insert("note", "x"), expect=(Expectation("since", "note", ("n2",), {}, start),)).kind == "committed"
    assert code(ann.do(insert("note", "y"), expect=(Expectation("since", "note", ("n2",), {}, start),))) == "conflict"


def test_a_long_branch_of_a_tree_costs_each_row_once(ann: Client, road: Road) -> None:  # M12
    chain = [insert("layer", f"c{i}", parent=f"c{i - 1}" if i else None) for i in range(9000)]
    assert ann.do(*chain).kind == "committed"
    assert code(ann.do(update("layer", "c0", parent="c8999"))) == "cycle"
    further = [insert("layer", f"d{i}", parent=f"d{i - 1}" if i else "c8999") for i in range(1001)]
    assert code(ann.do(*further)) == "cycle"
    assert ann.do(*further[:-1]).kind == "committed"


def test_what_a_mutation_changes_is_bounded_whatever_it_says(ann: Client) -> None:  # M35
    ann.do(*[insert("note", f"b{i}", any="x" * 1_000_000) for i in range(30)])
    assert code(ann.sql("UPDATE note SET any = any || any || 'y' WHERE id LIKE 'b%'")) == "too_large"
    assert ann.sql("UPDATE note SET any = NULL WHERE id LIKE 'b%'").kind == "committed"
