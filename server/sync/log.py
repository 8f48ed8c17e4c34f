"""The log of a project: entries in order, and the one answer that each mutation id got (SPEC L).

Truth = base + log; everything else is made from it. On a node that is alone its commit is the durability point.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import apsw
import msgspec

from ..errors import Damaged
from ..model import Base, EncodedCommit, MutationId, Outcome, Refusal
from . import digest
from .entry import OUTCOME_KINDS, Entry, Published, Record, Recorded, decode, join, moment, part_count
from .transaction import transaction
from .wire import decode_commit

SCHEMA = """
CREATE TABLE IF NOT EXISTS identity(
  id INTEGER PRIMARY KEY CHECK(id=1), format INTEGER NOT NULL, project TEXT NOT NULL, epoch TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS entries(
  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, version INTEGER, digest BLOB NOT NULL, body BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS entries_version ON entries(version) WHERE version IS NOT NULL;
CREATE INDEX IF NOT EXISTS entries_published ON entries(seq) WHERE kind='published';
CREATE TABLE IF NOT EXISTS outcomes(
  client TEXT NOT NULL, counter INTEGER NOT NULL, body_hash BLOB NOT NULL, kind INTEGER NOT NULL,
  version INTEGER NOT NULL, refusal BLOB, at INTEGER NOT NULL, PRIMARY KEY(client, counter)) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS outcomes_at ON outcomes(at);
CREATE TABLE IF NOT EXISTS contracts(hash TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS clients(
  client TEXT PRIMARY KEY, user TEXT NOT NULL, counter INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID, STRICT;
"""
LAST = "SELECT seq, digest FROM entries ORDER BY seq DESC LIMIT 1"
LAST_VERSION = "SELECT version FROM entries WHERE version IS NOT NULL ORDER BY seq DESC LIMIT 1"
ADD_ENTRY = "INSERT INTO entries(seq, kind, version, digest, body) VALUES(?,?,?,?,?)"
ADD_OUTCOME = "INSERT INTO outcomes(client, counter, body_hash, kind, version, refusal, at) VALUES(?,?,?,?,?,?,?)"
SET_CLIENT = (
    "INSERT INTO clients(client, user, counter, at) VALUES(?,?,?,?) "
    "ON CONFLICT(client) DO UPDATE SET counter=excluded.counter, at=excluded.at"
)
ADD_CONTRACT = "INSERT OR IGNORE INTO contracts(hash, version, document) VALUES(?,?,?)"
FIND_CONTRACT = "SELECT document FROM contracts WHERE hash=?"
FIND_OUTCOME = "SELECT body_hash, kind, version, refusal FROM outcomes WHERE client=? AND counter=?"
FIND_CLIENT = "SELECT user, counter FROM clients WHERE client=?"
ENTRIES_AFTER = "SELECT seq, kind, version, digest, body FROM entries WHERE seq>? ORDER BY seq"
VERSION_AT = "SELECT version FROM entries WHERE seq<=? AND version IS NOT NULL ORDER BY seq DESC LIMIT 1"
DIGEST_AT = "SELECT digest FROM entries WHERE seq=?"
#: The first entry of a version has its commits; the others at that version have outcomes only.
NEXT_VERSION = """
SELECT seq, version, kind, digest, (SELECT digest FROM entries AS p WHERE p.seq=entries.seq-1), body
FROM entries WHERE version>? ORDER BY version, seq LIMIT 1
"""
PUBLISHED = "SELECT body FROM entries WHERE kind='published' ORDER BY seq"
#: The first entry of the last version has its commits.
NEWEST = """
SELECT seq, kind, body FROM entries WHERE version=(SELECT max(version) FROM entries WHERE version IS NOT NULL)
ORDER BY seq LIMIT 1
"""
BODY_AT = "SELECT body FROM entries WHERE seq=?"
PARTS = "SELECT body FROM entries WHERE seq>? AND seq<=? ORDER BY seq"
LINKS = "SELECT seq, digest, body FROM entries WHERE seq>=? AND seq<=? ORDER BY seq"
#: Outcomes past 30 days go, but the last 1,000 of a client stay (design: Mutation ids).
FORGET = """
DELETE FROM outcomes WHERE at<?1 AND counter<=
  (SELECT counter FROM clients WHERE clients.client=outcomes.client)-1000
"""
KEEP_MS = 30 * 24 * 3600 * 1000
FORGET_EVERY = 4096
#: Every commit with a contract has one of these in its JSON; what else has it is looked at and left.
SCHEMA_MARKS = (b'"kind":"schema"', b'"kind":"import"')
BASE = "SELECT body FROM entries WHERE seq=1 AND kind='base'"

_refusal = msgspec.json.Decoder(Refusal).decode


class Position(NamedTuple):
    """How far something has got: the last entry, the last version, the log digest after it."""

    seq: int
    version: int
    digest: bytes


class Kept(NamedTuple):
    """What the log remembers of a mutation id."""

    body_hash: bytes
    outcome: Outcome


class Log:
    """The writer's side; one thread at a time."""

    def __init__(self, connection: apsw.Connection, project: str, epoch: str, path: str) -> None:
        self._connection = connection
        self._path = path
        self._together = False
        connection.execute(SCHEMA)
        connection.execute("INSERT OR IGNORE INTO identity VALUES(1,1,?,?)", (project, epoch))
        identity: Any = connection.execute("SELECT format, project, epoch FROM identity").fetchone()
        form: int = identity[0]
        self.project: str = identity[1]
        self.epoch: str = identity[2]
        if form != 1 or self.project != project:
            raise Damaged(
                path, f"holds the log of project {self.project} in format {form}, not of {project} in format 1"
            )
        self.position = self._position()
        #: When the last commit was made, in ms since 1970, by the clock of the node that judged it; 0: there is none.
        self.updated = self._updated()

    def _updated(self) -> int:
        newest: Any = self._connection.execute(NEWEST).fetchone()
        if newest is None:
            return 0
        seq, kind, body = newest
        if kind == "part":
            ((body,),) = self._connection.execute(BODY_AT, (seq - part_count(body) + 1,)).fetchall()
        return moment(body)

    def _position(self) -> Position:
        last = self._connection.execute(LAST).fetchone()
        if last is None:
            return Position(0, 0, digest.START)
        version = self._connection.execute(LAST_VERSION).fetchone()
        return Position(last[0], version[0] if version else 0, last[1])

    def link(self, previous: bytes, body: bytes) -> bytes:
        """The log digest after one more body."""
        return digest.chain(previous, body)

    def receive(self, record: Record) -> Entry | None:
        """Append the next record, which was made elsewhere; the entry that takes effect with it (None: a part before
        the last). Raises what `append` raises, ValueError for what this release cannot read."""
        entry = None
        if record.version is not None:
            entry = decode(self._whole(record))
        self.append((record,), entry)
        return entry

    @contextmanager
    def together(self) -> Iterator[None]:
        """Whatever is appended within is one transaction."""
        reached, updated = self.position, self.updated
        try:
            with transaction(self._connection):
                self._together = True
                yield
        except BaseException:
            self.position, self.updated = reached, updated
            raise
        finally:
            self._together = False

    def receive_all(self, records: Sequence[Record]) -> None:
        """`receive`, for a range of records that follow from each other, in one transaction."""
        with self.together():
            for record in records:
                entry = None if record.version is None else decode(self._whole(record))
                self.position = self._add((record,), entry)
                if entry is not None and entry.commits:
                    self.updated = entry.at

    def _whole(self, record: Record) -> bytes:
        if record.kind != "part":
            return record.body
        count = part_count(record.body)
        before = self._connection.execute(PARTS, (record.seq - count, record.seq - 1))
        return join([*[part for (part,) in before], record.body])

    def append(self, records: Sequence[Record], entry: Entry | None) -> None:
        """Write the records of one entry and its outcomes in one transaction; what is there already is skipped. Without
        the entry: parts of it, before the last.

        Raises apsw.Error; then nothing of it is in the log, except after an I/O error, when nobody can know.
        """
        new = [record for record in records if record.seq > self.position.seq]
        if new:
            with nullcontext() if self._together else transaction(self._connection):
                reached = self._add(new, entry)
            self.position = reached
            if entry is not None and entry.commits:
                self.updated = entry.at

    def _add(self, new: Sequence[Record], entry: Entry | None) -> Position:
        """Within a transaction; the position after it."""
        if new[0].seq != self.position.seq + 1:
            raise Damaged(self._path, f"entry {new[0].seq} came, {self.position.seq + 1} is next")
        rows, version, chained = [], self.position.version, self.position.digest
        for record in new:
            chained = digest.chain(chained, record.body)
            version = record.version if record.version is not None else version
            rows.append((record.seq, record.kind, record.version, chained, record.body))
        self._connection.executemany(ADD_ENTRY, rows)
        if entry is not None:
            self._keep(entry.outcomes, entry.at)
            self._keep_contracts(entry)
        if entry is not None and new[-1].seq % FORGET_EVERY < len(new):
            self._connection.execute(FORGET, (entry.at - KEEP_MS,))
        return Position(new[-1].seq, version, chained)

    def _keep(self, outcomes: Sequence[Recorded], at: int) -> None:
        if not outcomes:
            return
        rows, clients = [], {}
        for kept in outcomes:
            outcome = kept.outcome
            refusal = None if outcome.refusal is None else msgspec.json.encode(outcome.refusal)
            kind = OUTCOME_KINDS.index(outcome.kind)
            rows.append((kept.id.client, kept.id.counter, kept.body_hash, kind, outcome.version, refusal, at))
            clients[kept.id.client] = (kept.id.client, kept.user, kept.id.counter, at)
        self._connection.executemany(ADD_OUTCOME, rows)
        self._connection.executemany(SET_CLIENT, clients.values())

    def _keep_contracts(self, entry: Entry) -> None:
        for commit in entry.commits:
            if not any(mark in commit.json for mark in SCHEMA_MARKS):
                continue
            if (made := decode_commit(commit.json)).contract_hash is not None:
                self._connection.execute(ADD_CONTRACT, (made.contract_hash, made.version, json.dumps(made.contract)))

    def contract(self, digest: str) -> dict[str, Any] | None:
        """The document of a contract that this project has followed, by its hash."""
        row: Any = self._connection.execute(FIND_CONTRACT, (digest,)).fetchone()
        return None if row is None else json.loads(row[0])

    def base(self) -> Base | None:
        """The database that this log goes on from; None for one that begins with nothing."""
        row: Any = self._connection.execute(BASE).fetchone()
        return None if row is None else decode_commit(decode(row[0]).commits[0].json).base

    def outcome(self, name: MutationId) -> Kept | None:
        row = self._connection.execute(FIND_OUTCOME, name).fetchone()
        if row is None:
            return None
        return Kept(row[0], Outcome(OUTCOME_KINDS[row[1]], row[2], None if row[3] is None else _refusal(row[3])))

    def client(self, client: str) -> tuple[str, int] | None:
        """The user a client id is bound to and its last counter; None for one never seen."""
        row: tuple[str, int] | None = self._connection.execute(FIND_CLIENT, (client,)).fetchone()
        return row

    def entries(self, after: int) -> Iterator[tuple[Position, Entry | None]]:
        """The records after a seq: the position after it, and the entry that takes effect (None: not the last part)."""
        before = self._connection.execute(VERSION_AT, (after,)).fetchone()
        reached = before[0] if before else 0
        previous = self.digest_at(after) or digest.START
        for seq, kind, version, chained, body in self._connection.execute(ENTRIES_AFTER, (after,)):
            if digest.chain(previous, body) != chained:
                raise Damaged(self._path, f"entry {seq} is not what was written")
            previous = chained
            if version is None:
                yield Position(seq, reached, chained), None
            else:
                reached = version
                yield Position(seq, version, chained), decode(_body(self._connection, seq, kind, body))

    def digest_at(self, seq: int) -> bytes | None:
        """The log digest after an entry; None where there is none."""
        row: tuple[bytes] | None = self._connection.execute(DIGEST_AT, (seq,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        self._connection.close()


def commits(reader: apsw.Connection, after: int, limit: int, most_bytes: int) -> list[EncodedCommit]:
    """Commits after a version, at least one if there is one, until `limit` of them or `most_bytes` are reached. Raises
    Damaged for an entry whose bytes are not those that were written."""
    found: list[EncodedCommit] = []
    size = 0
    reached = after
    while row := reader.execute(NEXT_VERSION, (reached,)).fetchone():
        entry: Any = row
        seq, reached, kind, chained, before, body = entry
        if digest.chain(before or digest.START, body) != chained:
            raise Damaged(reader.filename, f"entry {seq} is not what was written")
        if kind == "part":
            _check_parts(reader, seq - part_count(body), seq - 1)
        for commit in decode(_body(reader, seq, kind, body)).commits:
            if commit.version <= after:
                continue
            if found and (len(found) >= limit or size + len(commit.json) > most_bytes):
                return found
            found.append(commit)
            size += len(commit.json)
        if len(found) >= limit:
            break
    return found


def records(
    reader: apsw.Connection, after: int, most_bytes: int
) -> tuple[bytes | None, list[tuple[int, str, int | None, bytes, bytes]]]:
    """The log digest at a seq (None: there is no such entry), and the records after it as they are kept: seq, kind,
    version, body, digest; at least one if there is one, until they have so many bytes."""
    base: Any = reader.execute(DIGEST_AT, (after,)).fetchone()
    found: list[tuple[int, str, int | None, bytes, bytes]] = []
    size = 0
    for seq, kind, version, chained, body in reader.execute(ENTRIES_AFTER, (after,)):
        found.append((seq, kind, version, body, chained))
        size += len(body)
        if size >= most_bytes:
            break
    return (None if base is None else base[0]), found


def published(reader: apsw.Connection) -> list[Published]:
    """Every image that was ever published, oldest first; whether it is still there is another matter."""
    entries = [decode(body) for (body,) in reader.execute(PUBLISHED)]
    return [entry.image for entry in entries if entry.image is not None]


def _check_parts(reader: apsw.Connection, before: int, last: int) -> None:
    """Hold the entries after one against the digests beside them. Raises Damaged."""
    chained = digest.START
    for seq, stated, body in reader.execute(LINKS, (before, last)):
        if seq > before and digest.chain(chained, body) != stated:
            raise Damaged(reader.filename, f"entry {seq} is not what was written")
        chained = stated


def _body(connection: apsw.Connection, seq: int, kind: str, body: bytes) -> bytes:
    if kind != "part":
        return body
    count = part_count(body)
    return join([part for (part,) in connection.execute(PARTS, (seq - count, seq))])
