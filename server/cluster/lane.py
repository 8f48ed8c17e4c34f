"""What the cell has delivered for one project and its files do not have yet (SPEC K51).

The port's thread puts in, the project's worker takes out, in order. What was looked at stays until it is done with, so
that a full disk loses nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from msgspec import Struct

from .payload import DIGEST_BYTES, Item


class Delivered(Struct, frozen=True, gc=False):
    """An item and the index of the record it came in."""

    index: int
    item: Item


#: So many of the last digests of a project are known, to be compared with those of other nodes; and of the images.
MARKS = 512
IMAGES = 16


class Compared(NamedTuple):
    """Row digests after the record `seq`: here, and as the proposer of the next one stated it."""

    seq: int
    mine: bytes
    stated: bytes


class Lane:
    """One project's items. `wake` is called on the port's thread when something came and nobody waits for it."""

    def __init__(
        self,
        project: str,
        unattended: Callable[[str], None],
        freed: Callable[[int], None],
        doubted: Callable[[Lane, int], None],
        bases: Callable[[str, str], None],
    ) -> None:
        self.project = project
        self.wake: Callable[[], None] | None = None
        #: The row digest to state with the next proposal.
        self.rows = b""
        #: The index of the first record since the files were synced; None: nothing to sync.
        self.unsynced: int | None = None
        #: The latest comparison of rows.
        self.compared: Compared | None = None
        #: By seq: the log digest and the row digest here after that entry.
        self.marks: OrderedDict[int, bytes] = OrderedDict()
        #: By seq: build of SQLite and hash of the image that was made here after that entry; empty: none could be.
        self.images: OrderedDict[int, bytes] = OrderedDict()
        self._unattended, self._freed, self._doubted, self._bases = unattended, freed, doubted, bases
        self._items: deque[Delivered] = deque()
        #: What comes while the log is fetched from another node; it follows that.
        self._later: deque[Delivered] | None = None
        self._lock = threading.Lock()
        #: Called for the next one, if anybody waits for it.
        self._listening: Callable[[], None] | None = None
        self._closed = False

    def put_at(self, index: int, item: Item, fetched: bool = False) -> None:
        """Port's thread; `fetched`: the event loop's, of what comes from another node's log."""
        delivered = Delivered(index, item)
        with self._lock:
            if self._closed:
                self._freed(len(delivered.item.body))
                return
            if self._later is not None and not fetched:
                self._later.append(delivered)
                return
            self._items.append(delivered)
            if self.unsynced is None:
                self.unsynced = delivered.index
            told, self._listening = self._listening or self.call, None
        told()

    def call(self) -> None:
        """Have somebody take what is here."""
        if self.wake is not None:
            self.wake()
        else:
            self._unattended(self.project)

    def next(self) -> Item | None:
        """`first` without its index."""
        delivered = self.first()
        return None if delivered is None else delivered.item

    def several(self, most: int) -> list[Item]:
        """The next ones; they stay until each is done with."""
        with self._lock:
            return [delivered.item for delivered in islice(self._items, most)]

    def fetch(self, base: str) -> None:
        """Have the file that the log goes on from. Worker thread, blocks. Raises Unavailable."""
        self._bases(self.project, base)

    def agrees(self, seq: int, mine: bytes, stated: bytes) -> bool:
        """Take note of the row digest here and at the proposer, before the record after `seq`; whether they are equal.
        Worker thread."""
        self.compared = Compared(seq, mine, stated)
        return mine == stated

    def doubt(self, seq: int, last: int) -> None:
        """Have it found out who is right: what another node proposed does not go with what there is after an entry.
        `last`: the last one that is here. Worker thread."""
        with self._lock:
            for known in [known for known in self.marks if known > last]:
                del self.marks[known]
        self._doubted(self, seq)

    def mark(self, seq: int, log: bytes, rows: bytes) -> None:
        """Keep in mind what the digests are here after an entry. Worker thread."""
        with self._lock:
            self.marks[seq] = log[:DIGEST_BYTES] + rows
            self.marks.move_to_end(seq)
            while len(self.marks) > MARKS:
                self.marks.popitem(last=False)

    def imaged(self, seq: int, image: bytes) -> None:
        """Keep in mind which image was made here of an entry. Any thread."""
        with self._lock:
            self.images[seq] = image
            while len(self.images) > IMAGES:
                self.images.popitem(last=False)

    def image_of(self, seq: int) -> bytes | None:
        """Which one; empty: none. None: it is not made yet. Any thread."""
        with self._lock:
            passed = any(known > seq for known in self.images)
            return self.images.get(seq, b"" if passed else None)

    def differs(self, seq: int) -> None:
        """Have it found out who is right about an image. Worker thread."""
        self._doubted(self, -seq)

    def known(self) -> dict[int, bytes]:
        """The marks as they are now; those of images by the negative seq. Any thread."""
        with self._lock:
            return self.marks | {-seq: image for seq, image in self.images.items() if image}

    def hold_back(self, level: int) -> None:
        """Forget what waits, which another node's log has as well, and keep what comes until `go_on`. The journal keeps
        everything after `level` meanwhile."""
        with self._lock:
            left = sum(len(each.item.body) for each in self._items)
            self._items.clear()
            self.marks.clear()
            self.images.clear()
            self.compared = None
            self._later = deque() if self._later is None else self._later
            self.unsynced = level + 1
        self.stir()
        self._freed(left)

    def go_on(self) -> None:
        """What was kept follows now."""
        with self._lock:
            self._items.extend(self._later or ())
            self._later = None
        self.stir()
        if self.first() is not None:
            self.call()

    def first(self) -> Delivered | None:
        """The next one; it stays until `done`."""
        with self._lock:
            return self._items[0] if self._items else None

    def done(self) -> None:
        """What `first` gave is in the files, or was superseded."""
        with self._lock:
            delivered = self._items.popleft()
        self._freed(len(delivered.item.body))

    def when_news(self, go_on: Callable[[], None], worth_it: Callable[[], bool]) -> None:
        """Call `go_on`, once, when something is here, or at `stir`; at once where it is not worth it to wait, which is
        asked within the lock."""
        with self._lock:
            if not self._items and worth_it():
                self._listening = go_on
                return
        go_on()

    def stir(self) -> None:
        """Let whoever waits look again."""
        with self._lock:
            told, self._listening = self._listening, None
        if told is not None:
            told()

    def unheard(self) -> None:
        """Nobody waits for what comes any more."""
        with self._lock:
            self._listening = None

    def waits_for(self, index: int) -> bool:
        """Whether a record up to this index is not in the files yet."""
        with self._lock:
            return bool(self._items) and self._items[0].index <= index

    def synced(self) -> None:
        """All that was taken is in synced files. Not while it is being taken."""
        with self._lock:
            self.unsynced = self._items[0].index if self._items else None

    @property
    def bytes(self) -> int:
        """Of what waits."""
        with self._lock:
            return sum(len(each.item.body) for each in self._items)

    def close(self) -> None:
        """The project is gone: nothing is taken any more."""
        with self._lock:
            self._closed = True
            left = sum(len(each.item.body) for each in self._items)
            left += sum(len(each.item.body) for each in self._later or ())
            self._items.clear()
            self._later = None
            self.unsynced = None
        self.stir()
        self._freed(left)
