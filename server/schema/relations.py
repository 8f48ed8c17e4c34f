"""What `x-sql` says of a table: key, indexes, unique sets, references, order and tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..model import ListLimit
from .column import Column, WrongValue
from .document import ANNOTATIONS
from .places import Faults, Schema, join
from .shape import Rows
from .table import Index, Link, Table

TABLE_WORDS = frozenset("key index unique references order tree fulltext spatial name autoincrement".split())
COLUMN_WORDS = frozenset("index unique references onDelete onUpdate fulltext spatial any name declared initial".split())
LINK_WORDS = frozenset("columns table target onDelete onUpdate".split())
ACTIONS = {"cascade": "CASCADE", "set null": "SET NULL", "restrict": "RESTRICT", "no action": "NO ACTION"}
#: SQLite takes 2,000; capture needs a few of its own.
MAX_COLUMNS = 1_900
MOST_NAME = 512
#: The key that says a table has none of its own: an integer that no property shows.
HIDDEN = "_key"
#: What a column was declared as in the file it came from: nothing but a type can be said with this.
DECLARED = re.compile(r"|[A-Za-z_]\w*(?: [A-Za-z_]\w*)*(?: ?\([+-]?\d{1,9}(?: ?, ?[+-]?\d{1,9})?\))?", re.ASCII)
LATER = {"fulltext": "full text search", "spatial": "spatial search"}


class Relations:
    """Makes the tables of a contract from the shapes of their rows, in the order given: parents first."""

    def __init__(self, document: Schema, faults: Faults) -> None:
        self._document, self._faults = document, faults
        self.tables: dict[str, Table] = {}
        self.notices: list[str] = []
        self._links: list[tuple[Table, Link, str]] = []
        self._said: dict[str, Schema] = {}

    def read(self, shapes: Iterable[Rows]) -> dict[str, Table]:
        shapes = list(shapes)
        for rows in shapes:
            self._said[rows.name] = rows.sql
            self.tables[rows.name] = self._table(rows)
        for rows in shapes:
            self._link(rows, self.tables[rows.name])
        for name, table in self.tables.items():
            self.tables[name] = self._complete(table)
        return self.tables

    def _table(self, rows: Rows) -> Table:
        leaves = {leaf.name: leaf for leaf in rows.root.leaves}
        own = self._own_key(rows, leaves)
        parent = self.tables[rows.parent] if rows.parent else None
        order = self._order(rows, leaves)
        columns = {column.name: column for column in self._hidden(rows, parent, own, order)}
        columns |= {name: leaves[name] for name in own if name in leaves} | leaves
        if len(columns) > MAX_COLUMNS:
            self._faults.add(rows.place, f"its rows have {len(columns):,} properties, the limit is {MAX_COLUMNS:,}")
        key = (*(f"_parent.{name}" for name in (parent.key if parent else ())), *own)
        length = (rows.schema.get("minItems", 0), rows.schema.get("maxItems"))
        if rows.parent or rows.singleton:
            length = (0, None)  # counted for each parent
        elif length[0] > 0:
            self._faults.add(join(rows.place, "minItems"), "tables start empty, so minItems could not hold")
        return Table(
            rows.name, rows.singleton, rows.parent, rows.path, key, own, columns, rows.root, order,
            self._tree(rows, own, leaves), (), (), length, (), self._document, rows.root.place, rows.sql.get("name"),
            self._autoincrement(rows, own, leaves),
        )  # fmt: skip

    def _autoincrement(self, rows: Rows, own: tuple[str, ...], leaves: Mapping[str, Column]) -> bool:
        said = rows.sql.get("autoincrement")
        if said is None:
            return False
        plain = len(own) == 1 and own[0] in leaves and leaves[own[0]].type == "INTEGER" and not rows.parent
        if said is not True or not plain or leaves[own[0]].form != "plain":
            self._faults.add(self._at(rows, "autoincrement"), "`autoincrement` is true, and the key is one integer")
        return plain

    def _own_key(self, rows: Rows, leaves: Mapping[str, Column]) -> tuple[str, ...]:
        if rows.singleton:
            if "key" in rows.sql:
                self._faults.add(self._at(rows, "key"), "a single row has no key")
            return ("_id",)
        if rows.sql.get("key") == HIDDEN and rows.parent is None:
            return (HIDDEN,)
        named = self._names(rows, "key", rows.sql["key"]) if "key" in rows.sql else ["id"]
        if "key" not in rows.sql and "id" not in rows.root.schema["properties"]:
            if rows.parent is None:
                self._faults.add(rows.place, "a table has a key: a property `id`, or name another with x-sql.key")
            return ("_id",)
        for name in named:
            if name not in leaves:
                self._faults.add(self._at(rows, "key"), f"the key {name!r} is no property of a row that has a column")
            else:
                self._check_key(leaves[name])
        return tuple(name for name in named if name in leaves) or ("_id",)

    def _check_key(self, column: Column) -> None:
        if "number" in column.kinds:
            self._faults.add(join(column.place, "type"), "a key cannot be a number, only an integer or a string")
        elif column.form in ("json", "base64", "any"):
            self._faults.add(column.place, "a key is a string, an integer or a boolean")
        elif column.nullable:
            self._faults.add(join(column.place, "type"), "a key cannot be null")
        self._no_default(column, "key")

    def _no_default(self, column: Column, word: str) -> None:
        if column.default is not None:
            self._faults.add(join(column.place, "default"), f"a `{word}` property cannot have a default")

    def _order(self, rows: Rows, leaves: Mapping[str, Column]) -> str | None:
        if "order" not in rows.sql:
            return "_order" if rows.parent else None
        name = rows.sql["order"]
        if rows.singleton or name not in leaves or leaves[name].type != "TEXT" or leaves[name].form != "plain":
            self._faults.add(self._at(rows, "order"), "`order` names a string property of the row")
            return None
        self._no_default(leaves[name], "order")
        return str(name)

    def _tree(self, rows: Rows, own: tuple[str, ...], leaves: Mapping[str, Column]) -> str | None:
        if "tree" not in rows.sql:
            return None
        name, where = rows.sql["tree"], self._at(rows, "tree")
        if name not in leaves or len(own) != 1 or rows.parent or rows.singleton:
            self._faults.add(where, "`tree` names a property that refers to its own table, whose key has one column")
            return None
        self._no_default(leaves[name], "tree")
        return str(name)

    def _hidden(self, rows: Rows, parent: Table | None, own: tuple[str, ...], order: str | None) -> Iterable[Column]:
        for column in parent.key_columns if parent else ():
            yield replace(column, name=f"_parent.{column.name}", path=(), schema={})
        if own == ("_id",):
            yield _only_row(rows.place) if rows.singleton else _text("_id", rows.place)
        if own == (HIDDEN,):
            yield Column(HIDDEN, (), "INTEGER", "plain", frozenset({"integer"}), {}, rows.place)
        if order == "_order":
            yield _text("_order", rows.place)

    def _link(self, rows: Rows, table: Table) -> None:
        """References and indexes, now that every table is known."""
        for word in sorted(rows.sql.keys() - TABLE_WORDS):
            self._faults.add(self._at(rows, word), f"x-sql knows no `{word}` on a table")
        links = [*self._parent_link(table), *self._table_links(rows, table)]
        indexes = [*self._table_indexes(rows, table)]
        named = self._index_names(rows, table)
        for column in rows.root.leaves:
            sql = column.schema.get("x-sql", {})
            where = join(column.place, "x-sql")
            for word in sorted(sql.keys() - COLUMN_WORDS):
                self._faults.add(join(where, word), f"x-sql knows no `{word}` on a property")
            links += self._column_link(table, column, sql, where)
            self._origin(sql, where)
            self._initial(table, column, sql, where)
            if column.form == "any" and column.schema.keys() - ANNOTATIONS:
                self._faults.add(join(where, "any"), "`any` stands alone: say neither a type nor a condition beside it")
            indexes += [((column.name,), word == "unique") for word in ("unique", "index") if sql.get(word) is True]
            self._later(sql, f"{table.name}.{column.name}")
        self._origin(rows.sql, self._at(rows, "name"))
        self._later(rows.sql, table.name)
        if table.tree and not any(link.columns == (table.tree,) for link in links):
            links.append(Link((table.tree,), table.name, table.key, "NO ACTION", "NO ACTION"))
        for columns, unique in indexes:
            if unique:
                self._check_set(table, columns, "unique")
        links = [link for link in links if self._check_link(table, link, rows)]
        self.tables[table.name] = replace(table, links=tuple(links), indexes=_indexes(table, indexes, links, named))

    def _origin(self, sql: Schema, where: str) -> None:
        """What things were called in the file they came from."""
        if "name" in sql and not (isinstance(sql["name"], str) and len(sql["name"]) <= MOST_NAME):
            self._faults.add(where, f"`name` is the name it had in a file, at most {MOST_NAME} characters")
        if "declared" in sql and not DECLARED.fullmatch(str(sql["declared"])):
            self._faults.add(where, "`declared` is a type as SQL declares it, such as VARCHAR(20)")
        if sql.get("any", True) is not True:
            self._faults.add(where, "`any` is true, or is not said")

    def _initial(self, table: Table, column: Column, sql: Schema, where: str) -> None:
        """What SQL stores that does not name the column: it has to be a value of it."""
        said = sql.get("initial")
        if isinstance(said, dict):
            if said.keys() != {"now"} or said["now"] not in ("date", "time", "timestamp"):
                self._faults.add(
                    join(where, "initial"), '`initial` is a value, or {"now": "date", "time" or "timestamp"}'
                )
            return
        plain = said is None or (isinstance(said, str) and "\0" not in said) or isinstance(said, int | float)
        if not plain or isinstance(said, bool):
            self._faults.add(join(where, "initial"), "`initial` is a text or a number")
        elif said is not None and column.form not in ("plain", "boolean", "any"):
            self._faults.add(join(where, "initial"), "only a column of plain values can have an `initial` one")
        elif said is not None:
            try:
                column.stored(said)
            except WrongValue as problem:
                self._faults.add(join(where, "initial"), str(problem))

    def _index_names(self, rows: Rows, table: Table) -> dict[tuple[str, ...], str]:
        """The names that SQL gave to indexes: `{"columns": [...], "name": "..."}` in the place of a list."""
        names: dict[tuple[str, ...], str] = {}
        for word in ("unique", "index"):
            for number, entry in enumerate(_sets(rows.sql.get(word, []))):
                if not isinstance(entry, dict):
                    continue
                name = str(entry.get("name", ""))
                taken = name.startswith("_") or name.lower().startswith("sqlite_")
                if taken or entry.keys() != {"columns", "name"} or not 0 < len(name) <= MOST_NAME:
                    where = join(self._at(rows, word), number)
                    self._faults.add(where, "an index with a name is {columns, name}; no name begins with _ or sqlite_")
                else:
                    names[_columns_of(entry)] = name
        return names

    def _parent_link(self, table: Table) -> Iterable[Link]:
        if table.parent:
            target = self.tables[table.parent].key
            yield Link(tuple(f"_parent.{name}" for name in target), table.parent, target, "CASCADE", "NO ACTION")

    def _table_links(self, rows: Rows, table: Table) -> Iterable[Link]:
        said = rows.sql.get("references", [])
        for number, entry in enumerate(said if isinstance(said, list) else [said]):
            where = join(self._at(rows, "references"), number)
            if not isinstance(entry, dict) or not {"columns", "table"} <= entry.keys() <= LINK_WORDS:
                self._faults.add(where, "a reference of a table is {columns, table, target?, onDelete?, onUpdate?}")
                continue
            columns, target = (_listed(entry.get(word)) for word in ("columns", "target"))
            yield from self._new_link(table, columns, entry["table"], target, entry, where)

    def _column_link(self, table: Table, column: Column, sql: Schema, where: str) -> Iterable[Link]:
        if "references" not in sql:
            for word in sql.keys() & {"onDelete", "onUpdate"}:
                self._faults.add(join(where, word), f"`{word}` needs `references` beside it")
            return
        said = sql["references"]
        entry = {"table": said} if isinstance(said, str) else said
        if not isinstance(entry, dict) or not {"table"} <= entry.keys() <= {"table", "column"}:
            self._faults.add(join(where, "references"), "`references` is the name of a table, or {table, column}")
            return
        yield from self._new_link(table, (column.name,), entry["table"], _listed(entry.get("column")), sql, where)

    def _new_link(
        self, table: Table, columns: tuple[str, ...], name: Any, target: tuple[str, ...], sql: Schema, where: str
    ) -> Iterable[Link]:
        if name not in self.tables or self.tables[name].singleton:
            self._faults.add(where, f"there is no table {name!r} to refer to")
            return
        actions = [str(sql.get(word, "no action")).lower() for word in ("onDelete", "onUpdate")]
        for word, action in zip(("onDelete", "onUpdate"), actions, strict=True):
            if action not in ACTIONS:
                self._faults.add(join(where, word), f"`{word}` is one of {', '.join(ACTIONS)}")
                return
        link = Link(columns, name, target or self.tables[name].key, *(ACTIONS[action] for action in actions))
        self._links.append((table, link, where))
        yield link

    def _check_link(self, table: Table, link: Link, rows: Rows) -> bool:
        where = next((where for _, found, where in self._links if found is link), rows.place)
        target, columns = self.tables[link.table], [table.columns.get(name) for name in link.columns]
        if None in columns or len(link.columns) != len(link.target):
            ends = f"{', '.join(link.columns)} do not match {', '.join(link.target)} of {link.table}"
            self._faults.add(where, f"the columns {ends}")
            return False
        if link.target != target.key and not self._is_unique(target, link.target):
            self._faults.add(where, f"{', '.join(link.target)} is neither the key of {link.table} nor unique there")
            return False
        for column, name in zip(columns, link.target, strict=True):
            if column is not None and column.path:
                self._check_end(table, column, target.columns[name], link, where)
        return True

    def _is_unique(self, table: Table, columns: tuple[str, ...]) -> bool:
        """Its own x-sql may not have been read yet, so the words are looked at."""
        sets = [_columns_of(entry) for entry in _sets(self._said.get(table.name, {}).get("unique", []))]
        column = table.columns.get(columns[0]) if len(columns) == 1 else None
        return columns in sets or (column is not None and column.schema.get("x-sql", {}).get("unique") is True)

    def _check_end(self, table: Table, column: Column, target: Column, link: Link, where: str) -> None:
        if column.type != target.type:
            self._faults.add(where, f"{column.name} is {column.type}, but {link.table}.{target.name} is {target.type}")
        if link.on_delete == "SET NULL" and (column.name in table.key or (column.required and not column.nullable)):
            self._faults.add(where, f"{column.name} is required, so it cannot be set to null when its target goes")
        self._no_default(column, "references")

    def _table_indexes(self, rows: Rows, table: Table) -> Iterable[tuple[tuple[str, ...], bool]]:
        for word in ("unique", "index"):
            for number, entry in enumerate(_sets(rows.sql.get(word, []))):
                columns = _columns_of(entry)
                missing = [name for name in columns if name not in table.columns]
                if missing or not columns:
                    message = f"there is no column {', '.join(missing) or 'at all'}"
                    self._faults.add(join(self._at(rows, word), number), message)
                else:
                    yield columns, word == "unique"

    def _check_set(self, table: Table, columns: tuple[str, ...], word: str) -> None:
        for name in columns:
            self._no_default(table.columns[name], word)

    def _later(self, sql: Schema, where: str) -> None:
        for word in LATER.keys() & sql.keys():
            self.notices.append(f"{where}: {LATER[word]} is not yet available; it is accepted and has no effect")

    def _names(self, rows: Rows, word: str, said: Any) -> list[str]:
        names = _listed(said)
        if not names:
            self._faults.add(self._at(rows, word), f"`{word}` is the name of a property, or a list of names")
        return list(names)

    def _at(self, rows: Rows, word: str) -> str:
        place = rows.place if word in rows.schema.get("x-sql", {}) else rows.root.place
        return join(place, "x-sql", word)

    def _complete(self, table: Table) -> Table:
        """Limits of the lists in its rows."""
        limits = []
        for nest in table.root.lists:
            columns = tuple(f"_parent.{name}" for name in table.key)
            if nest.minimum or nest.maximum is not None:
                limits.append(ListLimit(nest.table, columns, nest.minimum, nest.maximum))
        return replace(table, lists=tuple(limits))


def _only_row(place: str) -> Column:
    return Column("_id", (), "INTEGER", "plain", frozenset({"integer"}), {"const": 1}, place)


def _text(name: str, place: str) -> Column:
    return Column(name, (), "TEXT", "plain", frozenset({"string"}), {}, place)


def _listed(said: Any) -> tuple[str, ...]:
    if isinstance(said, str):
        return (said,)
    return tuple(said) if isinstance(said, list) and all(isinstance(name, str) for name in said) else ()


def _columns_of(entry: Any) -> tuple[str, ...]:
    return _listed(entry.get("columns") if isinstance(entry, dict) else entry)


def _sets(said: Any) -> list[Any]:
    return said if isinstance(said, list) else [said]


def _indexes(
    table: Table,
    wanted: Iterable[tuple[tuple[str, ...], bool]],
    links: Iterable[Link],
    named: Mapping[tuple[str, ...], str],
) -> tuple[Index, ...]:
    """Each column set once. What refers to another row is indexed, or deleting that row would read the whole table."""
    found: dict[tuple[str, ...], bool] = {}
    for columns, unique in sorted(wanted, key=lambda index: not index[1]):
        if columns != table.key:
            found.setdefault(columns, unique)
    for link in links:
        if not any(columns[: len(link.columns)] == link.columns for columns in (table.key, *found)):
            found[link.columns] = False
    return tuple(Index(named.get(index[0]) or _index_name(table, *index), *index) for index in found.items())


def _index_name(table: Table, columns: tuple[str, ...], unique: bool) -> str:
    return f"_{'unique' if unique else 'index'}.{table.name}({','.join(columns)})"
