"""One websocket of SQL (SPEC Q), asked one thing after the other, and what is prepared on it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from ssl import SSLContext
from typing import Any, NamedTuple

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.protocol import State
from websockets.sync.client import connect

from .errors import DataError, InternalError, refusal, untrusted
from .values import decode_rows

PROTOCOL = 1
#: Codes of a goodbye after which another node, or another moment, would say the same.
FINAL = frozenset({"unauthenticated", "forbidden", "not_found", "bad_request"})


class Lost(Exception):
    """The socket ended, or never came to be: whether the last request was heard is not known."""


class Prepared(NamedTuple):
    """A statement that is kept on the server: its number, and what it wants."""

    number: int
    parameters: int
    names: Sequence[str] | None
    reads: bool


class Wire:
    """From the handshake to the end. Whoever calls holds a lock."""

    def __init__(
        self, host: str, url: str, token: str | None, timeout: float, kept: int, context: SSLContext | None = None
    ) -> None:
        """Connects and says hello. Raises Lost, Untrusted, and what `refusal` gives where the server will not have it.

        `timeout`: seconds for each of the two. `kept`: statements that stay prepared.
        """
        self.host, self._held = host, ExitStack()
        try:
            dialled = connect(url, open_timeout=timeout, compression=None, max_size=None, close_timeout=1, ssl=context)
            self._socket = self._held.enter_context(dialled)
        except (OSError, InvalidHandshake, ConnectionClosed) as problem:
            raise untrusted(host, problem) or Lost(str(problem)) from problem
        self._kept, self._n = kept, 0
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()
        self._closed = False
        hello = {"type": "hello", "protocol": PROTOCOL} | ({} if token is None else {"token": token})
        self.welcome = self._exchange(msgspec.json.encode(hello), timeout)

    @property
    def alive(self) -> bool:
        """Whether it is open, as far as is known here."""
        return not self._closed and self._socket.state is State.OPEN

    @property
    def most(self) -> int:
        """Bytes that one message may have."""
        return int(self.welcome["limits"]["message"])

    def ask(self, type: str, **members: Any) -> dict[str, Any]:
        """The answer, its rows decoded. Raises Lost, and what `refusal` gives."""
        self._n += 1
        asked = msgspec.json.encode({"type": type, "n": self._n, **members})
        if len(asked) > self.most:
            limit = f"the limit is {self.most:,}; larger values go by POST /v1/projects/.../sql"
            raise DataError(f"the request has {len(asked):,} bytes, {limit}", "too_large")
        message = self._exchange(asked)
        if message.get("n") != self._n:
            self.close()
            raise InternalError(f"an answer to request {message.get('n')} came, {self._n} was asked")
        if message["type"] == "error":
            raise refusal(message)
        return message

    def prepare(self, sql: str, seen: int = 0) -> Prepared:
        """Prepared now or before; the one that was not used for longest goes when there are too many. `seen`: the
        version that it has to fit to at least."""
        if (found := self._prepared.get(sql)) is not None:
            self._prepared.move_to_end(sql)
            return found
        if len(self._prepared) >= self._kept:
            _, old = self._prepared.popitem(last=False)
            self.ask("forget", prepared=old.number)
        answer = self.ask("prepare", sql=sql, version=seen)
        made = Prepared(answer["prepared"], answer["parameters"], answer["names"], answer["reads"])
        self._prepared[sql] = made
        return made

    def close(self) -> None:
        self._closed = True
        self._held.close()

    def _exchange(self, message: bytes, timeout: float | None = None) -> dict[str, Any]:
        before: dict[int, list[Any]] = {}
        try:
            self._socket.send(message, text=True)
            while (answer := self._hear(timeout))["type"] == "rows":
                before.setdefault(answer["statement"], []).extend(decode_rows(answer["rows"]))
        except (ConnectionClosed, OSError, EOFError) as problem:
            self.close()
            raise Lost(str(problem)) from problem
        except BaseException:
            self.close()  # an answer that nobody waits for any more would be taken for that of the next request
            raise
        for place, result in enumerate(answer.get("results", ())):
            if "rows" in result:
                result["rows"] = before.get(place, []) + decode_rows(result["rows"])
        return answer

    def _hear(self, timeout: float | None) -> dict[str, Any]:
        message: dict[str, Any] = msgspec.json.decode(self._socket.recv(timeout, decode=False))
        if message["type"] == "goodbye":
            if message["code"] in FINAL:
                raise refusal({"error": message})
            raise ConnectionResetError(f"the server said goodbye: {message['message']}")
        return message
