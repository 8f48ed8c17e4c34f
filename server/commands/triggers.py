"""The triggers of a foreign file, on request: each is run as SQL of whoever asks, so that all its guards judge it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .projects import Remote, Server

#: Seconds of work for reading them.
PATIENCE = 10.0
TRIGGERS = "SELECT name, sql FROM main.sqlite_schema WHERE type='trigger' ORDER BY rowid"


class Trigger(NamedTuple):
    name: str
    sql: str


def stored(file: Path) -> list[Trigger]:
    """Those of a file, as it has them; none of them runs. Raises FileRefused."""
    from ..storage.foreign.opening import Clock, guarded, opened

    found: list[Trigger] = []

    def look() -> None:
        connection = opened(file, Clock(PATIENCE))
        try:
            rows: Any = connection.execute(TRIGGERS).fetchall()
            found.extend(Trigger(name, sql) for name, sql in rows)
        finally:
            connection.close()

    guarded(look)
    return found


def take(server: Server, project: str, wanted: Sequence[Trigger]) -> dict[str, str | None]:
    """Make them in a project, in their order: by name the reason why one could not be, None for one that is there.
    Raises Remote where the server is not to be reached."""
    return {trigger.name: _refusal(server, project, trigger) for trigger in wanted}


def _refusal(server: Server, project: str, trigger: Trigger) -> str | None:
    status, answer = server.sql(project, trigger.sql)
    if status == 200:
        return None
    if status >= 500:
        raise Remote(answer["error"]["message"])
    reason: str = answer["error"]["message"].partition("\n")[0]
    return f"a project does not take it: {reason[:300]}"
