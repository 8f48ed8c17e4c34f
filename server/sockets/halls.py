"""Presence and signals between the nodes of a cell: who is on a project is seen wherever he is connected (SPEC K63)."""

from __future__ import annotations

from typing import Any

from ..cluster.links import Links
from ..sync.audience import Outward
from .hall import Hall


class OtherHalls:
    """The other nodes, for the hall of this one. Nothing of it is kept or sent again: the newest state counts."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self.hall: Hall | None = None
        links.answer("presence", self._heard_presence)
        links.answer("signal", self._heard_signal)
        links.answer("who", self._heard_who)
        links.gone, links.back = self._gone, self._back

    def outward(self, project: str) -> Outward:
        self._links.tell_all("who", project)
        return _Outward(self._links, project)

    async def _heard_presence(self, node: str, content: Any) -> None:
        project, peers = content
        gathering = None if self.hall is None else self.hall.gathering(project)
        if gathering is not None:
            # Each is taken in, whatever the ones before it were worth.
            if any([gathering.audience.show_far(node, *peer) for peer in peers]):
                gathering.stir()

    async def _heard_signal(self, node: str, content: Any) -> None:
        project, client, topic, data = content
        gathering = None if self.hall is None else self.hall.gathering(project)
        if gathering is not None:
            gathering.audience.signal_far(client, topic, data)
            gathering.stir()

    async def _heard_who(self, node: str, project: Any) -> None:
        gathering = None if self.hall is None else self.hall.gathering(project)
        if gathering is not None and (present := gathering.audience.present()):
            self._links.tell(node, "presence", [project, [list(peer) for peer in present]])

    def _gone(self, node: str) -> None:
        for gathering in self.hall.gatherings() if self.hall else ():
            if gathering.audience.lose(node):
                gathering.stir()

    def _back(self, node: str) -> None:
        """Both sides of a link that was cut tell each other anew."""
        for gathering in self.hall.gatherings() if self.hall else ():
            self._links.tell(node, "who", gathering.project.id)
            if present := gathering.audience.present():
                self._links.tell(node, "presence", [gathering.project.id, [list(peer) for peer in present]])


class _Outward:
    def __init__(self, links: Links, project: str) -> None:
        self._links, self._project = links, project

    def presence(self, client: str, user: str, state: bytes | None) -> None:
        self._links.tell_all("presence", [self._project, [[client, user, state]]])

    def signal(self, client: str, topic: str, data: bytes) -> None:
        self._links.tell_all("signal", [self._project, client, topic, data])
