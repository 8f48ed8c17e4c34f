"""Proof that both ends of a link know the key of the cell, and frames that only they can read or make (SPEC K57).

No I/O. Each side gives a nonce, so a recorded session is of no use; both names and the cell are in the proof, so it is
of no use elsewhere either.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import ShareliteError

VERSION = 1
NONCE = 32
#: Bytes of a message before it is known who speaks.
MOST_GREETING = 1024


class Stranger(ShareliteError):
    """Not of this cell: another key, another cell, a repeated session."""

    code = "stranger"

    def __str__(self) -> str:
        return "the other end is no node of this cell"


class Sealed:
    """Both directions of one link. Each frame counts, so none can be left out, repeated or exchanged."""

    def __init__(self, sending: bytes, receiving: bytes) -> None:
        self._sending, self._receiving = ChaCha20Poly1305(sending), ChaCha20Poly1305(receiving)
        self._sent = self._received = 0

    def seal(self, frame: bytes) -> bytes:
        self._sent += 1
        return self._sending.encrypt(self._sent.to_bytes(12, "big"), frame, None)

    def open(self, sealed: bytes) -> bytes:
        """Raises Stranger."""
        self._received += 1
        try:
            return self._receiving.decrypt(self._received.to_bytes(12, "big"), sealed, None)
        except InvalidTag:
            raise Stranger from None


class Caller:
    """The end that connects: send `greeting`, then what `prove` makes of the answer."""

    def __init__(self, key: bytes, cluster: str, me: str, to: str) -> None:
        self._key = key
        self._nonce = secrets.token_bytes(NONCE)
        self.greeting: bytes = msgpack.packb([VERSION, cluster, me, to, self._nonce])

    def prove(self, answer: bytes) -> bytes:
        """Raises Stranger where the other end does not know the key."""
        if len(answer) != 2 * NONCE:
            raise Stranger
        self._shared = self.greeting + answer[:NONCE]
        if not hmac.compare_digest(answer[NONCE:], _proof(self._key, b"called", self._shared)):
            raise Stranger
        return _proof(self._key, b"caller", self._shared)

    def sealed(self) -> Sealed:
        return Sealed(_key(self._key, b"to called", self._shared), _key(self._key, b"to caller", self._shared))


class Called:
    """The end that listens: send `answer` to a greeting, then `check` the proof. `caller`: who it is."""

    def __init__(self, key: bytes, cluster: str, me: str) -> None:
        self._key, self._cluster, self._me = key, cluster, me
        self.caller = ""

    def answer(self, greeting: bytes) -> bytes:
        """Raises Stranger for what is not meant for this node."""
        try:
            version, cluster, self.caller, to, nonce = msgpack.unpackb(greeting[:MOST_GREETING])
        except (ValueError, TypeError, msgpack.UnpackException):
            raise Stranger from None
        if version != VERSION or cluster != self._cluster or to != self._me or len(nonce) != NONCE:
            raise Stranger
        mine = secrets.token_bytes(NONCE)
        self._shared = greeting + mine
        return mine + _proof(self._key, b"called", self._shared)

    def check(self, proof: bytes) -> None:
        """Raises Stranger."""
        if not hmac.compare_digest(proof, _proof(self._key, b"caller", self._shared)):
            raise Stranger

    def sealed(self) -> Sealed:
        return Sealed(_key(self._key, b"to caller", self._shared), _key(self._key, b"to called", self._shared))


def _proof(key: bytes, who: bytes, shared: bytes) -> bytes:
    return hmac.digest(_key(key, b"proof " + who, shared), shared, "sha256")


def _key(key: bytes, purpose: bytes, shared: bytes) -> bytes:
    salt = hashlib.sha256(shared).digest()
    return HKDF(SHA256(), 32, salt, b"sharelite link " + purpose).derive(key)
