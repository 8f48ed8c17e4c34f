"""What a Raft process must know to begin: sent to it over the pipe, so that no key stands in a command line."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from ...errors import ShareliteError
from ..port import Member
from .guard import Pace
from .journal import Identity, Sizes
from .seal import KEY


class SetupInvalid(ShareliteError):
    """A cell's settings that cannot work; `why` says which and what to do."""

    code = "setup_invalid"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return self.why


class Setup(Struct, frozen=True):
    """One node of a cell.

    `founders`: the members of a cell that begins, the same list on each of them; empty for a node that will be added
    to one that runs. Once there is a journal it says who the members are. `bind`: the `host:port` to listen on, where
    it is not the member's own address. `key`: 32 bytes that only nodes of this cell have.
    """

    folder: Path
    cluster: str
    me: Member
    founders: tuple[Member, ...]
    key: bytes
    bind: str = ""
    pace: Pace = Pace()
    sizes: Sizes = Sizes()

    def __repr__(self) -> str:
        """Without the key, wherever it may be printed."""
        return f"Setup({self.me.id} of {self.cluster})"

    def check(self) -> None:
        """Raises SetupInvalid."""
        if len(self.key) != KEY:
            raise SetupInvalid(f"the key of a cell has {KEY} bytes, this one has {len(self.key)}")
        for address in [self.bind or self.me.address, *(member.address for member in self.founders)]:
            split(address)
        if self.founders and self.me not in self.founders:
            raise SetupInvalid(f"node {self.me.node} is not among the members that begin this cell")
        for field in ("node", "address"):
            values = [getattr(member, field) for member in self.founders]
            if len(set(values)) != len(values):
                raise SetupInvalid(f"two members have the same {field}")

    @property
    def identity(self) -> Identity:
        return Identity(self.cluster, self.me.node, self.me.incarnation)

    def listen(self) -> tuple[str, int]:
        return split(self.bind or self.me.address)

    def pack(self) -> bytes:
        return msgspec.msgpack.encode(self, enc_hook=str)

    @classmethod
    def unpack(cls, packed: bytes) -> Setup:
        return msgspec.msgpack.decode(packed, type=cls, dec_hook=lambda kind, found: kind(found))


def split(address: str) -> tuple[str, int]:
    """`host:port` in two. Raises SetupInvalid."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise SetupInvalid(f"{address!r} is not an address: host:port is needed, with a host of its own")
    return host.strip("[]"), int(port)
