"""What a server counts, in its own registry, so that two servers in one process do not meet.

No label has as many values as there are projects, users or addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = all = CollectorRegistry()
        self.requests = Counter(
            "sharelite_requests", "HTTP requests answered", ("method", "route", "status"), registry=all
        )
        self.request_seconds = Histogram(
            "sharelite_request_seconds", "Time to answer an HTTP request", ("route",), buckets=SECONDS, registry=all
        )
        self.sockets = Gauge("sharelite_sockets", "Open websockets", registry=all)
        self.watched = Gauge("sharelite_projects_watched", "Projects with at least one websocket", registry=all)
        self.projects = Gauge(
            "sharelite_projects", "Projects by state: opening, open, closing, failed", ("state",), registry=all
        )
        self.stopped = Counter(
            "sharelite_projects_stopped", "Projects that stopped because a file could not be used", registry=all
        )
        self.goodbyes = Counter(
            "sharelite_goodbyes", "Websockets that the server ended, by reason", ("code",), registry=all
        )
        self.mutations = Counter(
            "sharelite_mutations", "Answers: committed, settled or a code of refusal", ("answer",), registry=all
        )
        self.passes = Histogram(
            "sharelite_fanout_seconds", "Time to serve every websocket of a project once", buckets=SECONDS, registry=all
        )
        self._cell: dict[str, Gauge] = {}
        self.committed = self.mutations.labels("committed")
        self.settled = self.mutations.labels("settled")

    def cell(self, leading: bool, term: int, delivered: int, waiting: int, differing: int) -> None:
        """How this node of a cell is now."""
        figures = {
            "leading": ("Whether this node leads its cell", leading),
            "term": ("The term of the cell's leader", term),
            "delivered": ("The newest record of the cell that this node has heard of", delivered),
            "waiting_bytes": ("What was delivered and is not in the files yet", waiting),
            "differing_projects": ("Projects whose rows here are not those of the cell", differing),
        }
        for name, (text, value) in figures.items():
            if name not in self._cell:
                self._cell[name] = Gauge(f"sharelite_cell_{name}", text, registry=self._registry)
            self._cell[name].set(value)

    def count(self, projects: Mapping[Any, int]) -> None:
        """How many projects are in each state."""
        for state, number in projects.items():
            self.projects.labels(state).set(number)

    def page(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)
