"""What SQL that comes from outside may do on a connection, and how long and how large.

The authorizer is set once for the life of a connection, because setting it forgets every prepared statement; it judges
while `strict` is set, which is while somebody else's text runs.
"""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType

import apsw

#: A mutation holds the turn of its project while it runs, a read holds nobody up.
WRITE_SECONDS = 5.0
READ_SECONDS = 30.0
#: What SQLite may take for a statement (sorting, temporary tables, long values). It counts for the whole process only:
#: what it takes more from one look to the next is shared out among those who run, and whoever comes to have more than
#: this is stopped. Several heavy statements at once never stop each other below it; of two that began together it may
#: be the wrong one that is stopped first.
MEMORY = 256 << 20
#: How often those who run are looked at.
INTERVAL = 0.05
#: A watchdog with nothing to watch for so long ends its thread.
IDLE = 2.0

ALLOWED = frozenset(
    {
        apsw.SQLITE_SELECT,
        apsw.SQLITE_READ,
        apsw.SQLITE_INSERT,
        apsw.SQLITE_UPDATE,
        apsw.SQLITE_DELETE,
        apsw.SQLITE_FUNCTION,
        apsw.SQLITE_RECURSIVE,
    }
)
WRITES = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})
#: Pragmas that tell something about a table, an index or all of them; their argument is a name.
ABOUT = frozenset(
    "table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list foreign_key_check "
    "integrity_check quick_check collation_list function_list pragma_list compile_options".split()
)
#: Pragmas that are read, and not set.
SETTINGS = frozenset(
    "application_id auto_vacuum data_version encoding foreign_keys freelist_count journal_mode max_page_count "
    "page_count page_size recursive_triggers schema_version synchronous user_version".split()
)
HIDDEN_TABLES = frozenset(
    {"_sharelite", "sqlite_sequence", "sqlite_dbpage", "sqlite_stmt", "dbstat", "bytecode", "tables_used"}
)
HIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "sqlite_log"})
NAMES: dict[int, str] = {
    apsw.SQLITE_ATTACH: "ATTACH",
    apsw.SQLITE_DETACH: "DETACH",
    apsw.SQLITE_TRANSACTION: "BEGIN, COMMIT and ROLLBACK as statements",
    apsw.SQLITE_SAVEPOINT: "SAVEPOINT outside of an open transaction",
    apsw.SQLITE_ANALYZE: "ANALYZE",
    apsw.SQLITE_REINDEX: "REINDEX",
    apsw.SQLITE_CREATE_VTABLE: "a virtual table",
}


class Guard(AbstractContextManager["Guard"]):
    """Lets plain reads and writes of the project's own tables through, and, within `with`, has a budget of time and
    memory.

    `refused` says what the authorizer did not let through, `over` which budget was not enough.
    """

    def __init__(self, connection: apsw.Connection, watch: Watchdog) -> None:
        self.connection = connection
        self.refused: str | None = None
        self.over: str | None = None
        self.seconds = WRITE_SECONDS
        self._watch = watch
        self.strict = False
        #: Its share of the memory that was taken while it ran.
        self.taken = 0.0
        self._deadline = 0.0
        connection.authorizer = self._authorize

    def within(self, seconds: float) -> Guard:
        """The budget of the next `with`."""
        self.seconds = seconds
        return self

    def __enter__(self) -> Guard:
        self.refused = self.over = None
        self._deadline = time.monotonic() + self.seconds
        self.taken = 0.0
        self._watch.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.discard(self)
        self.seconds = WRITE_SECONDS

    def extend(self, seconds: float) -> None:
        """More time for what runs now."""
        self._deadline += seconds
        self.seconds += seconds

    def stop(self, why: str) -> None:
        """End what runs now, from any thread."""
        self._watch.stop(self, why)

    def look(self, now: float, more: float) -> None:
        """Interrupt what has had its time. `more`: its share of the memory since the last look. Called by the watchdog,
        under its lock."""
        self.taken = max(0.0, self.taken + more)
        if now > self._deadline:
            self.over = f"it took longer than {self.seconds:g} s, the limit for one statement"
        if self.over:
            self.connection.interrupt()

    def starve(self) -> None:
        """Interrupt what has had its memory. As `look`."""
        self.over = f"it needs more than {MEMORY >> 20} MiB of memory, the limit for one statement"
        self.connection.interrupt()

    def _authorize(
        self, action: int, one: str | None, two: str | None, database: str | None, source: str | None
    ) -> int:
        if not self.strict or (source is not None and source.startswith("_cap_")):
            return apsw.SQLITE_OK
        why = _denied(action, one, two, database)
        if why is None:
            return apsw.SQLITE_OK
        self.refused = why
        return apsw.SQLITE_DENY


def _denied(action: int, one: str | None, two: str | None, database: str | None) -> str | None:
    """What is not allowed about it; None: nothing."""
    if action == apsw.SQLITE_PRAGMA:
        return _denied_pragma((one or "").lower(), two)
    if action not in ALLOWED:
        return NAMES.get(action, "this kind of statement")
    if action == apsw.SQLITE_FUNCTION:
        return f"the function {two}" if (two or "").lower() in HIDDEN_FUNCTIONS else None
    if action in (apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE):
        return None
    table = (one or "").lower()
    if table in HIDDEN_TABLES or (database == "temp" and table.startswith("_")):
        return f"the table {one}, which is the server's own,"
    if action in WRITES and (database != "main" or table.startswith("sqlite_")):
        return f"writing to {one}"
    return None


def _denied_pragma(name: str, argument: str | None) -> str | None:
    if name in ABOUT or (name in SETTINGS and argument is None):
        return None
    if name in SETTINGS:
        return f"setting PRAGMA {name}, which can only be read here,"
    return f"PRAGMA {name}; there are {', '.join(sorted(ABOUT))} and, to read, {', '.join(sorted(SETTINGS))}; it"


class Watchdog:
    """Looks at those who run, and interrupts them. Its thread is there while there is something to watch.

    SQLite counts steps of its machine, but one of them may take a second (`hex` of a long blob), so a clock watches.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Guard] = set()
        self._some = threading.Event()
        self._thread: threading.Thread | None = None
        self._used = 0

    def add(self, guard: Guard) -> None:
        with self._lock:
            if not self._running:
                self._used = apsw.memory_used()
            self._running.add(guard)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="sql watchdog", daemon=True)
                self._thread.start()
        self._some.set()

    def discard(self, guard: Guard) -> None:
        """Once this returns, nothing is interrupted for it any more."""
        with self._lock:
            self._running.discard(guard)

    def stop(self, guard: Guard, why: str) -> None:
        with self._lock:
            if guard in self._running:
                guard.over = why
                guard.connection.interrupt()

    def look(self, now: float, used: int) -> None:
        """Once, under the lock. `used`: bytes that SQLite has taken in the whole process."""
        if not self._running:
            return
        more, self._used = (used - self._used) / len(self._running), used
        for guard in self._running:
            guard.look(now, more)
        hungriest = max(self._running, key=lambda guard: guard.taken)
        if hungriest.taken > MEMORY:
            hungriest.starve()

    def _watch(self) -> None:
        while True:
            self._some.clear()
            with self._lock:
                self.look(time.monotonic(), apsw.memory_used())
                quiet = not self._running
            if not quiet:
                time.sleep(INTERVAL)
            elif not self._some.wait(IDLE):
                with self._lock:
                    if not self._running:
                        self._thread = None
                        return
