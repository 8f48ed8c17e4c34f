"""What a session asks of its shell, and the ways in which it ends."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from ..errors import BadRequest, ShareliteError
from ..model import Mutation, MutationId
from .audience import Audience
from .feed import Feed

#: Websocket close codes (RFC 6455 7.4.1, IANA).
NORMAL, UNSUPPORTED, POLICY, TOO_BIG, INTERNAL, RESTART, TRY_LATER = 1000, 1003, 1008, 1009, 1011, 1012, 1013
CLOSE_CODES = {
    "too_large": TOO_BIG,
    "not_text": UNSUPPORTED,
    "rate_limited": TRY_LATER,
    "unavailable": TRY_LATER,
    "restart": RESTART,
    "internal": INTERNAL,
}


class NotText(BadRequest):
    code = "not_text"


class WrongProtocol(BadRequest):
    """Server and client are of different generations; one of them has to be renewed."""

    code = "protocol"


class OtherUser(ShareliteError):
    """Another user would inherit the client id and what it is bound to; he has to say hello himself."""

    code = "forbidden"

    def __str__(self) -> str:
        return "a renewed token has to be of the same user"


class Authenticate(Struct, frozen=True):
    """Find out whose token this is; then `greet`, `renew` or `dismiss`. None: the client has none."""

    token: str | None


class Admit(Struct, frozen=True, gc=False):
    """Hand this to the project, and its answer to `answer` with the same `id` and `seen`."""

    mutation: Mutation
    id: MutationId
    #: The version that the client had been sent when it pushed.
    seen: int


class News(Struct, frozen=True):
    """The others of the audience are to be woken."""


class ReadLog(Struct, frozen=True):
    """Read commits after this version from the log and hand them to `log_read`, or the error to `lost`."""

    after: int


class Close(Struct, frozen=True):
    """Close the socket; nothing follows."""

    code: int
    reason: str


Action = Authenticate | Admit | News
State = Literal["greeting", "live", "adrift", "closing", "closed"]


class Greeting(Struct, frozen=True):
    """What the session needs of its project. `expires`: on the clock of `tick`."""

    project: str
    epoch: str
    contract: Raw
    contract_hash: str
    feed: Feed
    audience: Audience
    user: str
    role: str
    expires: float | None
    image: Raw = Raw(b"null")


def close_code(code: str) -> int:
    """The websocket's close code for the code of a goodbye."""
    return CLOSE_CODES.get(code, POLICY)
