"""Every error of the house in one tree: typed fields, a sentence that helps, a code for the wire.

`routes.py` turns codes into HTTP statuses, `sync/session.py` into `refused` and `goodbye` messages.
"""

from __future__ import annotations

from .model import Fault, Refusal

#: Places in one refusal, and characters in each of its texts.
MOST_FAULTS = 20
LONGEST = 1000


class ShareliteError(Exception):
    """The root. `code` is what programs read, `str()` what people read."""

    code = "internal"

    def faults(self) -> tuple[Fault, ...]:
        """The places that are wrong; none where the sentence says it all."""
        return ()


class Refused(ShareliteError):
    """A judgement on a mutation: recorded as its outcome, its counter consumed."""

    def __init__(self, code: str, message: str, errors: tuple[Fault, ...] = ()) -> None:
        self.code, self.message, self.errors = code, message, errors

    def __str__(self) -> str:
        return self.message

    def faults(self) -> tuple[Fault, ...]:
        return self.errors

    def at(self, pointer: str) -> Refused:
        """The same about one part of what was asked for. For refusals that are not about rows."""
        inner = self.errors[0].pointer if self.errors else None
        return Refused(self.code, self.message, (Fault(self.message, pointer=pointer + (inner or "")),))

    def refusal(self) -> Refusal:
        """What is recorded and sent: bounded, however much of what was pushed it would like to quote."""
        return Refusal(self.code, _short(self.message), tuple(map(_brief, self.errors[:MOST_FAULTS])))


def _brief(fault: Fault) -> Fault:
    """A key that is too long to repeat is left out: half a key would be another one."""
    key = fault.key if fault.key is None or len(repr(fault.key)) <= LONGEST else None
    table, pointer = fault.table and _short(fault.table), fault.pointer and _short(fault.pointer)
    return Fault(_short(fault.message), table, key, pointer)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


class NotJudged(ShareliteError):
    """Nothing was recorded: send the same bytes with the same id again."""


class OutOfOrder(NotJudged):
    code = "out_of_order"

    def __init__(self, expected: int, got: int) -> None:
        self.expected, self.got = expected, got

    def __str__(self) -> str:
        return f"counter {self.got} came, {self.expected} is next: send the unanswered ones first, in order"


class Unavailable(NotJudged):
    """This node cannot take the mutation now."""

    code = "unavailable"

    def __init__(self, why: str, retry_after: float = 1.0) -> None:
        self.why, self.retry_after = why, retry_after

    def __str__(self) -> str:
        return f"{self.why}; try again in {self.retry_after:g} s"


class DiskFull(Unavailable):
    """There is no room on this node's disk."""

    def __init__(self) -> None:
        super().__init__("the disk is full; nothing was written", 5.0)


class NotLeading(Unavailable):
    """This node does not lead its cell, or not any more; whoever does can take the mutation."""

    def __init__(self) -> None:
        super().__init__("the cell has no leader that can be reached")


class Stopped(Unavailable):
    """A file of the project could not be written or read: it is closed, and opened anew for whoever comes next."""

    def __init__(self, why: str) -> None:
        super().__init__(why, 2.0)

    def __str__(self) -> str:
        return f"the project stopped after {self.why}; it is opened anew, look at the disk"


class RateLimited(NotJudged):
    code = "rate_limited"

    def __init__(self, what: str, retry_after: float) -> None:
        self.what, self.retry_after = what, retry_after

    def __str__(self) -> str:
        return f"too many {self.what}; try again in {self.retry_after:g} s"


class UnknownOutcome(NotJudged):
    """Not known whether it happened. Never reported as failed; asking again with the same id tells."""

    code = "unknown"

    def __str__(self) -> str:
        return "the outcome is not known; send the same mutation with the same id again"


class BadRequest(ShareliteError):
    """The message itself cannot be read: no mutation could be made of it."""

    code = "bad_request"

    def __init__(self, message: str, errors: tuple[Fault, ...] = ()) -> None:
        self.message, self.errors = message, errors

    def __str__(self) -> str:
        return self.message

    def faults(self) -> tuple[Fault, ...]:
        return self.errors


class NotFound(ShareliteError):
    code = "not_found"

    def __init__(self, what: str, name: str) -> None:
        self.what, self.name = what, name

    def __str__(self) -> str:
        return f"there is no {self.what} {self.name!r}"


class AlreadyExists(ShareliteError):
    code = "already_exists"

    def __init__(self, what: str, name: str) -> None:
        self.what, self.name = what, name

    def __str__(self) -> str:
        return f"there is a {self.what} {self.name!r} already; choose another name"


class Conflict(ShareliteError):
    """What is asked for does not fit how far things are by now."""

    code = "conflict"

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


class TooLarge(ShareliteError):
    code = "too_large"

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.what, self.size, self.limit = what, size, limit

    def __str__(self) -> str:
        return f"{self.what} has {self.size:,} bytes, the limit is {self.limit:,}"


class Unauthenticated(ShareliteError):
    """One message for every reason, so that a forger learns nothing (attack A16)."""

    code = "unauthenticated"

    def __str__(self) -> str:
        return "a valid token is needed"


class Forbidden(ShareliteError):
    code = "forbidden"

    def __init__(self, needed: str, role: str | None) -> None:
        self.needed, self.role = needed, role

    def __str__(self) -> str:
        return f"this needs the role {self.needed}; the token gives {self.role or 'none'} here"


class CursorGone(ShareliteError):
    """The feed cannot go on from this cursor; load the database and start from its version."""

    code = "reset"

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return f"the feed cannot go on from here: {self.reason}"


class ContractInvalid(ShareliteError):
    """A contract that cannot be used; every place is named (file, JSON pointer, reason)."""

    code = "contract_invalid"

    def __init__(self, errors: tuple[Fault, ...], file: str | None = None) -> None:
        self.errors, self.file = errors, file

    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""
        lines = [f"{where}{fault.pointer or '/'}: {fault.message}" for fault in self.errors]
        return "\n".join(lines)

    def faults(self) -> tuple[Fault, ...]:
        return self.errors


class Quarantined(Unavailable):
    """This replica of the project differs from those of the cell; it serves nothing until it is repaired."""

    def __init__(self, project: str, why: str) -> None:
        super().__init__(f"project {project} is set aside on this node: {why}", 2.0)
        self.project = project


#: Folders of a data directory.
ROOMS = frozenset({"catalog", "chunks", "projects", "raft"})


class Damaged(ShareliteError):
    """A file does not hold what its own checks say. It is told by its place in the data directory: where that lies on
    the machine is nobody's business."""

    code = "damaged"

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why

    def __str__(self) -> str:
        parts = self.path.replace("\\", "/").split("/")
        first = max((place for place, part in enumerate(parts) if part in ROOMS), default=len(parts) - 1)
        return f"{'/'.join(parts[first:])}: {self.why}"


class FileRefused(ShareliteError):
    """A foreign file that cannot become a project; the sentence says why."""

    code = "file_refused"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return f"the file is refused: {self.why}"
