"""Tokens: whose they are, and making them (SPEC P).

A token is a JWT; the server's own key record fixes the algorithm, and `kid` does no more than pick a record. Every
fault of a token is the same `Unauthenticated`: a forger learns nothing.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import httpx
import jwt
from msgspec import Struct
from starlette.requests import HTTPConnection

from .auth import ANONYMOUS, Identity, Role
from .errors import ShareliteError, Unauthenticated

logger = logging.getLogger(__name__)
LEEWAY = 30
LONGEST_TOKEN = 8 * 1024
#: How often a key set may be asked for a `kid` that it did not have.
REFRESH_SECONDS = 60.0
#: A key set is read anew when it is so old, so that a key that was withdrawn is not trusted for longer; and where that
#: does not succeed, its keys are trusted no more when it is so old.
LIFETIME_SECONDS = 600.0
LONGEST_SECONDS = 3600.0
#: What a key set may be used with; never a symmetric algorithm, whose key would be public.
KEY_SET_ALGORITHMS = ("RS256", "ES256", "PS256", "EdDSA")
#: All that reading a token or a key set can end in.
FAULTS = (
    jwt.PyJWTError, ValueError, TypeError, KeyError, ArithmeticError, RecursionError, OSError, httpx.HTTPError
)  # fmt: skip


class KeysInvalid(ShareliteError):
    """The key file cannot be used."""

    code = "keys_invalid"

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class Key(Struct, frozen=True):
    """A verification key with the only algorithm it is for. `signing` where this server can make tokens too."""

    algorithm: str
    verifying: Any
    audience: str | None = None
    issuer: str | None = None
    signing: Any = None

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token with a good signature, in its time, for this audience. Raises jwt.PyJWTError."""
        claims: dict[str, Any] = jwt.decode(
            token,
            self.verifying,
            algorithms=[self.algorithm],
            audience=self.audience,
            issuer=self.issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "sub"]},
        )
        return claims


class KeySet:
    """Keys of somebody's login, from a JWKS file or address that the operator named."""

    def __init__(self, source: Path | str, algorithm: str, audience: str | None, issuer: str | None) -> None:
        self._source, self._algorithm = source, algorithm
        self._audience, self._issuer = audience, issuer
        self._keys: dict[str, Key] = {}
        #: When it was asked for, and when the keys that are here came.
        self._asked = self._came = float("-inf")
        self._asking = asyncio.Lock()

    async def key(self, kid: str) -> Key | None:
        """Raises FAULTS where there is no key set to be had."""
        if self._lacks(kid):
            async with self._asking:  # who comes while the set is on its way waits for it
                if self._lacks(kid) and time.monotonic() - self._asked >= REFRESH_SECONDS:
                    await self._renew(kid)
        return self._keys.get(kid)

    def _lacks(self, kid: str) -> bool:
        return kid not in self._keys or time.monotonic() - self._came >= LIFETIME_SECONDS

    async def _renew(self, kid: str) -> None:
        self._asked = time.monotonic()
        try:
            self._keys = dict(self._read(await self._load()))
            self._came = self._asked
        except FAULTS as problem:
            if self._asked - self._came >= LONGEST_SECONDS:
                self._keys = {}
            if kid not in self._keys:
                raise
            logger.warning("a key set could not be read anew: %s", type(problem).__name__)

    async def _load(self) -> Any:
        if isinstance(self._source, Path):
            return json.loads(self._source.read_text())
        async with httpx.AsyncClient(timeout=5.0) as client:
            return (await client.get(self._source)).raise_for_status().json()

    def _read(self, document: Any) -> Iterable[tuple[str, Key]]:
        for entry in document["keys"]:
            fits = entry.get("use", "sig") == "sig" and entry.get("alg", self._algorithm) == self._algorithm
            if fits and isinstance(entry.get("kid"), str):
                key = jwt.PyJWK(entry, self._algorithm).key
                yield entry["kid"], Key(self._algorithm, key, self._audience, self._issuer)


class Keyring:
    """The keys of one server; call it to authenticate."""

    def __init__(self, keys: Mapping[str, Key], sets: tuple[KeySet, ...] = ()) -> None:
        self.keys, self._sets = keys, sets

    async def __call__(self, token: str | None, connection: HTTPConnection | None = None) -> Identity | None:
        return None if token is None else await self.identify(token)

    async def identify(self, token: str) -> Identity:
        """Whose token this is. Raises Unauthenticated, whatever is wrong."""
        try:
            header = _header(token)
            key = await self._key(header.get("kid"))
            if key is None or header.get("alg") != key.algorithm:
                raise Unauthenticated
            claims = key.claims(token)
            _json_without_twins(token.split(".")[1])
            return _identity(claims)
        except FAULTS as problem:
            # The name of the exception says enough; its text may quote the token.
            raise Unauthenticated from RuntimeError(type(problem).__name__)

    async def _key(self, kid: Any) -> Key | None:
        if kid is None:
            return next(iter(self.keys.values())) if len(self.keys) == 1 and not self._sets else None
        if not isinstance(kid, str):
            return None
        if kid in self.keys:
            return self.keys[kid]
        for each in self._sets:
            if key := await each.key(kid):
                return key
        return None


def _header(token: str) -> dict[str, Any]:
    """The header of a token short enough to look at, with nothing in it that brings its own key."""
    if len(token) > LONGEST_TOKEN or token.count(".") != 2:
        raise ValueError("not a token")
    header = _json_without_twins(token.split(".")[0])
    if not header.keys() <= {"alg", "typ", "kid", "cty"}:
        raise ValueError("a header that we do not honour")
    return header


def _json_without_twins(segment: str) -> dict[str, Any]:
    """One segment as an object; two members of one name could mean one thing to us and another to somebody else."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a member comes twice")
        return dict(pairs)

    value = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)), object_pairs_hook=once)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _identity(claims: Mapping[str, Any]) -> Identity:
    user = claims["sub"]
    if not isinstance(user, str) or not 0 < len(user) <= 128 or not user.isprintable() or user == ANONYMOUS:
        raise ValueError("sub")
    projects = claims.get("projects")
    if projects is None and "project" in claims:
        projects = {claims["project"]: claims.get("role", "reader")}
    if not isinstance(projects, dict):
        raise ValueError("projects")
    for pattern, role in projects.items():
        if not isinstance(pattern, str) or role not in get_args(Role):
            raise ValueError("projects")
    return Identity(user, tuple(projects.items()), float(claims["exp"]))


def load_keys(path: Path) -> Keyring:
    """Read a key file (`sharelite token --help` shows one). Raises KeysInvalid."""
    try:
        document = json.loads(path.read_text())
        entries = document["keys"]
        keys = {str(entry["kid"]): _record(entry, document) for entry in entries if "jwks" not in entry}
        sets = tuple(_key_set(entry, document, path.parent) for entry in entries if "jwks" in entry)
    except FileNotFoundError:
        raise KeysInvalid(path, "No such file; `sharelite token --create` makes one (see its --help)") from None
    except OSError as problem:
        raise KeysInvalid(path, problem.strerror or "cannot be read") from None
    except KeyError as problem:
        raise KeysInvalid(path, f"{problem.args[0]!r} is missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise KeysInvalid(path, f"not a JSON text ({problem}); `sharelite token --help` shows a key file") from None
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError) as problem:
        raise KeysInvalid(path, str(problem)) from None
    if len(keys) + len(sets) != len(entries) or not entries:
        raise KeysInvalid(path, "needs at least one key, and each kid once")
    return Keyring(keys, sets)


def _record(entry: Mapping[str, Any], document: Mapping[str, Any]) -> Key:
    algorithm = entry["alg"]
    audience, issuer = _expected(entry, document)
    if algorithm == "HS256":
        secret = base64.urlsafe_b64decode(entry["secret"] + "=" * (-len(entry["secret"]) % 4))
        if len(secret) < 32:
            raise ValueError(f"kid {entry['kid']!r}: the secret needs at least 32 bytes")
        return Key(algorithm, secret, audience, issuer, secret)
    if algorithm != "EdDSA":
        raise ValueError(f"kid {entry['kid']!r}: alg is HS256 or EdDSA, not {algorithm!r}")
    prepare = jwt.get_algorithm_by_name("EdDSA").prepare_key
    signing = prepare(entry["private"]) if "private" in entry else None
    verifying = signing.public_key() if signing is not None else prepare(entry["public"])
    return Key(algorithm, verifying, audience, issuer, signing)


def _key_set(entry: Mapping[str, Any], document: Mapping[str, Any], folder: Path) -> KeySet:
    source, algorithm = entry["jwks"], entry["alg"]
    if algorithm not in KEY_SET_ALGORITHMS:
        raise ValueError(f"jwks {source}: alg is one of {', '.join(KEY_SET_ALGORITHMS)}, not {algorithm!r}")
    address = urlsplit(source)
    if address.scheme == "http" and address.hostname not in ("127.0.0.1", "localhost"):
        raise ValueError(f"jwks {source}: needs https")
    place = source if address.scheme in ("http", "https") else folder / source
    return KeySet(place, algorithm, *_expected(entry, document))


def _expected(entry: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[str | None, str | None]:
    return entry.get("audience", document.get("audience")), entry.get("issuer", document.get("issuer"))


def issue(key: Key, kid: str, user: str, projects: Mapping[str, Role], seconds: int) -> str:
    """A token for a user, good from now for so long. The key must be able to sign."""
    now = int(time.time())
    claims: dict[str, Any] = {"sub": user, "iat": now, "exp": now + seconds, "projects": dict(projects)}
    claims |= {name: value for name, value in (("aud", key.audience), ("iss", key.issuer)) if value is not None}
    return jwt.encode(claims, key.signing, algorithm=key.algorithm, headers={"kid": kid})
