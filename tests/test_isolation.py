"""What two transactions see of each other: the anomalies of Hermitage, none of which happens (SPEC Q10).

Each test is a line of the table in server/sql/README.md.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desks import Desk, Refusal, desk
from tests.serving import PATIENCE, Serving

TEST = {
    "type": "object",
    "properties": {
        "test": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "integer"}, "value": {"type": "integer"}},
            },
        }
    },
}
ALL = "SELECT id, value FROM test ORDER BY id"
SET = "UPDATE test SET value = ? WHERE id = ?"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("isolation") / "data") as serving:
        yield serving


@pytest.fixture
def two(server: Serving) -> Iterator[tuple[Desk, Desk]]:
    """Two connections on a table with (1, 10) and (2, 20), each in a transaction that has done nothing yet."""
    answer = server.http.post("/v1/projects", json={"name": secrets.token_hex(8), "contract": TEST})
    project = answer.json()["id"]
    with desk(server, project) as one, desk(server, project) as other:
        one.run("INSERT INTO test(id, value) VALUES (1, 10), (2, 20)")
        one.begin()
        other.begin()
        yield one, other
        one.rollback()
        other.rollback()
    assert server.http.delete(f"/v1/projects/{project}").status_code == 204


class Later:
    """A statement that waits for its turn while the test goes on."""

    def __init__(self, desk: Desk, sql: str, *params: int) -> None:
        self._thread = threading.Thread(target=desk.run, args=(sql, *params))
        self._thread.start()

    def done(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def conflict(desk: Desk, sql: str, *params: int) -> None:
    """The statement finds that what the transaction has read is not so any more."""
    with pytest.raises(Refusal) as refused:
        desk.run(sql, *params)
    assert (refused.value.code, refused.value.transaction) == ("conflict", "gone")


def test_g0_writes_of_two_are_never_mixed(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    one.run(SET, 11, 1)
    waiting = Later(other, SET, 12, 1)
    one.run(SET, 21, 2)
    one.commit()
    waiting.done()
    other.run(SET, 22, 2)
    other.commit()
    assert one.run(ALL) == [[1, 12], [2, 22]]


def test_g1a_what_is_rolled_back_is_never_read(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    one.run(SET, 101, 1)
    assert other.run(ALL) == [[1, 10], [2, 20]]
    one.rollback()
    assert other.run(ALL) == [[1, 10], [2, 20]]
    other.commit()


def test_g1b_what_is_written_on_the_way_is_never_read(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    one.run(SET, 101, 1)
    assert other.run(ALL) == [[1, 10], [2, 20]]
    one.run(SET, 11, 1)
    one.commit()
    assert other.run(ALL) == [[1, 10], [2, 20]]
    other.commit()
    assert other.run(ALL) == [[1, 11], [2, 20]]


def test_g1c_two_never_read_each_other(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    one.run(SET, 11, 1)
    waiting = Later(other, SET, 22, 2)
    assert one.run("SELECT value FROM test WHERE id = 2") == [[20]]
    one.commit()
    waiting.done()
    assert other.run("SELECT value FROM test WHERE id = 1") == [[11]]
    other.commit()


def test_otv_what_was_seen_does_not_vanish(server: Serving, two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    with desk(server, one.welcome["project"]) as third:
        third.begin()
        one.run(SET, 11, 1)
        one.run(SET, 19, 2)
        waiting = Later(other, SET, 12, 1)
        one.commit()
        waiting.done()
        assert third.run("SELECT value FROM test WHERE id = 1") == [[11]]
        other.run(SET, 18, 2)
        assert third.run("SELECT value FROM test WHERE id = 2") == [[19]]
        other.commit()
        assert third.run(ALL) == [[1, 11], [2, 19]]


def test_pmp_a_condition_is_read_as_it_was(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    assert one.run("SELECT * FROM test WHERE value = 30") == []
    other.run("INSERT INTO test(id, value) VALUES (3, 30)")
    other.commit()
    assert one.run("SELECT * FROM test WHERE value % 3 = 0") == []
    one.commit()


def test_pmp_a_condition_is_written_as_it_was_read_or_not_at_all(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    assert other.run("SELECT id FROM test WHERE value = 20") == [[2]]
    one.run("UPDATE test SET value = value + 10")
    one.commit()
    conflict(other, "DELETE FROM test WHERE value = 20")


def test_p4_no_update_is_lost(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    for each in two:
        assert each.run("SELECT value FROM test WHERE id = 1") == [[10]]
    one.run(SET, 11, 1)
    waiting: list[str] = []

    def update() -> None:
        try:
            other.run(SET, 11, 1)
        except Refusal as refused:
            waiting.append(refused.code)

    thread = threading.Thread(target=update)
    thread.start()
    one.commit()
    thread.join(PATIENCE)
    assert waiting == ["conflict"]


def test_g_single_no_two_states_are_read(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    assert one.run("SELECT value FROM test WHERE id = 1") == [[10]]
    assert other.run(ALL) == [[1, 10], [2, 20]]
    other.run(SET, 12, 1)
    other.run(SET, 18, 2)
    other.commit()
    assert one.run("SELECT value FROM test WHERE id = 2") == [[20]]
    one.commit()


def test_g_single_what_was_read_before_binds_what_is_written(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    assert one.run("SELECT value FROM test WHERE id = 1") == [[10]]
    other.run(SET, 12, 1)
    other.run(SET, 18, 2)
    other.commit()
    conflict(one, "DELETE FROM test WHERE value = 20")


def test_g2_item_what_both_read_only_one_may_build_on(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    for each in two:
        assert each.run(ALL) == [[1, 10], [2, 20]]
    one.run(SET, 11, 1)
    one.commit()
    conflict(other, SET, 21, 2)


def test_g2_neither_do_two_build_on_the_same_condition(two: tuple[Desk, Desk]) -> None:  # Q10
    one, other = two
    for each in two:
        assert each.run("SELECT * FROM test WHERE value % 3 = 0") == []
    one.run("INSERT INTO test(id, value) VALUES (3, 30)")
    one.commit()
    conflict(other, "INSERT INTO test(id, value) VALUES (4, 42)")


def test_the_table_names_a_test_for_each_anomaly() -> None:  # Q10
    page = Path(__file__).resolve().parent.parent / "server" / "sql" / "README.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| G") or line.startswith(("| O", "| P"))]
    tests = [name for name in globals() if name.startswith("test_")]
    named = [row.split("`test_")[1].split("...")[0] for row in rows]
    assert len(named) == 9 and all(any(test.startswith(f"test_{each}") for test in tests) for each in named)
    assert all(any(test.startswith(f"test_{each}") for each in [*named, "the_table"]) for test in tests)
