"""A server in a thread of this process, on a port of its own: for tests that want its objects at hand."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvloop
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sharelite.app import Sharelite, create_app
from sharelite.commands.listening import Server, configured
from sharelite.commands.serve import bound

PATIENCE = 60.0
TEXT = {"type": "string"}
NOTES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "note": {
            "type": "array",
            "items": {"type": "object", "required": ["id"], "properties": {"id": TEXT, "text": TEXT}},
        }
    },
}


class Serving:
    """From the start of a server to its end. `http` asks it; `open` connects a websocket that has been welcomed."""

    def __init__(self, data: Path, app: Sharelite | None = None, token: str = "", **options: Any) -> None:
        self.app = app or create_app(data, **options)
        self._listener = bound("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="server")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        if self._problem is not None:
            self._thread.join(PATIENCE)
            self._listener.close()
            self.http.close()
            raise self._problem
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def project(self, name: str = "") -> str:
        """A new project of notes."""
        answer = self.http.post("/v1/projects", json={"name": name or secrets.token_hex(8), "contract": NOTES})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def address(self, project: str) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/projects/{project}/live"

    @contextmanager
    def open(self, project: str, token: str = "", **hello: Any) -> Iterator[Talk]:
        """A websocket that has been answered its hello."""
        with connect(self.address(project), compression=None, max_size=None) as socket:
            talk = Talk(socket)
            members = {"protocol": 1, "client": talk.client, "cursor": None, **hello}
            token = token or self.token
            talk.say("hello", **members, **({"token": token} if token else {}))
            talk.welcome = talk.hear()
            talk.client = members["client"]
            yield talk

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as problem:
            self._problem = problem
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with self.app.running():
            self._server = Server(configured(self.app, lifespan="off"), self._ready.set, self.app.farewell)
            await self._server.serve(sockets=[self._listener])


class Talk:
    """One websocket, message by message."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.client, self.counter = socket, secrets.token_hex(16), 0
        self.welcome: dict[str, Any] = {}

    def say(self, type: str, **members: Any) -> None:
        self.socket.send(json.dumps({"type": type, **members}))

    def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(PATIENCE))
        return message

    def closed(self) -> int:
        """Read to the end; the code with which the server closed."""
        try:
            while True:
                self.socket.recv(PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    def push(self, id: str, **row: Any) -> None:
        """Set a note."""
        self.counter += 1
        self.say("push", id=[self.client, self.counter], changes=[["s", "note", [id], row]])
