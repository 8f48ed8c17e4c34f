"""What the leader of a cell does for another node: a request as HTTP knows it, over the cell's own links (SPEC K56).

Who asks is found out at the first node; the leader takes its word, since no client can reach these links.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .auth import Identity
from .cluster.forwarding import Passed
from .cluster.links import Told

if TYPE_CHECKING:
    from .cellnode import CellNode

Header = tuple[bytes, bytes]
#: A header of nodes, which no client can have handed on: the request is one of a websocket of SQL.
OF_SOCKET = "sharelite-of-socket"
JSON: Header = (b"content-type", b"application/json")


async def hand_on(
    node: CellNode,
    identity: Identity,
    method: str,
    path: str,
    body: bytes = b"",
    query: bytes = b"",
    headers: Iterable[Header] = (JSON,),
) -> tuple[int, int, list[Header], bytes]:
    """The index of the cell behind what it did, status, headers and body. Raises NotLeading (nothing happened),
    UnknownOutcome, Passed."""
    grants = [list(grant) for grant in identity.grants]
    content = [method, path, query, [list(each) for each in headers], body, [identity.user, grants, identity.expires]]
    try:
        index, status, found, answer = await node.ask_leader("http", content)
    except Told as told:
        raise Passed(told) from None
    return index, status, [(name, value) for name, value in found], answer
