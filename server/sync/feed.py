"""The feed: the newest commits in memory, ready to send, and who wants to be woken by new ones.

A subscriber holds only its cursor. Subscribers at the same cursor share one encoded frame. What is older than the tail
comes from the log (`Project.commits`) through `frame_of`. Nothing here awaits, knows a socket or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from ..errors import CursorGone, ShareliteError
from ..model import EncodedCommit

#: Commits that go into one message; a single larger commit travels in parts.
FRAME_BYTES = 512 * 1024
#: A commit larger than this is not sent at all: loading the database costs less.
COMMIT_BYTES = 8 * 1024 * 1024
#: Characters in one part: even if each is escaped or four bytes long, the message stays below 1 MiB.
PART_CHARACTERS = 192 * 1024
TAIL_BYTES = 4 * 1024 * 1024
TAIL_COMMITS = 4096
#: Frames kept for those who share a cursor; more than this many different cursors are encoded again.
FRAMES_KEPT = 8

Wake = Callable[[], None]


class TailPassed(ShareliteError):
    """The cursor is older than the commits in memory; the log still has them."""

    code = "tail_passed"

    def __init__(self, cursor: int, oldest: int) -> None:
        self.cursor, self.oldest = cursor, oldest

    def __str__(self) -> str:
        return f"version {self.cursor + 1} is no longer in memory, where {self.oldest} is the oldest"


class Frame(Struct, frozen=True, gc=False):
    """Messages ready to send, and the cursor of whoever has received them all."""

    texts: tuple[str, ...]
    cursor: int


class Subscription:
    """A place among those who are woken; `close` gives it up."""

    __slots__ = ("_feed", "wake")

    def __init__(self, feed: Feed, wake: Wake) -> None:
        self._feed, self.wake = feed, wake

    def close(self) -> None:
        self._feed.leave(self)


class Feed:
    """The commits of one project, live. Belongs to the event loop's thread."""

    def __init__(self, version: int, tail_bytes: int = TAIL_BYTES, tail_commits: int = TAIL_COMMITS) -> None:
        self.version = version
        self._tail: dict[int, bytes] = {}
        self._oldest = version + 1
        self._bytes = 0
        self._limits = (tail_bytes, tail_commits)
        self._frames: dict[int, Frame] = {}
        self._subscriptions: set[Subscription] = set()

    @property
    def subscribed(self) -> bool:
        """Whether anybody is to be woken by news."""
        return bool(self._subscriptions)

    def announce(self, commits: Sequence[EncodedCommit]) -> None:
        """Take in the commits that follow `version`, then wake everybody. They are durable and applied by now."""
        for commit in commits:
            assert commit.version == self.version + 1, f"version {commit.version} announced after {self.version}"
            self.version = commit.version
            self._tail[commit.version] = commit.json
            self._bytes += len(commit.json)
        self._trim()
        self._frames.clear()
        self.stir()

    def stir(self) -> None:
        """Wake everybody."""
        for subscription in tuple(self._subscriptions):
            subscription.wake()

    def frame(self, cursor: int) -> Frame | None:
        """What follows `cursor`, up to a frame; None if nothing does. Raises CursorGone, TailPassed."""
        if cursor == self.version:
            return None
        frame = self._frames.get(cursor)
        if frame is None:
            frame = _frame(self._after(cursor), cursor)
            while len(self._frames) >= FRAMES_KEPT:
                del self._frames[next(iter(self._frames))]
            self._frames[cursor] = frame
        return frame

    def subscribe(self, wake: Wake) -> Subscription:
        subscription = Subscription(self, wake)
        self._subscriptions.add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def _after(self, cursor: int) -> list[bytes]:
        if not 0 <= cursor <= self.version:
            raise CursorGone(f"version {cursor} is ahead of the project, which is at {self.version}")
        if cursor + 1 < self._oldest:
            raise TailPassed(cursor, self._oldest)
        taken: list[bytes] = []
        size = 0
        for version in range(cursor + 1, self.version + 1):
            json = self._tail[version]
            size += len(json) + 1
            if taken and size > FRAME_BYTES:
                break
            taken.append(json)
        return taken

    def _trim(self) -> None:
        most_bytes, most_commits = self._limits
        while self._bytes > most_bytes or len(self._tail) > most_commits:
            self._bytes -= len(self._tail.pop(self._oldest))
            self._oldest += 1


def frame_of(commits: Sequence[EncodedCommit], cursor: int) -> Frame:
    """The frame of commits read from the log, which follow `cursor`; as many as one frame holds. Raises CursorGone."""
    taken: list[bytes] = []
    size = 0
    for commit in commits:
        size += len(commit.json) + 1
        if taken and size > FRAME_BYTES:
            break
        taken.append(commit.json)
    return _frame(taken, cursor)


def _frame(commits: list[bytes], cursor: int) -> Frame:
    if len(commits) == 1 and len(commits[0]) > FRAME_BYTES:
        return Frame(_parts(commits[0], cursor + 1), cursor + 1)
    text = b'{"type":"commits","commits":[' + b",".join(commits) + b"]}"
    return Frame((text.decode(),), cursor + len(commits))


def _parts(json: bytes, version: int) -> tuple[str, ...]:
    """One large commit as several messages; their `data`, put together, is the commit's JSON text."""
    if len(json) > COMMIT_BYTES:
        raise CursorGone(f"the commit of version {version} is too large for the feed")
    text = json.decode()
    slices = [text[start : start + PART_CHARACTERS] for start in range(0, len(text), PART_CHARACTERS)]
    return tuple(
        msgspec.json.encode(
            {"type": "commits", "version": version, "part": part, "of": len(slices), "data": data}
        ).decode()
        for part, data in enumerate(slices, 1)
    )
