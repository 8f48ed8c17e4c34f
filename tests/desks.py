"""A connection for SQL, as a driver has one: for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.running import RunningServer
from tests.serving import PATIENCE, Serving


class Refusal(Exception):
    """An error that was answered: its code, and what became of the transaction."""

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__(message["error"]["code"], message["error"]["message"])
        self.code, self.message = message["error"]["code"], message["error"]["message"]
        self.transaction = message.get("transaction")
        self.errors = message["error"]["errors"]


class Desk:
    """One websocket of SQL."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self._n = socket, 0
        self.welcome: dict[str, Any] = {}

    def send(self, type: str, **members: Any) -> None:
        self._n += 1
        self.socket.send(json.dumps({"type": type, "n": self._n, **members}))

    def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(PATIENCE))
        return message

    def ask(self, type: str, **members: Any) -> dict[str, Any]:
        """The answer, with the rows that came before it. Raises Refusal."""
        self.send(type, **members)
        before: dict[int, list[Any]] = {}
        while (message := self.hear())["type"] == "rows":
            before.setdefault(message["statement"], []).extend(message["rows"])
        assert message["n"] == self._n, message
        if message["type"] == "error":
            raise Refusal(message)
        for place, rows in before.items():
            message["results"][place]["rows"] = rows + message["results"][place]["rows"]
        return message

    def run(self, sql: str, *params: Any) -> list[Any]:
        """The rows of one statement."""
        rows: list[Any] = self.ask("sql", statements=[{"sql": sql, "params": params}])["results"][0]["rows"]
        return rows

    def begin(self, mode: str = "deferred") -> dict[str, Any]:
        return self.ask("begin", mode=mode)

    def commit(self, **more: Any) -> dict[str, Any]:
        return self.ask("commit", **more)

    def rollback(self) -> None:
        self.ask("rollback")


@contextmanager
def desk(server: Serving | RunningServer, project: str) -> Iterator[Desk]:
    """A connection that has been welcomed."""
    with connect(f"ws://127.0.0.1:{server.port}/v1/projects/{project}/sql", compression=None, max_size=None) as socket:
        opened = Desk(socket)
        token = {"token": server.token} if isinstance(server, Serving) and server.token else {}
        socket.send(json.dumps({"type": "hello", "protocol": 1, **token}))
        opened.welcome = opened.hear()
        assert opened.welcome["type"] == "welcome", opened.welcome
        yield opened
