"""The websocket's messages (design: Wire, SPEC W): what clients may say, and the text of what they are told.

Pushes are read by `wire.decode_push`, commits are put into messages by `feed`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from ..errors import BadRequest
from ..model import MutationId, Refusal

PROTOCOL = 1
#: How a push begins, as most JSON libraries write it; so that the busiest message is read only once.
PUSH = ('{"type":"push"', '{"type": "push"')
PONG = '{"type":"pong"}'


class Message(Struct, frozen=True, tag_field="type"):
    """Anything that a client says."""


class Hello(Message, frozen=True, tag="hello"):
    """The first message. `cursor`: the version that the client has; null: what comes from now on."""

    protocol: int
    client: str
    cursor: int | None = None
    epoch: str | None = None
    contract: str | None = None
    token: str | None = None


class Push(Message, frozen=True, tag="push"):
    """A mutation; its parts are read elsewhere."""


class Presence(Message, frozen=True, tag="presence"):
    state: Raw


class Signal(Message, frozen=True, tag="signal"):
    topic: str
    data: Raw = Raw(b"null")


class Auth(Message, frozen=True, tag="auth"):
    token: str


class Ping(Message, frozen=True, tag="ping"):
    pass


NO_IMAGE = Raw(b"null")


class Welcome(Struct, frozen=True):
    """What a client learns when it is let in. `limits` in bytes, counts and rates per second."""

    project: str
    version: int
    epoch: str
    contract: Raw
    contract_hash: str
    limits: dict[str, int]
    client: str
    user: str
    role: str
    type: str = "welcome"
    protocol: int = PROTOCOL
    image: Raw = NO_IMAGE


_decode = msgspec.json.Decoder(Hello | Push | Presence | Signal | Auth | Ping).decode
_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode


def decode(text: str) -> Message:
    """One message. Raises BadRequest."""
    try:
        message: Message = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise BadRequest(f"not a message: {problem}") from None
    return message


def clean(raw: Raw) -> bytes:
    """Somebody's JSON, read and written again, so that what is relayed cannot break the message around it."""
    try:
        return _encode(_decode_any(raw))
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as problem:
        raise BadRequest(f"not JSON: {problem}") from None


def encode(value: Any) -> str:
    return _encode(value).decode()


def refused(id: MutationId, version: int, refusal: Refusal, retry_after: float | None = None) -> str:
    """`retry_after`, in seconds, only where nothing was judged and the same push may be sent again."""
    told: dict[str, Any] = {
        "type": "refused",
        "id": id,
        "version": version,
        "code": refusal.code,
        "message": refusal.message,
        "errors": refusal.errors,
    }
    return encode(told if retry_after is None else {**told, "retry_after": retry_after})


def settled(id: MutationId, version: int) -> str:
    return encode({"type": "settled", "id": id, "version": version})


def reset(reason: str, image: Raw = NO_IMAGE) -> str:
    """The feed ends here. `image`: where to load from; null: the project's `/db`."""
    return encode({"type": "reset", "reason": reason, "image": image})


def signal(sender: str, topic: str, data: bytes) -> str:
    return encode({"type": "signal", "from": sender, "topic": topic, "data": Raw(data)})


def presence(peers: dict[str, Raw | None], users: dict[str, str]) -> str:
    """What changed: the state of each peer by client id (null: gone), and who is behind it."""
    return encode({"type": "presence", "peers": peers, "users": users})


def goodbye(code: str, message: str, retry_after: float | None) -> str:
    return encode({"type": "goodbye", "code": code, "message": message, "retry_after": retry_after})
