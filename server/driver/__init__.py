"""The driver for Python (PEP 249, SPEC D): `sharelite.connect("sharelite://token@host:port/project")`.

Needs nothing of the server: a program that only speaks SQL loads no web framework and no SQLite of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Callable
from sqlite3 import complete_statement
from typing import TYPE_CHECKING, Literal

from .connection import LEGACY_TRANSACTION_CONTROL, Connection, connect
from .cursor import Cursor, Kind, Row
from .errors import (
    Conflict,
    ConnectionLost,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    OutcomeUnknown,
    ProgrammingError,
    ResultLost,
    Untrusted,
    Warning,
)

if TYPE_CHECKING:
    from ..model import Commit

apilevel = "2.0"
#: Threads may share the module and connections, not cursors.
threadsafety = 2
paramstyle: Literal["qmark"] = "qmark"

#: The oldest SQLite that a server has.
sqlite_version_info = (3, 54, 1)
sqlite_version = ".".join(map(str, sqlite_version_info))

Date, Time, Timestamp = datetime.date, datetime.time, datetime.datetime
DateFromTicks, TimestampFromTicks = datetime.date.fromtimestamp, datetime.datetime.fromtimestamp
Binary = memoryview
STRING, BINARY, DATETIME = Kind("TEXT"), Kind("BLOB"), Kind("DATE", "TIME", "DATETIME", "TIMESTAMP")
NUMBER, ROWID = Kind("INTEGER", "REAL", "NUMERIC"), Kind("INTEGER")


def TimeFromTicks(ticks: float) -> datetime.time:
    return datetime.datetime.fromtimestamp(ticks).time()


def feed(
    url: str, after: int | None = None, timeout: float = 5.0, token: str | Callable[[], str] | None = None
) -> AsyncGenerator[Commit]:
    """Follow a project: `async for commit in sharelite.feed(url, after=41)`. More in `following.follow`."""
    from .following import follow

    return follow(url, after, timeout, token)


__all__ = [
    "BINARY", "DATETIME", "LEGACY_TRANSACTION_CONTROL", "NUMBER", "ROWID", "STRING", "Binary", "Conflict", "Connection",
    "ConnectionLost", "Cursor", "DataError", "DatabaseError", "Date", "DateFromTicks", "Error", "IntegrityError",
    "InterfaceError", "InternalError", "NotSupportedError", "OperationalError", "OutcomeUnknown", "ProgrammingError",
    "ResultLost", "Row", "Time", "TimeFromTicks", "Timestamp", "TimestampFromTicks", "Untrusted", "Warning", "apilevel",
    "complete_statement", "connect", "feed", "paramstyle", "sqlite_version", "sqlite_version_info", "threadsafety",
]  # fmt: skip
