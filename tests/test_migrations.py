"""Alembic on a real server: up and down, batches, and a contract that is in the way (SPEC D)."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import create_engine, exc, inspect, text

from tests.serving import NOTES, PATIENCE, Serving

ENV = """
from alembic import context
from sqlalchemy import create_engine

url = context.config.get_main_option("sqlalchemy.url")
if context.is_offline_mode():
    context.configure(url=url)
    context.run_migrations()
else:
    with create_engine(url).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = {revision!r}, {before!r}

def upgrade():
{up}

def downgrade():
{down}
"""
STEPS = (
    (
        """
    op.create_table("house", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)))
    houses = sa.table("house", sa.column("name", sa.String))
    op.bulk_insert(houses, [{"name": f"house {number}"} for number in range(3)])""",
        """
    op.drop_table("house")""",
    ),
    (
        """
    op.create_table(
        "room", sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("house", sa.Integer, sa.ForeignKey("house.id")),
        sa.Column("size", sa.String(10)), sa.UniqueConstraint("house", "size", name="one_size"),
    )
    op.create_index("room_size", "room", ["size"])
    op.add_column("house", sa.Column("floors", sa.Integer, server_default="2", nullable=False))
    op.execute("INSERT INTO room(house, size) VALUES (1, '12')")""",
        """
    op.drop_column("house", "floors")
    op.drop_index("room_size", "room")
    op.drop_table("room")""",
    ),
    (
        """
    with op.batch_alter_table("room") as batch:
        batch.alter_column("size", type_=sa.Integer, nullable=False)
        batch.add_column(sa.Column("note", sa.Text))
    op.rename_table("room", "chamber")""",
        """
    op.rename_table("chamber", "room")
    with op.batch_alter_table("room") as batch:
        batch.alter_column("size", type_=sa.String(10), nullable=True)
        batch.drop_column("note")""",
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("migrations") / "data") as serving:
        yield serving


def created(server: Serving, **body: Any) -> str:
    answer = server.http.post("/v1/projects", json={"name": secrets.token_hex(8), **body})
    return str(answer.json()["id"])


def environment(folder: Path, server: Serving, project: str, output: Any = None) -> Config:
    """A folder of migrations as `alembic init` makes one."""
    (folder / "versions").mkdir()
    (folder / "env.py").write_text(ENV)
    before = None
    for number, (up, down) in enumerate(STEPS, 1):
        written = MIGRATION.format(revision=f"r{number}", before=before, up=up, down=down)
        (folder / "versions" / f"r{number}.py").write_text(written)
        before = f"r{number}"
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", address(server, project))
    return config


def address(server: Serving, project: str) -> str:
    return f"sharelite://127.0.0.1:{server.port}/{project}?timeout={PATIENCE}"


def kinds(server: Serving, project: str) -> list[str]:
    commits = server.http.get(f"/v1/projects/{project}/commits?after=0&limit=500").json()["commits"]
    return [commit["kind"] for commit in commits]


def test_a_project_goes_up_and_down_and_the_feed_sees_it(server: Serving, tmp_path: Path) -> None:  # D17
    project = created(server)
    config = environment(tmp_path, server, project)
    engine = create_engine(address(server, project))
    command.upgrade(config, "r2")
    found = inspect(engine)
    assert set(found.get_table_names()) == {"alembic_version", "house", "room"}
    assert [column["name"] for column in found.get_columns("house")] == ["id", "name", "floors"]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name, floors FROM house")).all() == [
            ("house 0", 2), ("house 1", 2), ("house 2", 2),
        ]  # fmt: skip
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "r2"
    assert kinds(server, project).count("schema") == 6 and "sql" in kinds(server, project)
    command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_a_batch_rebuilds_a_table_and_a_table_gets_another_name(server: Serving, tmp_path: Path) -> None:  # D17
    project = created(server)
    config = environment(tmp_path, server, project)
    engine = create_engine(address(server, project))
    command.upgrade(config, "head")
    found = inspect(engine)
    assert [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns("chamber")] == [
        ("id", "INTEGER", False), ("house", "INTEGER", True), ("size", "INTEGER", False), ("note", "TEXT", True),
    ]  # fmt: skip
    assert sorted(index["name"] or "" for index in found.get_indexes("chamber")) == ["one_size", "room_size"]
    assert found.get_foreign_keys("chamber")[0]["referred_table"] == "house"
    with engine.connect() as connection:
        assert connection.execute(text("SELECT house, size FROM chamber")).all() == [(1, 12)]
    command.downgrade(config, "r2")
    again = inspect(engine)
    assert set(again.get_table_names()) == {"alembic_version", "house", "room"}
    assert str(again.get_columns("room")[2]["type"]) == "VARCHAR(10)"
    engine.dispose()


def test_a_migration_of_a_contract_that_somebody_wrote_says_what_to_change(
    server: Serving, tmp_path: Path
) -> None:  # D17
    project = created(server, contract=NOTES)
    with pytest.raises(exc.ProgrammingError, match="change the contract and migrate: /properties/alembic_version"):
        command.upgrade(environment(tmp_path, server, project), "head")
    assert kinds(server, project) == ["schema"], "the one that it was made with"


def test_migrations_are_written_as_sql_where_no_server_is_asked(server: Serving, tmp_path: Path) -> None:  # D17
    written = io.StringIO()
    config = environment(tmp_path, server, "nowhere", written)
    command.upgrade(config, "r2", sql=True)
    assert "CREATE TABLE room" in written.getvalue()
    with pytest.raises(CommandError, match="needs a connection|batch"):
        command.upgrade(config, "r2:r3", sql=True)


def test_a_model_that_was_migrated_has_nothing_left_to_migrate(server: Serving, tmp_path: Path) -> None:  # D17
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from tests.test_dialect import Base

    engine = create_engine(address(server, created(server)))
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()
