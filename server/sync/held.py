"""What an interactive transaction writes, held open on the rehearsal connection until its end (SPEC Q).

It has the turn of its project for that time. In the end it is taken back like every rehearsal; what it did goes along
the road as changes.
"""

from __future__ import annotations

from ..errors import Refused
from ..model import Done, Result, Statement
from .rehearsal import Mark, Rehearsal


class Moved(Refused):
    """Somebody committed between what a transaction read and what it wants to write."""

    def __init__(self, base: int, present: int) -> None:
        super().__init__(
            "conflict",
            f"the project moved from version {base}, which this transaction read, to {present}; begin it again",
        )


class Held:
    """One held mutation. Worker thread only. `base`: the version below it."""

    def __init__(self, rehearsal: Rehearsal, base: int) -> None:
        self._rehearsal, self.base = rehearsal, base
        self._savepoints: list[tuple[str, Mark]] = []
        rehearsal.hold()

    def there(self) -> bool:
        """Whether it can go on: some errors take all of it back."""
        return self._rehearsal.holds

    def run(self, statement: Statement) -> Result:
        """Raises Refused; then it goes on without that statement, unless it is not `there` any more."""
        return self._rehearsal.statement(statement)

    def savepoint(self, name: str) -> None:
        """Names may repeat; the last one of its name counts, whatever its case."""
        self._savepoints.append((name.lower(), self._rehearsal.savepoint(f"held {len(self._savepoints)}")))

    def rollback_to(self, name: str) -> None:
        place = self._place(name)
        self._rehearsal.rollback_to(f"held {place}", self._savepoints[place][1])
        del self._savepoints[place + 1 :]

    def release(self, name: str) -> None:
        place = self._place(name)
        self._rehearsal.release(f"held {place}")
        del self._savepoints[place:]

    def finish(self) -> Done:
        """Judge all of it and take it back."""
        try:
            judged = self._rehearsal.judged()
        finally:
            self._rehearsal.end()
        return Done(self.base, judged.changes, judged.refusal)

    def abandon(self) -> None:
        self._rehearsal.end()

    def stop(self, why: str) -> None:
        """End the statement that runs now. From any thread."""
        self._rehearsal.stop(why)

    def _place(self, name: str) -> int:
        for place in reversed(range(len(self._savepoints))):
            if self._savepoints[place][0] == name.lower():
                return place
        raise Refused("failed", f"there is no savepoint {name!r}")
