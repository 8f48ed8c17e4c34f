"""How long an interactive transaction may last: the clock is given, nothing happens by itself."""

from __future__ import annotations

from msgspec import Struct

from ..errors import ShareliteError


class LeaseExpired(ShareliteError):
    """The transaction is over, and nothing of it happened."""

    code = "lease_expired"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return f"the transaction was rolled back: {self.why}; begin it again"


class Terms(Struct, frozen=True):
    """Seconds: between two statements, and in all."""

    idle: float
    total: float


#: Who only reads stops nobody, but holds a state of the project; who writes has the turn of all.
READING = Terms(30.0, 60.0)
WRITING = Terms(2.0, 10.0)


class Lease:
    """The time of one transaction."""

    def __init__(self, now: float, terms: Terms) -> None:
        self.begin(now, terms)

    def begin(self, now: float, terms: Terms) -> None:
        """The terms from now on."""
        self.terms, self._end, self._touched = terms, now + terms.total, now

    def touch(self, now: float) -> None:
        """A statement begins or ends."""
        self._touched = now

    def left(self, busy: bool) -> float:
        """The moment at which it is over. `busy`: a statement runs, which is not being idle."""
        return self._end if busy else min(self._end, self._touched + self.terms.idle)

    def over(self, now: float, busy: bool) -> LeaseExpired | None:
        """Why it is over."""
        if now >= self._end:
            return LeaseExpired(f"it took longer than {self.terms.total:g} s")
        if not busy and now >= self._touched + self.terms.idle:
            return LeaseExpired(f"nothing was asked of it for {self.terms.idle:g} s")
        return None
