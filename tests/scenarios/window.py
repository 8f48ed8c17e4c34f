"""One connection that says exactly what a test wants said, well-formed or not, and reads what comes back."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.running import PATIENCE, RunningServer

ANSWERS = {"settled", "refused", "goodbye"}


class Window:
    """A greeted client. `push` takes changes as Python values or as raw JSON text."""

    def __init__(self, server: RunningServer, project: str, token: str = "", client: str = "") -> None:
        self.client, self.counter = client or secrets.token_hex(16), 0
        address = f"ws://127.0.0.1:{server.port}/v1/projects/{project}/live"
        self._open = ExitStack()
        self.socket = self._open.enter_context(connect(address, max_size=None, compression=None))
        hello = {"type": "hello", "protocol": 1, "client": self.client, "cursor": None}
        self.say({**hello, "token": token} if token else hello)
        self.welcome = self.hear()

    def __enter__(self) -> Window:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def say(self, message: object) -> None:
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def hear(self) -> Any:
        """The next message."""
        return json.loads(self.socket.recv(PATIENCE))

    def push(self, changes: object, counter: int | None = None, **more: object) -> dict[str, Any]:
        """Sends a push and returns its answer: the message with its commit, `settled`, `refused` or `goodbye`."""
        if counter is None:
            counter = self.counter = self.counter + 1
        text = changes if isinstance(changes, str) else json.dumps(changes)
        rest = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in more.items())
        self.say(f'{{"type":"push","id":["{self.client}",{counter}],"changes":{text}{rest}}}')
        return self.answer(counter)

    def answer(self, counter: int) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = self.hear()
            mine = [self.client, counter]
            if message["type"] == "commits" and any(commit.get("id") == mine for commit in message["commits"]):
                return message
            if message["type"] in ANSWERS and message.get("id", mine) == mine:
                return message

    def close_code(self) -> int:
        """Reads to the end; the code with which the server closed."""
        try:
            while True:
                self.socket.recv(PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
