"""Addresses of images of private projects: whoever has one may read, until it expires (SPEC I).

A signature is `<expiry>.<hmac>`, over the project and the expiry and not over the version: who was let in may look at
every version of the project meanwhile, and a cache that leaves the signature out of its key serves the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any

from ..errors import Damaged, ShareliteError
from .files import Files
from .manifest import Image, described

KEY_BYTES = 32
#: An address is good for at least this long, and to the end of the hour: all who ask within one hour get the same one,
#: which is worth a lot to caches.
LIFE_SECONDS = 12 * 3600
STEP_SECONDS = 3600
LONGEST = 80


class SignatureInvalid(ShareliteError):
    """Expired, altered, or of another project."""

    code = "forbidden"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return f"{self.why}; GET /v1/projects/<id>/image gives a new address"


class Signer:
    """The key of a node, and what is signed with it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, secret: bytes) -> Signer:
        """The same on every node of a cell, from the secret that they share."""
        return cls(hmac.digest(secret, b"sharelite images", hashlib.sha256))

    def sign(self, project: str, now: float) -> str:
        """A signature for the images of a project."""
        expiry = (int(now + LIFE_SECONDS) // STEP_SECONDS + 1) * STEP_SECONDS
        return f"{expiry}.{self._mac(project, expiry)}"

    def check(self, project: str, signature: str, now: float) -> int:
        """Until when it is good (seconds since 1970). Raises SignatureInvalid."""
        expiry, _, mac = signature[:LONGEST].partition(".")
        known = expiry.isascii() and expiry.isdecimal() and len(expiry) <= 12
        # Compared in any case, and in constant time: what is wrong with it is not to be measured (attack A20).
        right = hmac.compare_digest(self._mac(project, int(expiry) if known else 0).encode(), mac.encode())
        if not (right and known and len(signature) <= LONGEST):
            raise SignatureInvalid("the signature in this address is not one of ours")
        if int(expiry) <= now:
            raise SignatureInvalid("this address has expired")
        return int(expiry)

    def described(self, image: Image, public: bool, now: float, root: str = "") -> dict[str, Any]:
        """An image with an address at which it can be read: a bare one where anybody may."""
        project = image.manifest.project
        signature = "" if public else f"?s={self.sign(project, now)}"
        return described(image, f"{root}/v1/images/{project}/{image.file}{signature}")

    def _mac(self, project: str, expiry: int) -> str:
        message = f"sharelite image\n{project}\n{expiry}".encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, message, hashlib.sha256)).decode().rstrip("=")


def signer(files: Files, data: Path) -> Signer:
    """With the key of a data directory, made at the first start. Raises Damaged for a file that is none."""
    path = data / "images.key"
    key = files.read(path)
    if key is None:
        key = secrets.token_bytes(KEY_BYTES)
        files.write(path, key)
        os.chmod(path, 0o600)
    if len(key) != KEY_BYTES:
        raise Damaged(
            str(path), f"is no key: it has {len(key)} bytes, not {KEY_BYTES}; once it is removed a new one is made"
        )
    return Signer(key)
