"""Opens a file that nobody vouches for. Meant for a process of its own whose memory and time are limited.

Guards as SQLite's own "Defense Against The Dark Arts" lists them, and one more: nothing of the file's schema but its
plain tables is ever run. Those guards alone would not do: a trigger in a file fires even with `trusted_schema` off.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import apsw

from ...errors import FileRefused

MAGIC = b"SQLite format 3\x00"
#: Views and triggers are parsed, though never run, so what honest ones need has to be allowed.
LIMITS = {
    apsw.SQLITE_LIMIT_LENGTH: 64 << 20,
    apsw.SQLITE_LIMIT_SQL_LENGTH: 1 << 20,
    apsw.SQLITE_LIMIT_COLUMN: 2000,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 1000,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 500,
    apsw.SQLITE_LIMIT_VDBE_OP: 250_000,
    apsw.SQLITE_LIMIT_FUNCTION_ARG: 100,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    apsw.SQLITE_LIMIT_WORKER_THREADS: 0,
}
SWITCHES = (
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
)
#: Virtual machine steps between two looks at the clock.
STEPS = 20_000
#: What a quick check says of rows that break rules we do not keep; the values themselves can be read.
HARMLESS = re.compile(r"(?:NULL|NUMERIC|TEXT|REAL|INT|BLOB) value in |non-[A-Z]+ value in |CHECK constraint failed in ")
MOST_PROBLEMS = 5


class OutOfTime(FileRefused):
    """The file keeps us busy for longer than a file of its size may."""

    def __init__(self) -> None:
        super().__init__("looking through it took longer than a file of this size may take")


class Clock:
    """The time that is left for a file, in seconds of this process's own work."""

    def __init__(self, seconds: float) -> None:
        self.deadline = time.process_time() + seconds

    def passed(self) -> bool:
        return time.process_time() > self.deadline


def opened(path: Path, clock: Clock) -> apsw.Connection:
    """A read-only connection, its pragmas read back. Whatever it runs ends when the clock has run out (OutOfTime by
    `guarded`). A write-ahead log beside the file is not looked at. Raises FileRefused."""
    with open(path, "rb") as file:
        if file.read(16) != MAGIC:
            raise FileRefused("it is not a SQLite database (or it is encrypted)")
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{quote(str(path))}?mode=ro&immutable=1", flags=flags)
    for limit, value in LIMITS.items():
        connection.limit(limit, value)
    for switch, state in SWITCHES:
        connection.config(switch, state)
    for name, asked in (("cell_size_check", 1), ("mmap_size", 0), ("query_only", 1), ("ignore_check_constraints", 1)):
        connection.execute(f"PRAGMA {name}={asked}").fetchall()
        if connection.pragma(name) not in (asked, None):
            raise FileRefused(f"SQLite here does not take pragma {name}")
    connection.collation_needed(_as_bytes)
    connection.set_progress_handler(clock.passed, STEPS)
    return connection


def guarded(work: Callable[[], None]) -> None:
    """Run something on a foreign file: what SQLite says of it is a refusal. Raises FileRefused."""
    try:
        work()
    except apsw.InterruptError:
        raise OutOfTime from None
    except UnicodeDecodeError:
        raise FileRefused("a name in it is no UTF-8 text") from None
    except (apsw.CorruptError, apsw.NotADBError) as problem:
        raise FileRefused(f"it is damaged: {problem}") from None
    except apsw.TooBigError:
        raise FileRefused(f"one of its values has more than {LIMITS[apsw.SQLITE_LIMIT_LENGTH] >> 20} MiB") from None
    except apsw.NoMemError:
        raise FileRefused("looking through it took more memory than a file may") from None
    except apsw.FullError:
        raise
    except apsw.Error as problem:
        raise FileRefused(f"it cannot be read: {problem}") from None


def check(connection: apsw.Connection) -> None:
    """A quick check of the whole file. Raises FileRefused with the first things that are wrong, apsw errors."""
    found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({MOST_PROBLEMS * 20})")]
    wrong = [line for line in found if line != "ok" and not HARMLESS.match(line)]
    if wrong:
        raise FileRefused(f"it is damaged: {'; '.join(wrong[:MOST_PROBLEMS])}")


def _as_bytes(connection: apsw.Connection, name: str) -> None:
    """Somebody else's collation (Android's LOCALIZED, say) orders nothing that we look at."""
    connection.create_collation(name, lambda one, other: (one > other) - (one < other))
