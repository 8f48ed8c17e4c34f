"""The manifest of an image: which chunks it is made of, in order, and which entry it shows."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from msgspec import Struct

from ..errors import Damaged

FORMAT = 1
#: Bytes of a chunk: sixteen pages.
CHUNK = 64 << 10
DIGEST_BYTES = 32
NAME = re.compile(r"([0-9a-f]{16})-([0-9]{1,19})-([0-9a-f]{64})\Z")


class Manifest(Struct, frozen=True):
    """One image. `chunks`: the SHA-256 of each 64 KiB piece, one behind the other; the last piece may be shorter.

    `at`: milliseconds since 1970, by the leader's clock.
    """

    format: int
    project: str
    epoch: str
    version: int
    seq: int
    at: int
    size: int
    page_size: int
    chunks: bytes

    @property
    def hash(self) -> str:
        """The hash of the image: SHA-256 over its chunk hashes in order."""
        return hashlib.sha256(self.chunks).hexdigest()

    def chunk(self, index: int) -> bytes:
        """The SHA-256 of one chunk."""
        return self.chunks[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]

    def count(self) -> int:
        return len(self.chunks) // DIGEST_BYTES

    def length(self, index: int) -> int:
        """Bytes of one chunk."""
        return min(CHUNK, self.size - index * CHUNK)


class Image(Struct, frozen=True):
    """A manifest as it is served: with its hash and the name of its file worked out once."""

    manifest: Manifest
    hash: str

    @property
    def file(self) -> str:
        """The last part of its address."""
        return f"{self.manifest.version}-{self.hash}.db"


class Name(Struct, frozen=True, order=True):
    """What the name of a manifest's file says, so that finding one reads no other. Ordered by seq."""

    seq: int
    version: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq:016x}-{self.version}-{self.hash}"


def name_of(image: Image) -> Name:
    return Name(image.manifest.seq, image.manifest.version, image.hash)


def parse_name(text: str) -> Name | None:
    """None for the name of something else."""
    match = NAME.match(text)
    return None if match is None else Name(int(match[1], 16), int(match[2]), match[3])


def encode(manifest: Manifest) -> bytes:
    """The bytes of a manifest behind their own SHA-256."""
    body = msgspec.msgpack.encode(manifest)
    return hashlib.sha256(body).digest() + body


def decode(content: bytes, path: str) -> Manifest:
    """Raises Damaged for what is not exactly what was written."""
    body = content[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != content[:DIGEST_BYTES]:
        raise Damaged(path, "the manifest of an image is not as it was written")
    try:
        manifest = msgspec.msgpack.decode(body, type=Manifest)
    except msgspec.DecodeError as problem:
        raise Damaged(path, f"is no manifest of an image: {problem}") from None
    if manifest.format != FORMAT:
        raise Damaged(path, f"has format {manifest.format}; this release reads format {FORMAT}")
    return manifest


def described(image: Image, url: str) -> dict[str, Any]:
    """An image as `/image` and `welcome` tell it (SPEC I)."""
    manifest = image.manifest
    return {
        "project": manifest.project,
        "epoch": manifest.epoch,
        "version": manifest.version,
        "seq": manifest.seq,
        "url": url,
        "size": manifest.size,
        "page_size": manifest.page_size,
        "hash": image.hash,
    }
