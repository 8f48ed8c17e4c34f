"""The exceptions of PEP 249, and which of them each code of the server is.

Every one that came from the server has its `code`, and where it was: `table`, `key`, `pointer` of the first place, and
all `places`.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import URLError


class Warning(Exception):
    """Never raised; PEP 249 asks for the name."""


class Error(Exception):
    """The root of all errors. `version`: of the project, at which it was judged, where that is known."""

    def __init__(
        self, message: str, code: str = "", places: Sequence[Mapping[str, Any]] = (), version: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.places, self.version = code, tuple(places), version
        #: Whether it ended the transaction that was open.
        self.over = False

    @property
    def table(self) -> str | None:
        found: str | None = self._first("table")
        return found

    @property
    def key(self) -> list[Any] | None:
        found: list[Any] | None = self._first("key")
        return found

    @property
    def pointer(self) -> str | None:
        """A JSON pointer: into the row (`/text`), or into the request (`/statements/0/many/999`)."""
        found: str | None = self._first("pointer")
        return found

    def _first(self, member: str) -> Any:
        return next((place[member] for place in self.places if place.get(member) is not None), None)


class InterfaceError(Error):
    """The driver was used in a way that it is not made for."""


class DatabaseError(Error):
    """What has to do with the database."""


class DataError(DatabaseError):
    """A value that cannot be stored, or that is too large."""


class OperationalError(DatabaseError):
    """What is nobody's mistake in the program: no server, no right, no time."""


class ConnectionLost(OperationalError):
    """The connection broke; nothing that was asked for has happened, and a transaction is rolled back."""


class Untrusted(OperationalError):
    """Who answers cannot prove to be that host, or does not speak TLS: nothing was sent, and asking again is no use."""


class Conflict(OperationalError):
    """Somebody else changed what the transaction had read: roll it back and run it again."""


class OutcomeUnknown(OperationalError):
    """Not known whether it happened, and nobody could be asked in time. Look before doing it again."""


class ResultLost(OperationalError):
    """It happened, once, but the rows that it returned were lost with the connection. Read them."""


class IntegrityError(DatabaseError):
    """The contract, a key or a reference is in the way of a row."""


class InternalError(DatabaseError):
    """Something is wrong in the server."""


class ProgrammingError(DatabaseError):
    """SQL that is wrong, wrong parameters, something that is not there."""


class NotSupportedError(DatabaseError):
    """What no project offers."""


#: Reasons of OpenSSL, of several releases, for a host that answers something else.
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})

CLASSES: dict[str, type[DatabaseError]] = {
    **dict.fromkeys(("invalid", "exists", "unique", "reference", "required", "cycle"), IntegrityError),
    **dict.fromkeys(("failed", "bad_request", "not_found", "already_exists", "contract_given"), ProgrammingError),
    **dict.fromkeys(("over_budget", "too_large"), DataError),
    **dict.fromkeys(("internal", "damaged", "id_reused", "foreign_client"), InternalError),
    "conflict": Conflict,
    "unknown": OutcomeUnknown,
}


def untrusted(host: str, problem: BaseException | None) -> Untrusted | None:
    """What a failure to connect means that will be the same the next time; None: it may pass."""
    while problem is not None:
        if isinstance(problem, ssl.SSLCertVerificationError):
            why = f"the certificate of {host} is not trusted: {problem.verify_message}"
            return Untrusted(f"{why}; name the file of its authority behind the address: ?ca=FILE", "untrusted")
        if isinstance(problem, ssl.SSLError) and problem.reason in NO_TLS:
            return Untrusted(f"{host} does not speak TLS: sharelite:// is without", "untrusted")
        inner = problem.reason if isinstance(problem, URLError) else None
        problem = inner if isinstance(inner, BaseException) else problem.__cause__ or problem.__context__
    return None


def refusal(message: Mapping[str, Any]) -> DatabaseError:
    """What an answer with an `error` (SPEC Q) raises. A code that is not known here is an OperationalError."""
    error = message["error"]
    kind = CLASSES.get(error["code"], OperationalError)
    made = kind(error["message"], error["code"], error.get("errors") or (), message.get("version"))
    made.over = message.get("transaction") == "gone"
    return made
