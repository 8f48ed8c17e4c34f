"""How entries share a record of the cell's log (SPEC K50)."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from sharelite.cluster.outbox import AIM, MOST_IN_FLIGHT, Outbox, Ticket
from sharelite.cluster.payload import Item, pack, unpack
from sharelite.cluster.port import RECORD_LIMIT, Proposal
from sharelite.errors import Unavailable
from sharelite.sync.entry import PART
from tests.cells import MemoryPort


class Port(MemoryPort):
    """Takes what is proposed and settles it when it is told to."""

    def __init__(self) -> None:
        self.proposed: list[tuple[bytes, Future[Proposal]]] = []
        self.full = False

    def propose(self, payload: bytes) -> Future[Proposal]:
        if self.full:
            raise Unavailable("full")
        self.proposed.append((payload, Future()))
        return self.proposed[-1][1]


def ticket(body: bytes, project: str = "p") -> Ticket:
    return Ticket(Item(project, "e", b"t", 1, b"d", b"r", 2, "commits", 2, body), lambda: None)


def test_entries_that_wait_travel_together() -> None:  # K50
    port = Port()
    outbox, tickets = Outbox(port), [ticket(b"x", str(number)) for number in range(20)]
    for each in tickets:
        outbox.add([each])
    assert len(port.proposed) == 1
    port.proposed[0][1].set_result("committed")
    _, (payload, _) = port.proposed
    assert [item.project for item in unpack(payload)] == [str(number) for number in range(1, 20)]


def test_what_fills_a_record_does_not_wait_for_the_one_before() -> None:  # K50
    port = Port()
    outbox = Outbox(port)
    outbox.add([ticket(bytes(PART)) for _ in range(MOST_IN_FLIGHT + 2)])
    assert len(port.proposed) == MOST_IN_FLIGHT
    outbox.add([ticket(b"small")])
    for place in range(2):
        port.proposed[place][1].set_result("committed")
    assert len(port.proposed) == MOST_IN_FLIGHT + 2, "the small one goes when no large one is on its way"
    for _, future in port.proposed[2:]:
        future.set_result("committed")
    assert unpack(port.proposed[-1][0])[0].body == b"small"


def test_a_record_of_many_entries_stays_small() -> None:  # K50
    port = Port()
    outbox = Outbox(port)
    for _ in range(8):
        outbox.add([ticket(bytes(100_000))])
    port.proposed[0][1].set_result("committed")
    assert len(unpack(port.proposed[-1][0])) == 2 and len(port.proposed[-1][0]) <= AIM


def test_the_largest_part_fits_into_a_record() -> None:  # K52
    assert len(pack([ticket(bytes(PART + 64), "p" * 32).item])) <= RECORD_LIMIT


@pytest.mark.parametrize(("full", "fate"), [(True, "not_leader"), (False, "unknown")])
def test_a_ticket_learns_what_became_of_it(full: bool, fate: str) -> None:  # K53
    port, told = Port(), list[int]()
    port.full = full
    mine = Ticket(ticket(b"x").item, lambda: told.append(1))
    Outbox(port).add([mine])
    for _, future in port.proposed:
        future.set_exception(OSError("gone"))
    assert mine.fate == fate and told


def test_a_record_of_another_format_is_not_guessed_at() -> None:  # K50
    with pytest.raises(ValueError, match="format 9"):
        unpack(b"\x92\x09\x90")
