"""Who belongs to a cell, as it stands in the log: every change carries the whole new list."""

from __future__ import annotations

from collections.abc import Sequence

import msgpack

from ..port import Member, MembershipRefused

#: The first byte of entries: of a record, and of a list of members (PySyncObj's own number for changes of members).
RECORD = b"\xc8"
CONFIG = b"\x02"


def pack(members: Sequence[Member]) -> bytes:
    packed: bytes = msgpack.packb([[one.node, one.incarnation, one.address] for one in sorted(members)])
    return packed


def unpack(packed: bytes) -> tuple[Member, ...]:
    return tuple(Member(*one) for one in msgpack.unpackb(packed)) if packed else ()


def added(members: Sequence[Member], new: Member) -> list[Member]:
    """Raises MembershipRefused."""
    for one in members:
        if one == new:
            raise MembershipRefused(f"node {new.node} is a member already")
        if one.node == new.node:
            raise MembershipRefused(
                f"node {new.node} is a member as incarnation {one.incarnation}; remove that one first"
            )
        if one.address == new.address:
            raise MembershipRefused(f"{new.address} is the address of member {one.node}")
    return [*members, new]


def removed(members: Sequence[Member], node: str, leader: str) -> list[Member]:
    """Raises MembershipRefused."""
    if node == leader:
        raise MembershipRefused("the leader cannot be removed: transfer leadership first")
    rest = [one for one in members if one.node != node]
    if len(rest) == len(members):
        raise MembershipRefused(f"there is no member {node}")
    return rest
