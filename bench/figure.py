"""A figure: what was measured, several times, and the gate it has to pass."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """`measured` has one value for each run; the median counts. Without a gate it is printed for comparison only."""

    name: str
    unit: str
    measured: tuple[float, ...]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.measured)

    @property
    def gate(self) -> str:
        if self.at_most is not None and self.at_most == self.at_least:
            return f"= {number(self.at_most)}"
        if self.at_most is not None:
            return f"<= {number(self.at_most)}"
        return "" if self.at_least is None else f">= {number(self.at_least)}"

    @property
    def verdict(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        low = self.at_most is None or self.median <= self.at_most
        high = self.at_least is None or self.median >= self.at_least
        return "ok" if low and high else "no"

    def cells(self) -> tuple[str, ...]:
        spread = f"{number(min(self.measured))} .. {number(max(self.measured))}" if len(self.measured) > 1 else ""
        return self.name, self.unit, self.gate, number(self.median), spread, self.verdict


HEADINGS = ("figure", "unit", "gate", "measured (median)", "all runs", "")


@dataclass(slots=True)
class Bench:
    """Where a benchmark may write, and how thorough it is."""

    folder: Path
    runs: int = 3
    seconds: float = 5.0
    history: int = 1_000_000
    projects: int = 10_000
    megabytes: int = 1_000
    #: What takes minutes in its real size takes it.
    full: bool = False
    _made: int = field(default=0, init=False)

    def data(self) -> Path:
        """A data directory that no other figure uses."""
        self._made += 1
        return self.folder / f"data{self._made}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
