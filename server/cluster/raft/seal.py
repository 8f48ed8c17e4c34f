"""How two nodes prove to each other that they belong to one cell, and seal what they say. Bytes in, bytes out.

    dialer  -> MAGIC, 32 random bytes
    answerer-> MAGIC, 32 random bytes            keys of this greeting: HKDF(cluster key, both randoms, cluster id)
    dialer  -> sealed [node, incarnation, address, id it wants to reach]
    answerer-> sealed [its own id]               keys of the session: the same, and both ids
    dialer  -> sealed messages                   one way: the other way is the other node's own connection

Sealed: AES-256-GCM, its length in front as associated data, its number in this direction as nonce. So a frame that is
repeated, left out, turned round, or taken from another session, node or cluster does not open; before one has opened
nothing is read but a length, and that is bounded.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ...errors import ShareliteError
from ..port import Member

MAGIC = b"SLRAFT\x00\x01"
RANDOM = 32
HELLO = len(MAGIC) + RANDOM
KEY = 32
LENGTH = 4
TAG = 16
#: Bytes of a sealed message: a batch, or a manifest, and what goes round it.
FRAME = 4 << 20
#: Bytes of a sealed greeting.
GREETING = 1024


class NotOurs(ShareliteError):
    """What came does not open with our key, here and now; `why` is for the log, the other side is told nothing."""

    code = "not_ours"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return f"connection refused: {self.why}"


class Sealing:
    """One direction of a session, at the end that sends."""

    def __init__(self, key: bytes) -> None:
        self._cipher, self._number = AESGCM(key), 0

    def seal(self, plain: bytes) -> bytes:
        length = (len(plain) + TAG).to_bytes(LENGTH, "big")
        sealed = self._cipher.encrypt(self._number.to_bytes(12, "big"), plain, length)
        self._number += 1
        return length + sealed


class Opening:
    """One direction of a session, at the end that receives. `limit`: bytes of a frame."""

    def __init__(self, key: bytes, limit: int) -> None:
        self._cipher, self._number, self._limit = AESGCM(key), 0, limit

    def take(self, buffer: bytearray) -> bytes | None:
        """The next message, taken off the front of the buffer; None while it has not come whole. Raises NotOurs."""
        if len(buffer) < LENGTH:
            return None
        length = int.from_bytes(buffer[:LENGTH], "big")
        if not TAG <= length <= self._limit:
            raise NotOurs(f"a frame of {length:,} bytes")
        if len(buffer) < LENGTH + length:
            return None
        head, sealed = bytes(buffer[:LENGTH]), bytes(buffer[LENGTH : LENGTH + length])
        try:
            plain = self._cipher.decrypt(self._number.to_bytes(12, "big"), sealed, head)
        except InvalidTag:
            raise NotOurs("a frame that does not open") from None
        del buffer[: LENGTH + length]
        self._number += 1
        return plain


class Secrets(NamedTuple):
    """What a node knows: the cell's key and id, and who it is."""

    key: bytes
    cluster: str
    me: Member

    def __repr__(self) -> str:
        """Without the key, wherever it may be printed."""
        return f"Secrets({self.me.id} of {self.cluster})"


class Dialer:
    """The greeting at the end that dials. `hello` goes out first; then feed it what comes."""

    def __init__(self, known: Secrets, wanted: str) -> None:
        self._known, self._wanted = known, wanted
        self._mine = secrets.token_bytes(RANDOM)
        self._back: Opening | None = None
        self._salt = b""
        self.hello = MAGIC + self._mine
        self.session: Sealing | None = None

    def feed(self, buffer: bytearray) -> bytes:
        """What to send now; `session` is set when the other has proved itself. Raises NotOurs."""
        answer = b""
        if self._back is None:
            theirs = _hello(buffer)
            if theirs is None:
                return answer
            self._salt = self._mine + theirs
            forth, back = _keys(self._known, self._salt)
            self._back = Opening(back, GREETING)
            me = self._known.me
            answer = Sealing(forth).seal(msgpack.packb([me.node, me.incarnation, me.address, self._wanted]))
        found = self._back.take(buffer)
        if found is not None:
            if found != self._wanted.encode():
                raise NotOurs(f"{self._wanted} was dialled, another node answered")
            forth, _ = _keys(self._known, self._salt, self._known.me.id, self._wanted)
            self.session = Sealing(forth)
        return answer


class Answerer:
    """The greeting at the end that is dialled. `guest` and `session` are set when the other has proved itself."""

    def __init__(self, known: Secrets) -> None:
        self._known = known
        self._forth: Opening | None = None
        self._back: Sealing | None = None
        self._salt = b""
        self.guest: Member | None = None
        self.session: Opening | None = None

    def feed(self, buffer: bytearray) -> bytes:
        """What to send now. Raises NotOurs."""
        answer = b""
        if self._forth is None:
            theirs = _hello(buffer)
            if theirs is None:
                return answer
            mine = secrets.token_bytes(RANDOM)
            self._salt = theirs + mine
            forth, back = _keys(self._known, self._salt)
            self._forth, self._back = Opening(forth, GREETING), Sealing(back)
            answer = MAGIC + mine
        found = self._forth.take(buffer)
        return answer if found is None else answer + self._meet(found)

    def _meet(self, found: bytes) -> bytes:
        me = self._known.me.id
        node, incarnation, address, wanted = msgpack.unpackb(found)
        guest = Member(node, incarnation, address)
        if wanted != me or guest.node == self._known.me.node:
            raise NotOurs(f"{guest.id} wants {wanted}, this is {me}")
        forth, _ = _keys(self._known, self._salt, guest.id, me)
        self.guest, self.session = guest, Opening(forth, FRAME)
        assert self._back is not None
        return self._back.seal(me.encode())


def _hello(buffer: bytearray) -> bytes | None:
    """The other's random bytes; None while they have not all come. The first wrong byte is one too many."""
    head = buffer[: len(MAGIC)]
    if head != MAGIC[: len(head)]:
        raise NotOurs("a stranger's first words")
    if len(buffer) < HELLO:
        return None
    theirs = bytes(buffer[len(MAGIC) : HELLO])
    del buffer[:HELLO]
    return theirs


def _keys(known: Secrets, salt: bytes, *ids: str) -> tuple[bytes, bytes]:
    """One key for each direction."""
    about = msgpack.packb(["sharelite raft 1", known.cluster, *ids])
    found = HKDF(SHA256(), 2 * KEY, salt, about).derive(known.key)
    return found[:KEY], found[KEY:]
