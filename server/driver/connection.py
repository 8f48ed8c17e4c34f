"""A connection of PEP 249: whose turn it is, what belongs to a transaction, and what became of it.

Threads may share a connection, not its cursors: each request has the lock for itself, a transaction is everybody's.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from . import errors
from .address import parse, with_token
from .cursor import Cursor
from .dump import dump
from .errors import ConnectionLost, DatabaseError, InterfaceError, OperationalError, ProgrammingError
from .line import Line
from .texts import SAVEPOINTS, SCHEMA, Control, Ha, control, first_word, ha, is_empty
from .values import Params, bound, size
from .wire import Lost, Prepared, Wire

T = TypeVar("T")
#: As in `sqlite3`: reads stand alone, the first write begins a transaction.
LEGACY_TRANSACTION_CONTROL = -1
#: Sets of parameters, and bytes, in one message of `executemany`.
SETS, BYTES = 1000, 1 << 20
#: What a message has besides its parameters and its text.
AROUND = 1024
LEVELS = {"": "deferred", "DEFERRED": "deferred", "IMMEDIATE": "immediate", "EXCLUSIVE": "immediate"}
Answer = dict[str, Any]
Isolation = Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None


class Connection:
    """To one project. Made by `connect`."""

    Warning, Error, InterfaceError, DatabaseError = (
        errors.Warning, errors.Error, errors.InterfaceError, errors.DatabaseError,
    )  # fmt: skip
    DataError, OperationalError, IntegrityError = errors.DataError, errors.OperationalError, errors.IntegrityError
    InternalError, ProgrammingError = errors.InternalError, errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    def __init__(self, line: Line, autocommit: bool | int, isolation_level: Isolation) -> None:
        #: To the project of the address, to that of the open transaction, and to all that were used.
        self._home = self._line = line
        self._lines: dict[str, Line] = {line.address.project: line}
        self._lock, self._closed = threading.RLock(), False
        #: The number of the transaction that is open, and the socket it is open on.
        self._transaction: tuple[str, Wire] | None = None
        #: Why the transaction is over that nobody has rolled back yet.
        self._over: str | None = None
        self._autocommit, self._isolation_level = autocommit, isolation_level
        self.row_factory: Callable[[Cursor, tuple[Any, ...]], Any] | None = None
        #: How a transaction begins where autocommit is off: `deferred`, `immediate` or `read_only`.
        self.mode = "deferred"
        #: What texts become, from their UTF-8 bytes; `str` leaves them as they are.
        self.text_factory: Callable[[bytes], Any] = str
        self._trace: Callable[[str], object] | None = None
        #: Rows that this connection changed so far.
        self.total_changes = 0

    @property
    def version(self) -> int:
        """The newest version of the project that this connection has seen; no later read of it shows an older one."""
        return self._line.version

    @version.setter
    def version(self, seen: int) -> None:
        self._line.version = max(self._line.version, seen)

    @property
    def in_transaction(self) -> bool:
        return self._transaction is not None or self._over is not None

    @property
    def autocommit(self) -> bool | int:
        """True: each statement is a commit. False: everything is in a transaction, which the first statement begins.
        LEGACY_TRANSACTION_CONTROL: the first write begins one, as `isolation_level` says."""
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool | int) -> None:
        """Leaving False commits what is open, as `sqlite3` does."""
        if value not in (True, False, LEGACY_TRANSACTION_CONTROL):
            raise ValueError("autocommit is True, False or LEGACY_TRANSACTION_CONTROL")
        with self._lock:
            if self._autocommit is False and value is True:
                self.commit()
            self._autocommit = value

    @property
    def isolation_level(self) -> Isolation:
        """How LEGACY_TRANSACTION_CONTROL begins a transaction; None: not at all. All of them are serializable."""
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, value: Isolation) -> None:
        if value is not None and value not in LEVELS:
            raise ValueError("isolation_level is None, '', 'DEFERRED', 'IMMEDIATE' or 'EXCLUSIVE'")
        self._isolation_level = value

    def cursor(self, factory: Callable[[Connection], Cursor] = Cursor) -> Cursor:
        self._check()
        return factory(self)

    def execute(self, sql: str, parameters: Params = (), /) -> Cursor:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Params], /) -> Cursor:
        return self.cursor().executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> Cursor:
        return self.cursor().executescript(sql_script)

    def set_trace_callback(self, trace_callback: Callable[[str], object] | None, /) -> None:
        """Call this with the text of every statement before it is sent, as it was given; None: with none any more."""
        self._trace = trace_callback

    def iterdump(self, *, filter: str | None = None) -> Iterator[str]:
        """The project as a script that makes its tables and rows anew, of one version. `filter`: LIKE of tables."""
        return dump(self, filter)

    def begin(self, mode: str = "deferred") -> None:
        """Begin a transaction: `deferred`, `immediate` or `read_only`."""
        with self._lock:
            self._check()
            if self.in_transaction:
                raise OperationalError("there is a transaction already; commit it or roll it back", "bad_request")
            asked = {"mode": mode, "version": self.version}
            wire, begun = self._line.repeat(lambda living: (living, living.ask("begin", **asked)))
            self._transaction = (begun["transaction"], wire)
            self.version = begun["version"]

    def commit(self) -> None:
        """Commit what is open; nothing is open: nothing happens.

        Raises IntegrityError where the contract refuses it, OperationalError where it was rolled back before,
        OutcomeUnknown where nobody could tell in time. The transaction is over in any case.
        """
        with self._lock:
            self._check()
            if self._over is not None:
                why = self._over
                self.rollback()
                raise OperationalError(f"the transaction was rolled back before: {why}", "lease_expired")
            if self._transaction is None:
                return
            number, _ = self._transaction
            self._transaction = None
            name = [secrets.token_hex(16), 1]
            try:
                answer = self._line.repeat(lambda wire: wire.ask("commit", id=name, transaction=number), writes=True)
                self.version = answer["version"]
            finally:
                self._line = self._home

    def rollback(self) -> None:
        """Roll back what is open; nothing is open: nothing happens. A connection that broke has done it already."""
        with self._lock:
            self._check()
            was, self._transaction = self._transaction, None
            wire, over = (was[1] if was else self._line.wire), self._over
            self._over, self._line = None, self._home
            if (was is None and over is None) or wire is None or not wire.alive:
                return
            try:
                wire.ask("rollback")
            except Lost:
                return  # the server rolls back what belonged to a connection that is gone

    def ping(self) -> None:
        """Whether a server answers; it begins nothing. Raises ConnectionLost where none does, or where the one went
        that had the transaction."""
        with self._lock:
            self._check()
            ask: Callable[[Wire], Answer] = lambda wire: wire.ask("ping")  # noqa: E731
            self._inside(ask) if self.in_transaction else self._line.repeat(ask)

    def contract(self) -> dict[str, Any]:
        """The JSON Schema document of the project's contract, as it is now."""
        with self._lock:
            self._check()
            document: dict[str, Any] = self._line.contract()["document"]
            return document

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """What is open is rolled back. More than once is no harm."""
        self._closed = True
        for line in self._lines.values():
            line.close()

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """Commits, or rolls back where there was an error; the connection stays open, as in `sqlite3`."""
        if kind is None:
            self.commit()
        elif not self._closed:
            self.rollback()
        return False

    def run(self, sql: str, parameters: Params, begins: bool = True) -> tuple[Answer, bool] | None:
        """The result of one statement, and whether it only read; None for BEGIN, COMMIT, ROLLBACK, and where there is
        none, as `sqlite3` has it. For cursors.

        `begins`: the first write begins a transaction, where that is how the connection is set.
        """
        with self._lock:
            self._check()
            self._traced(sql)
            if (about := ha(sql)) is not None:
                return self._ha(about, parameters, begins)
            if (said := control(sql)) is not None:
                self._control(said, parameters)
                return None
            if is_empty(sql):
                return None
            if first_word(sql) in SCHEMA | SAVEPOINTS:
                return self._text(sql, parameters), False
            made = self._prepared(sql)
            values = bound(parameters, made.parameters, made.names)
            self._begin_if_due(made.reads or not begins)
            return self._statement(sql, made.reads, {"params": values}), made.reads

    def run_many(self, sql: str, parameters: Iterable[Params], done: Callable[[Answer], None]) -> None:
        """The result of each message of parameters to `done`; a message is a commit where no transaction is open."""
        with self._lock:
            self._check()
            self._traced(sql)
            if first_word(sql) in SCHEMA | SAVEPOINTS or control(sql) is not None:
                raise ProgrammingError("executemany runs INSERT, UPDATE, DELETE and REPLACE")
            made = self._prepared(sql)
            if made.reads:
                raise ProgrammingError("executemany runs statements that write; this one only reads")
            most = min(BYTES, self._line.connected().most) - AROUND
            for sets in _messages(parameters, made, most):
                self._begin_if_due(False)
                done(self._statement(sql, False, {"many": sets}))

    def finish(self) -> None:
        """What `executescript` does first: commit, but where autocommit is off."""
        if self._autocommit == LEGACY_TRANSACTION_CONTROL:
            self.commit()

    def _ha(self, said: Ha, parameters: Params, begins: bool) -> tuple[Answer, bool] | None:
        """HA CREATE DB and HA USE. A transaction that a statement begins in another project is that project's until it
        ends; USE without a statement goes on with the other project."""
        name, more = (said.name, parameters) if said.name is not None else _first(parameters)
        if said.verb == "create":
            if said.rest or more:
                raise ProgrammingError("HA CREATE DB has a name, and nothing else")
            row = (self._line.create(name),)
            return {"columns": ["dbId"], "types": ["TEXT"], "rows": [row], "affected": -1, "last_id": None}, True
        line = self._lines.get(name) or self._lines.setdefault(name, self._home.beside(name))
        if self.in_transaction and line is not self._line:
            raise OperationalError("a transaction is open in another project; commit it or roll it back", "bad_request")
        self._line = line
        try:
            if said.rest:
                return self.run(said.rest, more, begins)
            self.version = line.connected().welcome["version"]
            self._home = line
            return None
        finally:
            if not self.in_transaction:
                self._line = self._home

    def _control(self, said: Control, parameters: Params) -> None:
        if parameters:
            raise ProgrammingError(f"{said.verb.upper()} has no parameters")
        if said.verb == "begin":
            self.begin(said.mode)
        elif not self.in_transaction:
            raise OperationalError(f"there is no transaction to {said.verb}", "bad_request")
        else:
            self.commit() if said.verb == "commit" else self.rollback()

    def _begin_if_due(self, reads: bool) -> None:
        if self.in_transaction or self._autocommit is True:
            return
        if self._autocommit is False:
            self.begin(self.mode)
        elif not reads and self._isolation_level is not None:
            self.begin(LEVELS[self._isolation_level])

    def _text(self, sql: str, parameters: Params) -> Answer:
        """DDL, which stands alone, and savepoints, which stand in a transaction."""
        if parameters:
            raise ProgrammingError(f"{first_word(sql)} has no parameters")
        if first_word(sql) in SAVEPOINTS:
            if self._autocommit is False and not self.in_transaction:
                self.begin(self.mode)
            if not self.in_transaction:
                raise OperationalError(f"{first_word(sql)} needs a transaction: BEGIN first", "bad_request")
        ask: Callable[[Wire], Answer] = lambda wire: wire.ask("sql", statements=[sql])  # noqa: E731
        answer = self._took(self._inside(ask) if self.in_transaction else self._once(ask))
        return {**answer, "affected": -1}

    def _prepared(self, sql: str) -> Prepared:
        """Raises ProgrammingError for what is no statement."""
        if is_empty(sql):
            raise ProgrammingError("there is no statement in the text")
        ask: Callable[[Wire], Prepared] = lambda wire: wire.prepare(sql, self.version)  # noqa: E731
        return self._inside(ask) if self.in_transaction else self._line.repeat(ask)

    def _statement(self, sql: str, reads: bool, values: dict[str, Any]) -> Answer:
        def ask(wire: Wire, **more: Any) -> Answer:
            return wire.ask("sql", statements=[{"prepared": wire.prepare(sql, self.version).number, **values}], **more)

        if self.in_transaction:
            return self._took(self._inside(ask))
        if reads:
            seen = {"level": "session", "version": self.version}
            return self._took(self._line.repeat(lambda wire: ask(wire, **seen)))
        return self._took(self._write(ask))

    def _write(self, ask: Callable[..., Answer]) -> Answer:
        """One commit, under an id of its own: sent again it is the same one."""
        name, tries = [self._line.sender, self._line.count + 1], 0

        def attempt(wire: Wire) -> Answer:
            nonlocal tries
            tries += 1
            return ask(wire, id=name)

        try:
            answer = self._line.repeat(attempt, writes=True)
        except BaseException as problem:
            fresh, self._line.sender, self._line.count = self._line.count == 0, secrets.token_hex(16), 0
            if fresh or tries > 1 or not isinstance(problem, DatabaseError) or problem.code != "out_of_order":
                raise
            return self._write(
                ask
            )  # what the server did not count, or a sender that it has forgotten: nothing was done
        self._line.count += 1
        return answer

    def _once(self, ask: Callable[[Wire], T]) -> T:
        """What cannot be repeated, but where it is told that nothing happened."""
        return self._line.once(ask)

    def _inside(self, ask: Callable[[Wire], T]) -> T:
        """What belongs to the transaction, on its socket."""
        if self._over is not None or self._transaction is None:
            raise OperationalError(f"the transaction is over ({self._over}); roll it back", "lease_expired")
        try:
            return ask(self._transaction[1])
        except KeyboardInterrupt:
            self._end("it was interrupted")
            raise
        except Lost as lost:
            self._end(f"the connection broke: {lost}")
            why = f"the transaction is rolled back: the connection broke: {lost}"
            raise ConnectionLost(why, "unavailable") from lost
        except DatabaseError as problem:
            if problem.over:
                self._end(str(problem))
            raise

    def _end(self, why: str) -> None:
        self._transaction, self._over = None, why

    def _took(self, answer: Answer) -> Answer:
        self.version = answer["version"]
        if answer.get("repeated"):
            return {"columns": [], "types": [], "rows": [], "affected": -1, "last_id": None, "repeated": True}
        result: Answer = answer["results"][0]
        self.total_changes += max(0, result["affected"])
        return result

    def _traced(self, sql: str) -> None:
        if self._trace is not None:
            self._trace(sql)

    def _check(self) -> None:
        if self._closed:
            raise ProgrammingError("the connection is closed")
        forked = [line.forked() for line in {self._home, self._line, *self._lines.values()}]
        if any(forked) and self._transaction is not None:
            self._end("it is that of the process which forked")


def _first(parameters: Params) -> tuple[str, Params]:
    """The name of a project, which comes before the other parameters."""
    if isinstance(parameters, Mapping) or not parameters or not isinstance(parameters[0], str):
        raise ProgrammingError("the first parameter is the name of the project; the others follow by position")
    return parameters[0], parameters[1:]


def _messages(parameters: Iterable[Params], made: Prepared, most: int) -> Iterable[list[Any]]:
    """Sets of parameters, as many as one message may have."""
    gathered: list[Any] = []
    held = 0
    for given in parameters:
        encoded, length = size(bound(given, made.parameters, made.names))
        if gathered and (len(gathered) == SETS or held + length > most):
            yield gathered
            gathered, held = [], 0
        gathered.append(encoded)
        held += length + 1
    if gathered:
        yield gathered


def connect(
    database: str,
    *,
    timeout: float = 5.0,
    isolation_level: Isolation = "",
    autocommit: bool | int = LEGACY_TRANSACTION_CONTROL,
    cached_statements: int = 128,
    token: str | Callable[[], str] | None = None,
) -> Connection:
    """A connection to a project: `sharelite://token@host1:port,host2:port/project` (`sharelites://`: with TLS).

    With TLS `?ca=FILE` names the certificates that are trusted, where they are not those of the system.
    `project` is an id or a name; of the hosts the first that lives is taken, and another one when it dies. `timeout`:
    seconds in which a request is tried again while no server answers. `token`: in place of that of the address; a
    function is asked whenever a connection is made, and when the server says that the last one is over.
    `autocommit` and `isolation_level` are those of `sqlite3`. Raises InterfaceError for a wrong address,
    OperationalError where no server answers or no token fits, and Untrusted where a host cannot prove to be that.
    """
    if cached_statements < 1:
        raise InterfaceError("cached_statements is at least 1")
    address, renew = with_token(parse(database), token)
    connection = Connection(Line(address, timeout, min(cached_statements, 500), renew), autocommit, "")
    connection.isolation_level = isolation_level
    connection.autocommit = autocommit
    connection.version = connection._line.connected().welcome["version"]
    return connection
