"""SQLAlchemy on the driver: `create_engine("sharelite://:token@host:port/project")`, `sharelites://` with TLS.

SQL, types and reflection are those of SQLAlchemy's own SQLite dialect; what is here is how a project differs from a
file: its address, its transactions, tables that are changed by commits of their own, and no temporary tables.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote

from sqlalchemy import URL, exc
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine.characteristics import ConnectionCharacteristic
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor, Dialect
from sqlalchemy.engine.reflection import cache

from .connection import LEVELS, Connection
from .errors import ConnectionLost
from .texts import SCHEMA, first_word

MODES = frozenset({*LEVELS.values(), "read_only"})
#: The key of a table that was made without one. It is in the rows, and not in the models.
HIDDEN = "_key"
#: Its methods have no types.
_SQLite: Any = SQLiteDialect
ACTIONS = ("ondelete", "onupdate")
#: What `connect` takes and an address may say behind `?`, and how a text becomes one.
OPTIONS: dict[str, type] = {"timeout": float, "cached_statements": int}


class Begin(ConnectionCharacteristic):
    """The execution option `sharelite_begin`: how the transactions of a connection begin."""

    transactional = True

    def reset_characteristic(self, dialect: Dialect, dbapi_connection: DBAPIConnection) -> None:
        cast(Connection, dbapi_connection).mode = cast(ShareliteDialect, dialect).mode

    def set_characteristic(self, dialect: Dialect, dbapi_connection: DBAPIConnection, value: Any) -> None:
        cast(Connection, dbapi_connection).mode = known_mode(value)

    def get_characteristic(self, dialect: Dialect, dbapi_connection: DBAPIConnection) -> Any:
        return cast(Connection, dbapi_connection).mode


class ShareliteDialect(_SQLite):  # type: ignore[misc]
    """`begin`: how transactions begin where nothing else is said; `deferred`, `immediate` or `read_only`."""

    name, driver = "sharelite", "sharelite"
    supports_statement_cache = True
    default_isolation_level = "SERIALIZABLE"
    connection_characteristics = DefaultDialect.connection_characteristics.union({"sharelite_begin": Begin()})

    def __init__(self, begin: str = "deferred", **options: Any) -> None:
        super().__init__(**options)
        self.mode = known_mode(begin)
        if "alembic.ddl" in sys.modules:
            from . import migrations  # noqa: F401  Alembic knows a dialect once its class is there

    @classmethod
    def import_dbapi(cls) -> Any:
        return sys.modules[__package__ or ""]

    def create_connect_args(self, url: URL) -> tuple[Sequence[str], dict[str, Any]]:
        """More hosts: `?host=host2:port`; certificates that are trusted: `?ca=FILE`. Raises ArgumentError."""
        more = {name: value for name, value in url.query.items() if name not in ("host", "ca")}
        unknown = more.keys() - OPTIONS.keys()
        if unknown:
            known = ", ".join(["host", "ca", *OPTIONS])
            raise exc.ArgumentError(f"an address has no option {sorted(unknown)[0]!r}; there are {known}")
        return [address(url)], {name: OPTIONS[name](str(value)) for name, value in more.items()}

    def connect(self, *arguments: Any, **options: Any) -> Any:
        made = self.loaded_dbapi.connect(*arguments, **{"autocommit": False, **options})
        made.mode = self.mode
        return made

    def get_isolation_level_values(self, dbapi_connection: Any) -> list[str]:
        return ["SERIALIZABLE", "AUTOCOMMIT"]

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        dbapi_connection.autocommit = level == "AUTOCOMMIT"

    def get_isolation_level(self, dbapi_connection: Any) -> str:
        return "AUTOCOMMIT" if dbapi_connection.autocommit is True else "SERIALIZABLE"

    def get_default_isolation_level(self, dbapi_conn: Any) -> str:
        return "SERIALIZABLE"

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        return bool(dbapi_conn.autocommit is True)

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        version: str = connection.exec_driver_sql("SELECT sqlite_version()").scalar()
        return tuple(map(int, version.split(".")))

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Raises ConnectionLost where no server answers: a connection that only broke has a new socket then."""
        dbapi_connection.ping()
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        return isinstance(e, ConnectionLost) or (isinstance(connection, Connection) and connection.closed)

    def do_execute(self, cursor: DBAPICursor, statement: str, parameters: Any, context: Any = None) -> None:
        _alone(cursor, statement)
        super().do_execute(cursor, statement, parameters, context)

    def do_execute_no_params(self, cursor: DBAPICursor, statement: str, context: Any = None) -> None:
        _alone(cursor, statement)
        super().do_execute_no_params(cursor, statement, context)

    @cache
    def get_table_names(self, connection: Any, schema: str | None = None, **options: Any) -> Any:
        return [name for name in super().get_table_names(connection, schema, **options) if not name.startswith("_")]

    @cache
    def get_view_names(self, connection: Any, schema: str | None = None, **options: Any) -> Any:
        """Without those that show each table with its defaults: `<table>_full` comes and goes with the table."""
        return [name for name in super().get_view_names(connection, schema, **options) if not name.endswith("_full")]

    @cache
    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **options: Any) -> Any:
        """With the types that were declared, and what may be NULL: both are in the contract, not in SQLite's tables."""
        found = super().get_columns(connection, table_name, schema, **options)
        items = self._contract(connection, **options)["properties"].get(table_name, {}).get("items", {})
        for column in found:
            said = items.get("properties", {}).get(column["name"], {})
            if declared := said.get("x-sql", {}).get("declared"):
                column["type"] = self._resolve_type_affinity(declared)
            if column["name"] in items.get("required", ()) and "default" not in said:
                column["nullable"] = False
        return [column for column in found if column["name"] != HIDDEN]

    @cache
    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **options: Any) -> Any:
        found = super().get_pk_constraint(connection, table_name, schema, **options)
        return {**found, "constrained_columns": [name for name in found["constrained_columns"] if name != HIDDEN]}

    @cache
    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **options: Any) -> Any:
        """Those that somebody named. One that is unique is a unique constraint as well, as in MySQL."""
        found = super().get_indexes(connection, table_name, schema, **options)
        return [index for index in found if not index["name"].startswith("_")]

    @cache
    def get_unique_constraints(
        self, connection: Any, table_name: str, schema: str | None = None, **options: Any
    ) -> Any:
        # what is asked differently is kept apart from the answers of `get_indexes`
        found = super().get_indexes(connection, table_name, schema, include_auto_indexes=True, **options)
        return [_constraint(index) for index in found if index["unique"] and not index["name"].startswith("sqlite_")]

    @cache
    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **options: Any) -> Any:
        """Without `deferrable` and `initially`: all references of a project hold at the end of a commit."""
        found = super().get_foreign_keys(connection, table_name, schema, **options)
        for each in found:
            each["options"] = {name: each["options"][name] for name in ACTIONS if name in each["options"]}
        return found


    @cache
    def get_table_options(self, connection: Any, table_name: str, schema: str | None = None, **options: Any) -> Any:
        """None: that tables are STRICT is the server's doing, and no CREATE TABLE has to say it."""
        super().get_table_options(connection, table_name, schema, **options)  # raises NoSuchTableError
        return {}

    @cache
    def get_schema_names(self, connection: Any, **options: Any) -> list[str]:
        """A project is one database; SQLite's own list would tell where its file is."""
        return ["main"]

    def _contract(self, connection: Any, **options: Any) -> Any:
        return connection.connection.dbapi_connection.contract()


class SafeDialect(ShareliteDialect):
    """With TLS."""

    supports_statement_cache = True


def known_mode(mode: Any) -> str:
    """Raises ArgumentError."""
    if mode not in MODES:
        raise exc.ArgumentError(f"{mode!r} is no way to begin: it is {', '.join(sorted(MODES))}")
    return str(mode)


def address(url: URL) -> str:
    """As the driver has it. Raises ArgumentError."""
    if not url.host:
        raise exc.ArgumentError("the address names no host: sharelite://:token@host:port/project")
    first = (f"[{url.host}]" if ":" in url.host else url.host) + (f":{url.port}" if url.port else "")
    more = url.query.get("host", ())
    hosts = ",".join([first, *([more] if isinstance(more, str) else more)])
    token = url.password or url.username
    scheme = url.drivername.partition("+")[0]
    ca = f"?ca={quote(str(url.query['ca']))}" if "ca" in url.query else ""
    project = quote(url.database or "", safe="")
    return f"{scheme}://{quote(str(token), safe='') + '@' if token else ''}{hosts}/{project}{ca}"


def _constraint(index: dict[str, Any]) -> dict[str, Any]:
    if index["name"].startswith("_"):
        return {"name": None, "column_names": index["column_names"]}
    return {"name": index["name"], "column_names": index["column_names"], "duplicates_index": index["name"]}


def _alone(cursor: Any, statement: str) -> None:
    """Tables are changed by commits of their own, so what is open is committed first, as in MySQL and Oracle."""
    if first_word(statement) in SCHEMA and cursor.connection.in_transaction:
        cursor.connection.commit()


