"""One SQLite transaction, begun and committed by statements.

APSW's own `with connection` holds the interpreter while it commits, which is while the disk syncs: a whole event loop
would wait for it. Statements let go of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE, then COMMIT; whatever is raised inside, or by COMMIT, is raised after ROLLBACK."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
