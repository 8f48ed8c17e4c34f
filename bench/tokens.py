"""How long a forged token keeps the server (attack A16 of the reliability page): the slowest of all kinds."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric import rsa

from sharelite.errors import Unauthenticated
from sharelite.tokens import Keyring
from tests.test_auth import HS256, forged, jwks, keyring

from .figure import Bench, Figure

TRIES = 50


def measure(bench: Bench) -> list[Figure]:
    folder = bench.data()
    folder.mkdir()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "login.json").write_text(json.dumps(jwks(key)))
    ring = keyring(folder, HS256, {"alg": "RS256", "jwks": "login.json"})
    runs = tuple(slowest(ring, forged(key).values()) for _ in range(bench.runs))
    return [Figure("forged token refused, the slowest kind", "ms", runs, at_most=5)]


def slowest(ring: Keyring, tokens: Iterable[str]) -> float:
    return max(statistics.median(asyncio.run(refusals(ring, token))) for token in tokens)


async def refusals(ring: Keyring, token: str) -> list[float]:
    """Milliseconds of each refusal."""
    found = []
    for _ in range(TRIES):
        begin = time.perf_counter()
        try:
            await ring.identify(token)
        except Unauthenticated:
            found.append((time.perf_counter() - begin) * 1000)
    assert len(found) == TRIES, "a forged token was let in"
    return found
