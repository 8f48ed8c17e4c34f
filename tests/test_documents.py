"""Documents as rows: CSV, JSON, NDJSON, GeoJSON, whole trees; every fault with its place (SPEC J11)."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from sharelite.schema.contract import Contract
from sharelite.transfer.documents import Form, Item, NewIds, batches, items, places
from sharelite.transfer.faults import DocumentInvalid
from tests.roads import SCENE

PLACES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "name"],
                "properties": {
                    "id": {"type": "string"},
                    "name": {"type": "string", "minLength": 1},
                    "people": {"type": "integer", "minimum": 0},
                    "open": {"type": "boolean"},
                    "any": {"type": ["string", "number"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "geometry": {"type": "object"},
                    "position": {
                        "type": "object",
                        "properties": {
                            "lon": {"type": "number", "minimum": -180, "maximum": 180},
                            "lat": {"type": "number"},
                            "altitude": {"type": "number"},
                        },
                    },
                },
            },
        },
        "keyless": {
            "type": "array",
            "x-sql": {"key": "_key"},
            "items": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
    },
}


def read(content: str | bytes | Any, form: Form, table: str | None = "place", contract: Any = PLACES) -> list[Item]:
    raw = content if isinstance(content, bytes) else content if isinstance(content, str) else json.dumps(content)
    raw = raw.encode() if isinstance(raw, str) else raw
    numbers = count(1)
    new = NewIds(lambda: f"n{next(numbers)}", lambda: next(numbers))
    return items(raw, form, Contract.parse(contract), table, "i", new)


def changes(found: list[Item]) -> list[Any]:
    return [change for item in found for change in item.changes]


def faults(*given: Any, **more: Any) -> list[str]:
    with pytest.raises(DocumentInvalid) as told:
        read(*given, **more)
    return [str(fault) for fault in told.value.places]


def test_csv_fills_columns_by_their_names_also_inside_of_objects() -> None:  # J11
    names = "id,name,people,open,any,tags,position.lon\r\n"
    text = names + 'a,"Rome, ""eternal""",3,true,1.5,"[""x""]",12.5\r\nb,Oslo,,no,x,,\r\n'
    assert changes(read(text, "csv")) == [
        ["i", "place", ["a"], {"name": 'Rome, "eternal"', "people": 3, "open": 1, "any": 1.5, "tags": '["x"]',
                               "position.lon": 12.5}],
        ["i", "place", ["b"], {"name": "Oslo", "open": 0, "any": "x"}],
    ]  # fmt: skip


def test_a_byte_order_mark_and_lines_inside_of_quotes_do_not_shift_the_places() -> None:  # J11
    text = '\ufeffid,name,people\na,"two\nlines",1\nb,Oslo,many\nc,,1\nd,x\n'
    assert faults(text, "csv") == [
        "line 4, /people: a number is needed, not 'many'",
        "line 5, /name: 'name' is required",
        "line 6: has 2 values, the first line has 3 names",
    ]


def test_names_that_the_table_does_not_have_are_told_with_those_it_has() -> None:  # J11
    assert "no property 'colour'; it has id, name, people" in faults("id,colour\na,b\n", "csv")[0]
    assert "it has place, keyless" in faults("id\n", "csv", table="plaec")[0]


def test_bytes_that_are_no_text_are_told_with_their_line() -> None:  # J11
    assert faults(b"id,name\na,b\nb,\xff\n", "csv") == ["line 3: is not UTF-8 text"]
    assert faults(b'[{"id": "\xff"}]', "json") == ["byte 9: is not UTF-8 text"]


def test_json_rows_have_places_in_the_document() -> None:  # J11
    assert faults([{"id": "a", "name": "x"}, {"id": "b", "name": ""}, 3], "json") == [
        '/1/name: "" is shorter than 1 character',
        "/2: an object is needed",
    ]
    assert faults("[1,\n  ]", "json")[0].startswith("line 2, column 3")


def test_lines_of_json_have_the_number_of_their_line() -> None:  # J11
    text = '{"id":"a","name":"x"}\n\n{"id":"b"}\n{"id":\n{"id":"c","name":"y","people":NaN}\n'
    found = faults(text, "ndjson")
    assert [line.split(":")[0] for line in found] == ["line 3, /name", "line 4", "line 5"]


def test_points_go_where_longitude_and_latitude_are() -> None:  # J11
    feature = {
        "type": "Feature",
        "id": 7,
        "properties": {"Name": "Rome", "unknown": 1},
        "geometry": {"type": "Point", "coordinates": [12.5, 41.9, 20]},
    }
    (change,) = changes(read({"type": "FeatureCollection", "features": [feature]}, "geojson"))
    position = {"position.lon": 12.5, "position.lat": 41.9, "position.altitude": 20.0}
    assert change == ["i", "place", ["7"], {"name": "Rome", **position}]


def test_other_geometries_are_kept_as_they_are_where_there_is_a_place_for_them() -> None:  # J11
    line = {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}
    features = [{"id": "r", "properties": {"name": "road"}, "geometry": line}]
    (change,) = changes(read({"features": features}, "geojson"))
    assert json.loads(change[3]["geometry"]) == line
    assert "no place for a LineString" in faults({"features": features}, "geojson", "keyless")[0]


def test_rows_without_a_key_of_their_own_get_one() -> None:  # J11
    assert changes(read([{"a": "x"}, {"a": "y", "_key": 9}], "json", "keyless")) == [
        ["i", "keyless", [1], {"a": "x"}],
        ["i", "keyless", [9], {"a": "y"}],
    ]


def test_a_whole_tree_comes_parents_first_and_single_parts_are_updated() -> None:  # J11
    tree = {
        "note": [{"id": "n", "layer": "l", "points": [{"id": "p", "x": 1}]}],
        "layer": [{"id": "l"}],
        "scene": {"title": "Rome"},
    }
    assert [change[:3] for change in changes(read(tree, "json", None, SCENE))] == [
        ["u", "scene", [1]],
        ["i", "layer", ["l"]],
        ["i", "note", ["n"]],
        ["i", "note.points", ["n", "p"]],
    ]
    assert faults({"nothing": []}, "json", table=None, contract=SCENE) == ["/nothing: the contract has no such part"]


def test_batches_hold_whole_rows() -> None:  # J11
    tree = [{"id": f"n{number}", "points": [{"id": "p"}, {"id": "q"}]} for number in range(5)]
    found = read(tree, "json", "note", SCENE)
    assert [len(batch) for batch in batches(found, 6, 1 << 20)] == [2, 2, 1]
    assert [len(batch) for batch in batches(found, 1000, 1)] == [1] * 5


def test_what_the_server_refuses_is_told_with_the_place_in_the_document() -> None:  # J11
    found = read("id,name\na,x\nb,y\n", "csv")
    told = places(found, [{"table": "place", "key": ["b"], "message": "is there already"}, {"message": "else"}])
    assert list(map(str, told)) == ["line 3: is there already", "the server: else"]
