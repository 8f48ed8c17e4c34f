"""Sharelite: one project is one SQLite database, and that database is the document."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .driver import *  # noqa: F403

__version__ = "0.1.0"
#: What PEP 249 wants of a module, and more of the driver: it is loaded when one of them is asked for.
DRIVER = frozenset(
    """BINARY Binary Conflict Connection ConnectionLost Cursor DATETIME DataError DatabaseError Date DateFromTicks Error
    IntegrityError InterfaceError InternalError LEGACY_TRANSACTION_CONTROL NUMBER NotSupportedError OperationalError
    OutcomeUnknown ProgrammingError ROWID ResultLost Row STRING Time TimeFromTicks Timestamp TimestampFromTicks
    Untrusted Warning apilevel complete_statement connect feed paramstyle sqlite_version sqlite_version_info
    threadsafety""".split()
)


def __getattr__(name: str) -> Any:
    if name in DRIVER:
        return getattr(import_module(".driver", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
