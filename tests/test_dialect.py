"""SQLAlchemy on the driver: what its own tests do not ask about (SPEC D)."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    column,
    create_engine,
    exc,
    func,
    insert,
    inspect,
    make_url,
    select,
    table,
    text,
    update,
)  # fmt: skip
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sharelite.driver.dialect import address
from tests.running import RunningServer
from tests.serving import NOTES, PATIENCE, Serving

NOTE = table("note", column("id"), column("text"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("dialect") / "data") as serving:
        yield serving


def made(server: Serving, **body: Any) -> str:
    answer = server.http.post("/v1/projects", json={"name": secrets.token_hex(8), **body})
    return f"sharelite://127.0.0.1:{server.port}/{answer.json()['id']}?timeout={PATIENCE}"


@pytest.fixture
def empty(server: Serving) -> Iterator[Engine]:
    """An engine of a project without tables, which SQL may make."""
    engine = create_engine(made(server))
    yield engine
    engine.dispose()


@pytest.fixture
def notes(server: Serving) -> Iterator[Engine]:
    engine = create_engine(made(server, contract=NOTES))
    yield engine
    engine.dispose()


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)


def test_objects_are_stored_and_found(empty: Engine) -> None:  # D12
    Base.metadata.create_all(empty)
    with Session(empty) as session:
        ann = Author(name="Ann")
        session.add_all([ann, Author(name="Bob")])
        session.commit()
        assert ann.id is not None
        assert session.scalars(select(Author.name).order_by(Author.id)).all() == ["Ann", "Bob"]
        session.add(Author(name="Ann"))
        with pytest.raises(exc.IntegrityError):
            session.commit()


def test_what_was_declared_is_what_is_reflected(empty: Engine) -> None:  # D13
    described = MetaData()
    Table("house", described, Column("id", Integer, primary_key=True))
    room = Table(
        "room", described, Column("id", Integer, primary_key=True), Column("name", String(30), nullable=False),
        Column("area", Numeric(10, 2)), Column("open", Boolean, server_default="1"), Column("seen", DateTime),
        Column("house", ForeignKey("house.id", ondelete="CASCADE")), Column("floor", Integer, index=True),
        UniqueConstraint("name", "house", name="one_name"),
    )  # fmt: skip
    described.create_all(empty)
    found = inspect(empty)
    assert [(each["name"], str(each["type"]), each["nullable"]) for each in found.get_columns("room")] == [
        (each.name, str(each.type), bool(each.nullable)) for each in room.columns
    ]
    assert found.get_table_names() == ["house", "room"] and found.get_view_names() == []
    assert [each["name"] for each in found.get_indexes("room")] == ["ix_room_floor", "one_name"]
    assert found.get_foreign_keys("room")[0]["options"] == {"ondelete": "CASCADE"}


def test_a_table_without_a_key_has_none(empty: Engine) -> None:  # D13
    bare = Table("bare", MetaData(), Column("a", Integer))
    bare.create(empty)
    assert [each["name"] for each in inspect(empty).get_columns("bare")] == ["a"]
    assert inspect(empty).get_pk_constraint("bare")["constrained_columns"] == []


def test_a_transaction_is_one_commit_and_a_savepoint_takes_back_its_part(notes: Engine) -> None:  # D14
    with notes.begin() as connection:
        connection.execute(insert(NOTE), [{"id": f"n{number}", "text": "x"} for number in range(2500)])
        inner = connection.begin_nested()
        connection.execute(update(NOTE).values(text="y"))
        inner.rollback()
    with notes.connect() as connection:
        count = select(func.count()).select_from(NOTE).where(NOTE.c.text == "x")
        assert connection.scalar(count) == 2500


def test_who_read_what_was_changed_since_is_in_conflict_and_who_began_immediately_is_not(notes: Engine) -> None:  # D14
    other = notes.execution_options(isolation_level="AUTOCOMMIT")

    def story(engine: Engine) -> None:
        with engine.begin() as connection:
            count = connection.scalar(select(func.count()).select_from(NOTE))
            if engine is notes:
                with other.connect() as beside:
                    beside.execute(insert(NOTE).values(id=secrets.token_hex(4)))
            connection.execute(insert(NOTE).values(id=f"n{count}"))

    with pytest.raises(exc.OperationalError, match="begin it again"):
        story(notes)
    story(notes.execution_options(sharelite_begin="immediate"))
    with pytest.raises(exc.OperationalError):
        story(notes.execution_options(sharelite_begin="read_only"))
    with pytest.raises(exc.ArgumentError, match="deferred, immediate, read_only"):
        story(notes.execution_options(sharelite_begin="soon"))


def test_a_connection_of_the_pool_begins_as_the_engine_says_again(notes: Engine) -> None:  # D14
    with notes.connect().execution_options(sharelite_begin="immediate") as connection:
        assert connection.connection.dbapi_connection.mode == "immediate"  # type: ignore[union-attr]
    with notes.connect() as connection:
        assert connection.connection.dbapi_connection.mode == "deferred"  # type: ignore[union-attr]


def test_autocommit_commits_each_statement(notes: Engine) -> None:  # D14
    with notes.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(insert(NOTE).values(id="a"))
        connection.rollback()
        assert connection.scalar(select(NOTE.c.id)) == "a"
        assert connection.get_isolation_level() == "AUTOCOMMIT"
    with notes.connect() as connection:
        assert connection.get_isolation_level() == connection.default_isolation_level == "SERIALIZABLE"


def test_a_table_that_is_made_commits_what_was_open(empty: Engine) -> None:  # D15
    with empty.connect() as connection:
        connection.execute(text("CREATE TABLE a(id INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO a VALUES (1)"))
        connection.execute(text("CREATE TABLE b(id INTEGER PRIMARY KEY)"))
        connection.rollback()
        assert connection.scalar(text("SELECT count(*) FROM a")) == 1


def test_a_contract_that_somebody_wrote_is_not_changed(notes: Engine) -> None:  # D15
    with pytest.raises(exc.ProgrammingError, match="/properties/author"):
        Base.metadata.create_all(notes)


def test_what_returns_rows_and_what_meets_a_key_that_is_there(notes: Engine) -> None:  # D12
    with notes.begin() as connection:
        rows = connection.execute(insert(NOTE).returning(NOTE.c.id), [{"id": "a"}, {"id": "b"}]).scalars().all()
        assert sorted(rows) == ["a", "b"]
        again = upsert(NOTE).values(id="a", text="new")
        connection.execute(again.on_conflict_do_update(index_elements=["id"], set_={"text": again.excluded.text}))
        assert connection.scalar(select(NOTE.c.text).where(NOTE.c.id == "a")) == "new"


def test_the_pool_finds_the_server_again(tmp_path: Path) -> None:  # D16
    with RunningServer(tmp_path / "data") as server:
        url = f"sharelite://127.0.0.1:{server.port}/{server.create('pool', NOTES)}?timeout={PATIENCE}"
        engine = create_engine(url, pool_pre_ping=True)
        with engine.begin() as connection:
            connection.execute(insert(NOTE).values(id="a"))
        server.kill()
        server.start()
        with engine.begin() as connection:
            connection.execute(insert(NOTE).values(id="b"))
            server.kill()
            server.start()
            with pytest.raises(exc.OperationalError) as broke:
                connection.execute(insert(NOTE).values(id="c"))
            assert broke.value.connection_invalidated
            connection.rollback()
        with engine.connect() as connection:
            assert connection.scalars(select(NOTE.c.id)).all() == ["a"]
        engine.dispose()


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("sharelite://h/p", "sharelite://h/p"), ("sharelite://:t%2Fo@h:1/p", "sharelite://t%2Fo@h:1/p"),
        ("sharelites://tok@h:1/p q?host=b:2&host=c", "sharelites://tok@h:1,b:2,c/p%20q"),
        ("sharelite://[::1]:80/p", "sharelite://[::1]:80/p"),
    ],
)  # fmt: skip
def test_an_address_names_hosts_token_and_project(url: str, wanted: str) -> None:  # D16
    assert address(make_url(url)) == wanted


@pytest.mark.parametrize(("url", "said"), [("sharelite:///p", "no host"), ("sharelite://h/p?color=red", "'color'")])
def test_a_wrong_address_is_told(url: str, said: str) -> None:  # D16
    with pytest.raises(exc.ArgumentError, match=said):
        create_engine(url).connect()


def test_a_token_is_not_shown() -> None:  # D16
    assert "secret" not in repr(create_engine("sharelite://:secret@h/p"))


def test_the_driver_does_without_sqlalchemy() -> None:  # D1
    code = "import sys, sharelite; sharelite.connect; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"sqlalchemy", "alembic"} & set(loaded) == set()
