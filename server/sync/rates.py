"""Rates: how often somebody may do something."""

from __future__ import annotations


class Bucket:
    """A rate with room for bursts. Whoever goes on beyond it sinks, and is to be sent away at the bottom."""

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: int, burst: int, now: float) -> None:
        self._rate, self._burst, self._level, self._then = rate, float(burst), float(burst), now

    def take(self, now: float) -> bool:
        self._level = min(self._burst, self._level + (now - self._then) * self._rate) - 1.0
        self._then = now
        return self._level >= 0.0

    @property
    def sunk(self) -> bool:
        return self._level < -self._burst
