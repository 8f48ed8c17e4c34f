"""Alembic on the dialect: loaded by it where Alembic is, and never else."""

from __future__ import annotations

from typing import Any

from alembic.ddl.sqlite import SQLiteImpl
from alembic.util import CommandError
from sqlalchemy import MetaData, Table, UniqueConstraint, insert, select


class ShareliteImpl(SQLiteImpl):
    """SQLite's; a batch rebuilds a table under a name that a project can have, and a table gets another name by being
    copied, since a contract knows no renaming.

    Each step is a commit of its own: what fails on the way leaves more tables than there should be, never fewer rows.
    """

    __dialect__ = "sharelite"
    transactional_ddl = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: What batches are about to give its final name, by the name it has meanwhile.
        self._rebuilt: dict[str, Table] = {}

    def prep_table_for_batch(self, batch_impl: Any, table: Table) -> None:
        super().prep_table_for_batch(batch_impl, table)
        name = batch_impl.temp_table_name.lstrip("_")
        batch_impl.temp_table_name = batch_impl.new_table.name = name
        self._rebuilt[name] = batch_impl.new_table

    def rename_table(self, old_table_name: str, new_table_name: Any, schema: Any = None) -> None:
        if self.connection is None or self.as_sql:
            raise CommandError("a project has no ALTER TABLE ... RENAME; a table is copied, which needs a connection")
        old = Table(old_table_name, MetaData(), autoload_with=self.connection)
        rebuilt = self._rebuilt.pop(old_table_name, None)
        if rebuilt is None:
            self._copy(old, *_renamed(old, str(new_table_name)))
            return
        rebuilt.name = new_table_name
        try:
            self._copy(old, rebuilt, [])
        finally:
            rebuilt.name = old_table_name  # the batch goes on with it

    def _copy(self, old: Table, new: Table, indexes: list[Any]) -> None:
        """`indexes`: those whose names are free once the old table is gone."""
        self.create_table(new)
        columns = [column.name for column in old.c]
        self._exec(insert(new).from_select(columns, select(old)))
        self.drop_table(old)
        for index in indexes:
            self.create_index(index)


def _renamed(old: Table, name: str) -> tuple[Table, list[Any]]:
    new = old.to_metadata(old.metadata, name=name)
    indexes = list(new.indexes)
    new.indexes.clear()
    for constraint in [each for each in new.constraints if isinstance(each, UniqueConstraint) and each.name]:
        new.constraints.discard(constraint)
    return new, indexes
