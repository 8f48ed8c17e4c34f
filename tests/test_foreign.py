"""Files that somebody else made: what is copied, what it becomes, what is refused (SPEC J1 to J7)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from sharelite.errors import FileRefused
from sharelite.schema.contract import Contract
from sharelite.sync import digest, shape
from sharelite.transfer.building import Built, build, look
from tests.foreign_files import SAMPLE, made, rows
from tests.running import ROOT


def built(path: Path) -> tuple[Built, Path]:
    target = path.with_name(f"{path.name}-base")
    return build(path, target, 60.0, lambda phase, done, of: None), target


def of(folder: Path, sql: str, **options: Any) -> tuple[Built, Path]:
    return built(made(folder / "foreign.db", sql, **options))


def refusal(path: Path) -> str:
    with pytest.raises(FileRefused) as told:
        built(path)
    return str(told.value)


def test_every_plain_row_arrives_typed_in_tables_of_ours(tmp_path: Path) -> None:  # J1
    found, base = of(tmp_path, SAMPLE)
    assert found.rows == {"layer": 3, "shape-v2": 3, "pair": 3, "bare": 3, "money_full_": 2, "broken": 1}
    assert rows(base, "SELECT * FROM pair ORDER BY a, b")[2] == ("y", 9007199254740993, b"\0\0\0")
    assert rows(base, "SELECT x, y, typeof(y) FROM bare") == [
        (1, 1.0, "real"),
        ("one", None, "null"),
        (None, b"", "blob"),
    ]
    assert rows(base, "SELECT sql LIKE '%STRICT' FROM sqlite_schema WHERE type='table'") == [(1,)] * 6 + [(1,)]


def test_nothing_of_the_file_but_its_plain_rows_is_there(tmp_path: Path) -> None:  # J1
    _, base = of(tmp_path, SAMPLE)
    kinds = rows(base, "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE '%\\_full' ESCAPE '\\'")
    assert {kind for kind, _ in kinds} == {"table", "index"}
    assert not {"search", "search_data", "loud", "names", "partial", "computed"} & {name for _, name in kinds}


def test_a_trigger_that_gives_rights_away_never_runs(tmp_path: Path) -> None:  # J1
    hostile = """CREATE TABLE t(a); INSERT INTO t VALUES(1); CREATE TABLE _grants(user, role);
        CREATE TRIGGER evil AFTER INSERT ON t BEGIN INSERT INTO _grants VALUES('mallory','owner'); END;"""
    found, base = of(tmp_path, hostile)
    assert found.rows == {"t": 1, "grants": 0} and rows(base, "SELECT * FROM grants") == []


def test_a_view_in_the_place_of_a_table_is_not_taken_for_one(tmp_path: Path) -> None:  # J1
    path = made(tmp_path / "f.db", "CREATE TABLE good(a); CREATE TABLE t(a)")
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA writable_schema=ON").fetchall()
    connection.execute(
        "UPDATE sqlite_schema SET type='view', rootpage=0, sql='CREATE VIEW t AS SELECT 1' WHERE name='t'"
    )
    connection.close()
    assert list(built(path)[0].rows) == ["good"]


def test_a_table_without_a_usable_key_gets_a_hidden_one(tmp_path: Path) -> None:  # J2
    sql = """CREATE TABLE none(a); INSERT INTO none(rowid, a) VALUES(7,'x');
        CREATE TABLE nulls(a TEXT PRIMARY KEY); INSERT INTO nulls VALUES(NULL),(NULL),('a');
        CREATE TABLE reals(a REAL PRIMARY KEY); INSERT INTO reals VALUES(1.5);
        CREATE TABLE bytes(a BLOB PRIMARY KEY); INSERT INTO bytes VALUES(x'00');
        CREATE TABLE zeros(a TEXT PRIMARY KEY); INSERT INTO zeros VALUES('a' || char(0));
        CREATE TABLE shadowed(rowid, oid, _rowid_); INSERT INTO shadowed VALUES('a','b','c');
        CREATE TABLE good(a TEXT, b INT, PRIMARY KEY(b, a)); INSERT INTO good VALUES('x',1)"""
    found, base = of(tmp_path, sql)
    keys = {name: table.key for name, table in Contract.parse(found.contract).tables.items()}
    assert keys.pop("good") == ("b", "a") and set(keys.values()) == {("_key",)}
    assert rows(base, "SELECT _key FROM none") == [(7,)] and rows(base, "SELECT _key FROM shadowed") == [(1,)]


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [
        ("TEXT", "'a'", "TEXT"), ("INTEGER", "1", "INTEGER"), ("REAL", "1", "REAL"), ("BLOB", "x'00'", "BLOB"),
        ("INTEGER", "'a'),(1", "ANY"), ("NUMERIC", "1.5),(2", "REAL"), ("", "1),(1.0", "ANY"),
        ("TEXT", "x'00'),('a'", "ANY"),
        ("NUMERIC", "9007199254740993),(1.5", "ANY"), ("DATETIME", "'2026-01-01'", "TEXT"), ("TEXT", "NULL", "TEXT"),
        ("INTEGER_OR_TEXT", "NULL", "ANY"), ("FLOAT", "NULL", "REAL"), ("BIGINT", "NULL", "INTEGER"),
    ],
)  # fmt: skip
def test_a_column_has_the_type_of_what_is_in_it(
    tmp_path: Path, declared: str, values: str, expected: str
) -> None:  # J3
    found, base = of(
        tmp_path, f"CREATE TABLE t(k INTEGER PRIMARY KEY, a {declared}); INSERT INTO t(a) VALUES({values})"
    )
    assert Contract.parse(found.contract).tables["t"].types["a"] == expected
    before = rows(tmp_path / "foreign.db", "SELECT a FROM t ORDER BY k")
    assert rows(base, "SELECT a FROM t ORDER BY k") == before


def test_infinities_become_null_and_minus_zero_zero_and_that_is_told(tmp_path: Path) -> None:  # J3, J5
    found, base = of(tmp_path, "CREATE TABLE t(a REAL NOT NULL); INSERT INTO t VALUES(9e999),(-9e999),(-0.0),(1)")
    assert rows(base, "SELECT a, printf('%g', a) FROM t") == [(None, "0"), (None, "0"), (0.0, "0"), (1.0, "1")]
    assert ("infinity", "t.a") in {(left.kind, left.name) for left in found.left}


def test_text_that_is_no_utf8_is_shown_as_far_as_it_goes_and_told(tmp_path: Path) -> None:  # J5
    found, base = of(
        tmp_path, "CREATE TABLE t(a TEXT, b); INSERT INTO t VALUES(CAST(x'41ff42' AS TEXT), x'ff'),('ü',1)"
    )
    assert rows(base, "SELECT a, b FROM t") == [("A\ufffdB", b"\xff"), ("ü", 1)]
    assert [left.name for left in found.left if left.kind == "text"] == ["t.a"]


def test_names_that_a_contract_cannot_have_are_changed_and_kept(tmp_path: Path) -> None:  # J4
    sql = """CREATE TABLE "a.b"("_x", "x", "c.d" INTEGER PRIMARY KEY);
        CREATE TABLE "a-b"("Ä", "ä", ""); CREATE TABLE p_full(a)"""
    tables = Contract.parse(of(tmp_path, sql)[0].contract).tables
    assert {name: table.origin for name, table in tables.items()} == {"a-b_2": "a.b", "a-b": None, "p_full_": "p_full"}
    assert [column.origin for column in tables["a-b_2"].properties] == ["c.d", "_x", "x"]
    assert [column.origin for column in tables["a-b"].properties] == ["Ä", "ä", ""]


def test_what_does_not_come_along_is_told_with_a_reason(tmp_path: Path) -> None:  # J5
    left = {(each.kind, each.name) for each in of(tmp_path, SAMPLE)[0].left}
    assert {
        ("view", "names"), ("trigger", "loud"), ("virtual table", "search"), ("shadow table", "search_content"),
        ("index", "partial"), ("index", "computed"), ("generated column", "money_full.twice"), ("key", "shape.v2"),
        ("reference", "broken (layer) to layer"),
    } <= left  # fmt: skip


#: What GDAL writes for one layer of points: https://www.geopackage.org/spec131.
GEOPACKAGE = """
PRAGMA application_id=1196444487; PRAGMA user_version=10300;
CREATE TABLE gpkg_spatial_ref_sys(srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
INSERT INTO gpkg_spatial_ref_sys VALUES('WGS 84', 4326, 'EPSG', 4326, 'GEOGCS[]', NULL);
CREATE TABLE gpkg_contents(table_name TEXT PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), srs_id INTEGER,
  CONSTRAINT fk FOREIGN KEY(srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
INSERT INTO gpkg_contents VALUES('wells', 'features', 'wells', '2026-11-25T00:00:00.000Z', 4326);
CREATE TABLE wells(fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom POINT, name TEXT(40), depth MEDIUMINT);
INSERT INTO wells VALUES(1, x'47500001E6100000010100000000000000000000400000000000000840', 'north', 12);
CREATE VIRTUAL TABLE rtree_wells_geom USING rtree(id, minx, maxx, miny, maxy);
CREATE TRIGGER rtree_wells_geom_insert AFTER INSERT ON wells WHEN (new.geom NOT NULL AND NOT ST_IsEmpty(NEW.geom))
  BEGIN INSERT OR REPLACE INTO rtree_wells_geom VALUES(NEW.fid, ST_MinX(NEW.geom), ST_MaxX(NEW.geom),
  ST_MinY(NEW.geom), ST_MaxY(NEW.geom)); END;
"""


def test_a_geopackage_comes_with_its_layers_and_without_its_index(tmp_path: Path) -> None:  # J1, J5
    found, base = of(tmp_path, GEOPACKAGE)
    assert found.rows == {"gpkg_spatial_ref_sys": 1, "gpkg_contents": 1, "wells": 1}
    ((name, depth, geometry),) = rows(base, "SELECT name, depth, geom FROM wells")
    assert (name, depth, geometry[:2], len(geometry)) == ("north", 12, b"GP", 29)
    left = {(each.kind, each.name) for each in found.left}
    assert {("virtual table", "rtree_wells_geom"), ("trigger", "rtree_wells_geom_insert")} <= left


def test_a_generated_column_that_cannot_be_run_here_is_left_out(tmp_path: Path) -> None:  # J5
    path = tmp_path / "f.db"
    connection = apsw.Connection(str(path))
    connection.create_scalar_function("mine", lambda *values: values[0], deterministic=True)
    connection.execute("CREATE TABLE t(a, b AS (mine(a))); INSERT INTO t VALUES(1)")
    connection.close()
    found, base = built(path)
    assert rows(base, "SELECT * FROM t") == [(1, 1)]
    assert [left.name for left in found.left] == ["t.b"]


def test_references_that_hold_are_kept_with_what_they_do(tmp_path: Path) -> None:  # J6
    sql = """CREATE TABLE p(a TEXT, b INTEGER, u UNIQUE, PRIMARY KEY(a, b)); INSERT INTO p VALUES('x',1,'u'),('x',2,7);
        CREATE TABLE c(b INTEGER, a TEXT, u, w TEXT COLLATE NOCASE,
          FOREIGN KEY(b, a) REFERENCES p(b, a) ON DELETE CASCADE, FOREIGN KEY(u) REFERENCES P(u) ON UPDATE SET NULL);
        INSERT INTO c VALUES(1,'x','u',NULL),(NULL,'x',7,NULL);
        CREATE TABLE empty(u INTEGER REFERENCES p(u))"""
    tables = Contract.parse(of(tmp_path, sql)[0].contract).tables
    assert [(link.columns, link.target, link.on_delete, link.on_update) for link in tables["c"].links] == [
        (("u",), ("u",), "NO ACTION", "SET NULL"), (("a", "b"), ("a", "b"), "CASCADE", "NO ACTION"),
    ]  # fmt: skip
    assert tables["empty"].types["u"] == tables["p"].types["u"] == "ANY"


def test_a_reference_that_holds_only_without_regard_to_case_is_dropped(tmp_path: Path) -> None:  # J6
    sql = """CREATE TABLE p(a TEXT COLLATE NOCASE PRIMARY KEY); INSERT INTO p VALUES('Rome');
        CREATE TABLE c(a TEXT REFERENCES p(a)); INSERT INTO c VALUES('rome')"""
    found, base = of(tmp_path, sql)
    assert not Contract.parse(found.contract).tables["c"].links
    assert ("reference", "c (a) to p") in {(left.kind, left.name) for left in found.left}
    assert rows(base, "PRAGMA foreign_key_check") == []


@pytest.mark.parametrize(
    "options",
    [{"page_size": 512}, {"page_size": 65536}, {"encoding": "UTF-16le"}, {"encoding": "UTF-16be"}, {"reserved": 64}],
    ids=str,
)
def test_page_sizes_encodings_and_reserved_bytes_do_not_matter(tmp_path: Path, options: dict[str, Any]) -> None:  # J1
    plain, base = of(tmp_path, SAMPLE)
    odd, other = built(made(tmp_path / "odd.db", SAMPLE, **options))
    assert odd.base.row_digest == plain.base.row_digest and odd.contract == plain.contract
    assert rows(other, "SELECT * FROM money_full_") == rows(base, "SELECT * FROM money_full_")


def test_the_row_digest_is_that_of_the_rows_however_many_processes_sum_it(tmp_path: Path) -> None:  # J1
    sql = """CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<120000)
        INSERT INTO t SELECT i*1000, 'row ' || i, i/7.0 FROM n"""
    found, base = of(tmp_path, sql)
    connection = apsw.Connection(str(base))
    assert digest.whole(connection, shape.shapes(connection).values()) == found.base.row_digest
    connection.close()


def test_what_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:  # J7
    for name, content in {"empty": b"", "text": b"id,name\n1,a\n", "zeros": bytes(4096)}.items():
        (tmp_path / name).write_bytes(content)
        assert "not a SQLite database" in refusal(tmp_path / name)


def test_a_damaged_file_is_refused_with_what_is_wrong(tmp_path: Path) -> None:  # J7
    path = made(tmp_path / "f.db", SAMPLE)
    content = bytearray(path.read_bytes())
    content[2 * 4096 : 3 * 4096] = b"\xee" * 4096
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_a_file_that_a_contract_cannot_hold_is_refused_clearly(tmp_path: Path) -> None:  # J7
    tables = ";".join(f"CREATE TABLE t{number}(a, b, c)" for number in range(3000))
    assert "3,000 tables, 9,000 columns" in refusal(made(tmp_path / "many.db", tables))
    wide = ", ".join(f"c{number}" for number in range(1950))
    assert "more than 1,900 columns" in refusal(made(tmp_path / "wide.db", f"CREATE TABLE t({wide})"))


def test_keys_that_the_file_itself_contradicts_are_refused(tmp_path: Path) -> None:  # J7
    path = made(
        tmp_path / "f.db", "CREATE TABLE t(a TEXT, b); CREATE UNIQUE INDEX u ON t(a); INSERT INTO t VALUES('x',1)"
    )
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA writable_schema=ON").fetchall()
    connection.execute("UPDATE sqlite_schema SET sql='CREATE INDEX u ON t(a)' WHERE name='u'")
    connection.close()
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO t VALUES('x',2)")
    connection.execute("PRAGMA writable_schema=ON").fetchall()
    connection.execute("UPDATE sqlite_schema SET sql='CREATE UNIQUE INDEX u ON t(a)' WHERE name='u'")
    connection.close()
    assert "contradict" in refusal(path)


def test_an_expression_that_never_ends_runs_out_of_time(tmp_path: Path) -> None:  # J7
    sql = """CREATE TABLE t(a, g AS (length(replace(hex(zeroblob(200000)), '0', hex(a)))));
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000) INSERT INTO t SELECT i FROM n"""
    path = made(tmp_path / "slow.db", sql)
    with pytest.raises(FileRefused, match="longer"):
        look(path, 0.3)


def read_mutants(folder: Path, count: int, seed: int) -> dict[str, int]:
    folder.mkdir(exist_ok=True)
    path = made(folder / "good.db", SAMPLE)
    run = [sys.executable, "-m", "tests.mutants", str(path), str(folder), str(count), str(seed)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_damaged_files_are_read_or_refused_and_nothing_else_happens(tmp_path: Path) -> None:  # J7
    ends = read_mutants(tmp_path, 300, 1)
    assert set(ends) <= {"made", "refused"} and min(ends.values()) > 20


@pytest.mark.long
def test_ten_thousand_damaged_files_are_read_or_refused(tmp_path: Path) -> None:  # J7
    for seed in range(10):
        assert set(read_mutants(tmp_path / str(seed), 1000, 100 + seed)) <= {"made", "refused"}
