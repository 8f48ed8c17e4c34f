"""The road of one batch on a project's worker thread: rehearse, replicate, apply (design: section 4).

`project.py` gathers batches and announces what arrived; here is all in between, in order, without a loop or a lock: one
thread at a time calls a road.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import apsw
from msgspec import Struct

from . import taking
from .cluster.alone import Verdict
from .crew import Journey, ended
from .errors import Damaged, DiskFull, NotJudged, NotLeading, Refused, Unavailable, UnknownOutcome
from .model import Base, Call, Commit, CommitKind, Done, Edit, EncodedCommit, Fault, Key, Mutation, Outcome
from .ports import Arrived, InCell, Replicator
from .schemachange import SchemaChange, try_steps
from .sql.guard import Watchdog
from .sql.statements import Statements
from .storage.databases import Databases
from .sync import wire
from .sync.apply import Mismatch, data_at_fault
from .sync.entry import Entry, Record, Recorded, Rehearsed, decode, encode
from .sync.held import Held, Moved
from .sync.ids import Ids
from .sync.log import Log, Position, commits
from .sync.recent import Recent
from .sync.recovery import bring_forward, rebuild, replay
from .sync.rehearsal import Judged, Rehearsal
from .sync.rules import Rules
from .sync.statements import Function

logger = logging.getLogger(__name__)

#: Pages in the write-ahead log of data.db after which a checkpoint is due: between batches, and before the next one.
CHECKPOINT_PAGES = 1000
OVERDUE_PAGES = 8000
SCAN = 1000
FORMER_KEPT = 1000
SCAN_BYTES = 8 << 20


#: Why a push on these tables, made under a former contract document, would be misread under the present contract.
Misread = Callable[[dict[str, Any], Rules, Collection[str]], tuple[Fault, ...]]


class Arrival(Struct, frozen=True):
    """What came of a batch: an answer for each mutation in order, and the commits to announce. `rules`: the contract
    that the project has from now on, where the cell brought another one."""

    answers: tuple[Outcome | NotJudged, ...]
    commits: tuple[EncodedCommit, ...]
    rules: Rules | None = None


class Superseded(NotJudged):
    """Something else came first: take it in, then try again."""

    code = "superseded"

    def __str__(self) -> str:
        return "another entry came first"


class Coming:
    """What one turn takes in from the cell."""

    def __init__(self) -> None:
        self.commits: list[EncodedCommit] = []
        self.rules: Rules | None = None

    def arrival(self, answers: Sequence[Outcome | NotJudged | None], made: Sequence[EncodedCommit] = ()) -> Arrival:
        return Arrival(tuple(answers), (*self.commits, *made), self.rules)  # type: ignore[arg-type]


class Road:
    """One open project's files and the way of a batch through them."""

    def __init__(
        self,
        databases: Databases,
        replicator: Replicator,
        functions: Mapping[str, Function],
        epoch: str,
        misread: Misread,
        inbox: InCell | None = None,
        parse: Callable[[dict[str, Any]], Rules] | None = None,
    ) -> None:
        """`inbox` and `parse` (a contract document to what is rehearsed by) in a cell."""
        self._databases = databases
        self._replicator = replicator
        self._functions = functions
        self._inbox, self._parse = inbox, parse
        self._log = Log(databases.log(), databases.project, epoch, str(databases.log_path))
        self._apply = bring_forward(databases, self._log, ahead=inbox is not None)
        self._ids = Ids(self._log)
        self._recent = Recent(self._commits)
        self._misread = misread
        #: Interrupts statements that have had enough, also those of readers.
        self.watch = Watchdog()
        self._former: dict[tuple[str, frozenset[str]], tuple[Fault, ...]] = {}
        self._rules: Rules | None = None
        self._rehearsal: Rehearsal | None = None
        #: Called in the turn, right behind an entry of another node that asks for an image, or says which one it is.
        self.imaged: Callable[[Entry], None] = lambda entry: None
        #: Made anew because its rows differed from the cell's, and they still do.
        self._doubted = False

    @property
    def position(self) -> Position:
        return self._log.position

    @property
    def updated(self) -> int:
        return self._log.updated

    @property
    def epoch(self) -> str:
        epoch: str = self._log.epoch
        return epoch

    @property
    def row_digest(self) -> int:
        return self._apply.row_digest

    def follow(self, rules: Rules) -> None:
        """Rehearse by this contract from now on."""
        if self._rehearsal is not None:
            self._rehearsal.close()
        self._rules = rules
        self._former.clear()
        runner = Statements(self._databases.data("rehearse"), self.watch)
        self._rehearsal = Rehearsal(runner, rules, self._functions, self._touched_since, self._misread_by)

    def travel(self, batch: Sequence[Mutation]) -> Arrival:
        """`journey`, waited for on this thread."""
        return ended(self.journey(batch))

    def journey(self, batch: Sequence[Mutation]) -> Journey[Arrival]:
        """Take a batch along the road, behind what the cell has delivered. Raises apsw errors of broken files; then the
        project must be closed."""
        came = Coming()
        try:
            return (yield from self._travelled(batch, came))
        except Unavailable as full:
            if not came.commits:
                raise
            return came.arrival((full,) * len(batch))

    def take(self) -> Arrival:
        """Take in what the cell has delivered. Raises Unavailable where nothing of it could be."""
        return self.travel(())

    def hold(self, base: int | None) -> tuple[Held | Moved, Arrival]:
        """Begin an interactive transaction that writes: nothing else may go along the road until it has ended.

        `base`: the version that it has read; None: nothing yet. The arrival is what the cell had delivered before.
        """
        arrival = self.take()
        with self._room():
            self._level()
        assert self._rehearsal is not None, "follow() comes first"
        version = self._log.position.version
        if base is not None and base != version:
            return Moved(base, version), arrival
        return Held(self._rehearsal, version), arrival

    @property
    def behind(self) -> bool:
        """Whether the cell has delivered something that is not in the files yet."""
        return self._inbox is not None and self._inbox.next() is not None

    def _travelled(self, batch: Sequence[Mutation], came: Coming) -> Journey[Arrival]:
        with self._room():
            self._take(came)
        answers, waiting = self._admit(batch)
        if waiting:
            with self._room():
                self._level()
        while waiting:
            with self._room():
                rehearsed, outcomes = self._rehearse([batch[place] for place in waiting])
                verdict = yield from self._replicate(rehearsed)
            if verdict == "superseded":  # what came first may have answered some of them
                self._ids.forget()
                with self._room():
                    self._take(came)
                answers, waiting = self._admit(batch)
                continue
            self._ids.logged()
            self._recent.trim()
            if verdict != "committed":
                self._ids.forget()
                problem = UnknownOutcome() if verdict == "unknown" else NotLeading()
                return came.arrival(tuple([answer or problem for answer in answers]))
            try:
                self._bring(rehearsed)
            except apsw.FullError as problem:  # committed it is: the log has it, and data.db follows when it can
                logger.warning("project %s: data.db stays behind its log: %s", self._databases.project, problem)
            for place, outcome in zip(waiting, outcomes, strict=True):
                answers[place] = outcome
            return came.arrival(answers, rehearsed.entry.commits)
        return came.arrival(answers)

    def change_schema(self, change: SchemaChange, by: str, *, first: Sequence[object] = ()) -> Arrival:
        """Take a schema commit along the road. `first`: the changes that come with it (a new project's singletons)."""
        with self._room():
            self._level()
            try_steps(self._databases, self.watch, change)
        position = self._log.position
        types = {name: table.types for name, table in change.rules.tables.items()}
        commit = Commit(
            position.version + 1, _now(), by, "schema", tuple(first),  # type: ignore[arg-type]
            contract=change.document, contract_hash=change.rules.hash, steps=change.steps,
        )  # fmt: skip
        rehearsed = self._entry(_now(), (commit,), (wire.encode_commit(commit, types),), ())
        with self._room():
            verdict = ended(self._replicate(rehearsed))
        if verdict != "committed":
            raise UnknownOutcome() if verdict == "unknown" else NotLeading()
        self._bring(rehearsed)
        self.follow(change.rules)
        return Arrival((Outcome("committed", commit.version),), rehearsed.entry.commits)

    def adopt(self, rules: Rules, document: dict[str, object], base: Base, by: str) -> None:
        """Begin a new project with a base, whose file lies in the project's folder, synced: entry 1 names it."""
        at = _now()
        commit = Commit(1, at, by, "import", (), contract=document, contract_hash=rules.hash, base=base)
        entry = Entry(1, 0, at, (wire.encode_commit(commit, {}),), (), "base")
        with self._room():
            verdict = ended(self._replicate(Rehearsed(entry, tuple(encode(entry)), (commit,))))
        if verdict != "committed":
            raise UnknownOutcome() if verdict == "unknown" else NotLeading()
        self._apply = bring_forward(self._databases, self._log)
        self.follow(rules)

    def enter(self, make: Callable[[Position, int], Entry]) -> Position:
        """Take an entry along the road that holds no mutation. `make`: from the position before it and the time.

        Raises Unavailable or Superseded where it is not in the log, UnknownOutcome where nobody knows.
        """
        with self._room():
            self._level()
            entry = make(self._log.position, _now())
            rehearsed = Rehearsed(entry, tuple(encode(entry)), ())
            verdict = ended(self._replicate(rehearsed))
        if verdict == "superseded":
            raise Superseded
        if verdict != "committed":
            raise UnknownOutcome() if verdict == "unknown" else NotLeading()
        try:
            self._bring(rehearsed)
        except apsw.FullError as problem:
            logger.warning("project %s: data.db stays behind its log: %s", self._databases.project, problem)
        return self._log.position

    def checkpoint_due(self, waiting: bool) -> bool:
        """`waiting`: mutations are; then it may wait too, but not for ever."""
        return self._databases.wal_pages() > (OVERDUE_PAGES if waiting else CHECKPOINT_PAGES)

    def checkpoint(self) -> None:
        """Move the write-ahead log of data.db into the file, as far as readers and a full disk allow."""
        try:
            self._databases.checkpoint()
        except apsw.FullError as problem:
            logger.warning("project %s: no checkpoint: %s; tried again later", self._databases.project, problem)

    def close(self) -> None:
        """Close every file. What a full or broken disk does not let us tidy is as it is after a crash: recovered."""
        if self._rehearsal is not None:
            self._rehearsal.close()
        try:
            self._databases.settle()
        except (apsw.IOError, apsw.FullError, apsw.ConnectionClosedError) as problem:
            logger.warning("project %s: closed without a checkpoint: %s", self._databases.project, problem)
        self._databases.close()

    def _admit(self, batch: Sequence[Mutation]) -> tuple[list[Outcome | NotJudged | None], list[int]]:
        """Look every id up: answers for those known, the places of those to be judged."""
        answers: list[Outcome | NotJudged | None] = []
        waiting: list[int] = []
        for place, mutation in enumerate(batch):
            answer: Outcome | NotJudged | None
            try:
                answer = self._ids.take(mutation)
            except NotJudged as problem:
                answer = problem
            except Refused as refused:
                answer = Outcome("refused", self._log.position.version, refused.refusal())
            if answer is None:
                waiting.append(place)
            answers.append(answer)
        return answers, waiting

    def _rehearse(self, mutations: Sequence[Mutation]) -> tuple[Rehearsed, list[Outcome]]:
        """Run the mutations without effect and make the entry of what they would do."""
        assert self._rehearsal is not None and self._rules is not None, "follow() comes first"
        judged = self._judged(mutations)
        at, version = _now(), self._log.position.version
        types = {name: table.types for name, table in self._rules.tables.items()}
        made: list[Commit] = []
        outcomes: list[Outcome] = []
        for mutation, found in zip(mutations, judged, strict=True):
            if found.refusal is not None:
                outcomes.append(Outcome("refused", version, found.refusal))
            elif not found.changes:
                outcomes.append(Outcome("settled", version, results=found.results))
            else:
                version += 1
                made.append(_commit(version, at, mutation, found))
                outcomes.append(Outcome("committed", version, results=found.results))
        encoded = tuple([wire.encode_commit(commit, types) for commit in made])
        recorded = tuple(
            [
                Recorded(mutation.id, mutation.user, mutation.body_hash, outcome)
                for mutation, outcome in zip(mutations, outcomes, strict=True)
                if mutation.id is not None
            ]
        )
        return self._entry(at, tuple(made), encoded, recorded), outcomes

    def _judged(self, mutations: Sequence[Mutation]) -> Sequence[Judged]:
        """An interactive transaction was rehearsed while it was held, and holds only where nothing came between."""
        assert self._rehearsal is not None, "follow() comes first"
        done = mutations[0].body
        if not isinstance(done, Done):
            return self._rehearsal.run(mutations)
        assert len(mutations) == 1, "it has the turn for itself"
        if done.refusal is None and done.base != self._log.position.version:
            return [Judged(refusal=Moved(done.base, self._log.position.version).refusal())]
        return [Judged(done.changes, refusal=done.refusal)]

    def _entry(
        self, at: int, made: tuple[Commit, ...], encoded: tuple[EncodedCommit, ...], recorded: tuple[Recorded, ...]
    ) -> Rehearsed:
        position = self._log.position
        entry = Entry(position.seq + 1, position.version, at, encoded, recorded)
        return Rehearsed(entry, tuple(encode(entry)), made)

    def _replicate(self, rehearsed: Rehearsed) -> Journey[Verdict]:
        """An entry with nothing in it (mutations without id and effect) goes nowhere."""
        if rehearsed.entry.kind == "commits" and not rehearsed.entry.commits and not rehearsed.entry.outcomes:
            return "committed"
        if self._inbox is not None:
            self._inbox.rows = self._rows()
            self.mark()
        verdict = self._replicator.replicate(self._log, rehearsed.records, rehearsed.entry)
        return verdict if isinstance(verdict, str) else (yield from verdict)

    def _take(self, came: Coming) -> None:
        """Bring what the cell has delivered into the files; what was made for another log is there or was superseded.
        Raises apsw.FullError: the rest stays where it is."""
        if self._inbox is None:
            return
        while (record := self._inbox.next()) is not None:
            if self._take_several(self._inbox, came):
                continue
            if record.fits(self._log.position):
                with data_at_fault(f"entry {record.seq} cannot be taken"):
                    self._receive(self._inbox, record, came)
            elif record.contradicts(self._log.position):
                self.mark()
                self._inbox.doubt(record.base_seq, self._log.position.seq)
            self._inbox.done()

    def _take_several(self, inbox: InCell, came: Coming) -> bool:
        """Take what waits together, where there are several entries and all is as usual."""
        records, reached = inbox.several(taking.MOST), self._log.position
        if len(records) < 2 or self._apply.position != reached or not records[0].fits(reached):
            return False
        self._level()
        try:
            wanted = taking.ready(records)
            taken = taking.take(self._log, self._apply, wanted) if len(wanted) > 1 else []
        except (Mismatch, Damaged, apsw.FullError):  # found again one by one
            return False
        for (position, rows), (record, entry, _) in zip(taken, wanted, strict=False):
            if record.rows:
                inbox.agrees(record.base_seq, record.rows, record.rows)
            inbox.mark(position.seq, position.digest, rows)
            inbox.done()
            came.commits += entry.commits
        self._ids.forget()
        self._doubted = False
        return bool(taken)

    def _receive(self, inbox: InCell, record: Arrived, came: Coming) -> None:
        if self._apply.position.seq <= self._log.position.seq:
            self._level()
            self._compare(inbox, record.rows)
        if record.kind == "base" and (base := based_on(record.body)) is not None:
            inbox.fetch(base.hash)  # the file is there before the log names it
        entry = self._log.receive(Record(record.seq, record.kind, record.version, record.body))
        self._ids.forget()
        commits = () if entry is None else tuple([wire.decode_commit(each.json) for each in entry.commits])
        try:
            self._follow_log(entry, commits)
        except apsw.FullError as problem:
            logger.warning("project %s: data.db stays behind its log: %s", self._databases.project, problem)
        if entry is not None and entry.kind in ("publish", "published"):
            self.imaged(entry)
        came.commits += () if entry is None else entry.commits
        for commit in commits:
            if commit.contract is not None and self._parse is not None:
                came.rules = self._parse(commit.contract)
                self.follow(came.rules)

    def _follow_log(self, entry: Entry | None, commits: tuple[Commit, ...]) -> None:
        """Bring data.db to where the log is now. It may be there already, or ahead, after a power cut."""
        position = self._log.position
        if entry is not None and entry.kind == "base":
            self._apply = bring_forward(self._databases, self._log, ahead=True)
        elif self._apply.position.seq < position.seq and entry is None:
            self._apply.move(position)
        elif self._apply.position.seq < position.seq and entry is not None:
            self._bring(Rehearsed(entry, (), commits))
        elif self._apply.position.seq == position.seq and self._apply.position.digest != position.digest:
            self._make_anew("it was not on the way of its log")

    def _compare(self, inbox: InCell, stated: bytes) -> None:
        """Hold the rows here against those of the proposer; what differs is first made anew from the log."""
        seq = self._log.position.seq
        if not stated or inbox.agrees(seq, self._rows(), stated):
            self._doubted = False
        elif not self._doubted:
            self._doubted = True
            self._make_anew("its rows are not those of the cell")
            if not inbox.agrees(seq, self._rows(), stated):
                inbox.doubt(seq, seq)
        self.mark()

    def mark(self) -> None:
        """Keep in mind what the digests are now, for other nodes of the cell."""
        if self._inbox is not None and self._apply.position.seq == self._log.position.seq:
            self._inbox.mark(self._log.position.seq, self._log.position.digest, self._rows())

    def _rows(self) -> bytes:
        return self._apply.row_digest.to_bytes(16, "big")

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Up to the log a full disk means that nothing happened: the same ids may be sent again."""
        try:
            yield
        except apsw.FullError:
            self._ids.forget()
            raise DiskFull from None

    def _level(self) -> None:
        """Have data.db where its log is, and as its log says."""
        if not self._apply.untouched():
            self._make_anew("somebody else wrote to it")
        elif self._apply.position.seq < self._log.position.seq:
            replay(self._apply, self._log)

    def _bring(self, rehearsed: Rehearsed) -> None:
        """Apply; a database that does not match its log is made anew from it."""
        try:
            self._apply.apply(rehearsed.entry, rehearsed.commits, self._log.position)
        except Mismatch as mismatch:
            self._make_anew(str(mismatch))

    def make_anew(self, why: str) -> Arrival:
        """Have data.db as its log makes it, whatever it is now."""
        with self._room():
            self._make_anew(why)
        return Arrival((), ())

    def _make_anew(self, why: str) -> None:
        """Set data.db aside and build it from the log; a road that rehearses goes on with the new file."""
        rehearsed = self._rehearsal is not None
        if self._rehearsal is not None:
            self._rehearsal.close()
            self._rehearsal = None
        self._apply = rebuild(self._databases, self._log, why)
        if rehearsed and self._rules is not None:
            self.follow(self._rules)

    def _misread_by(self, former: str, tables: frozenset[str]) -> tuple[Fault, ...]:
        """Why a push made under a former contract cannot be understood; one that is not known here is simply tried."""
        known = self._former.get((former, tables))
        if known is None:
            document = self._log.contract(former)
            assert self._rules is not None, "follow() comes first"
            known = () if document is None else self._misread(document, self._rules, tables)
            if len(self._former) < FORMER_KEPT:
                self._former[former, tables] = known
        return known

    def _touched_since(self, table: str, key: Key, version: int) -> bool:
        return self._recent.touched(table, key, version, self._log.position.version)

    def _commits(self, after: int) -> list[EncodedCommit]:
        connection = self._databases.log_reader()
        try:
            return commits(connection, after, SCAN, SCAN_BYTES)
        finally:
            connection.close()


def _commit(version: int, at: int, mutation: Mutation, found: Judged) -> Commit:
    body = mutation.body
    kind: CommitKind = "edit" if isinstance(body, Edit) else "call" if isinstance(body, Call) else "sql"
    return Commit(version, at, mutation.user, kind, found.changes, mutation.id, mutation.tag, found.skipped)


def _now() -> int:
    """Milliseconds since 1970: the leader's clock, written into the entry; apply never asks for the time."""
    return time.time_ns() // 1_000_000


def based_on(body: bytes) -> Base | None:
    """The base that an entry of the kind `base` names."""
    (commit,) = decode(body).commits
    return wire.decode_commit(commit.json).base
