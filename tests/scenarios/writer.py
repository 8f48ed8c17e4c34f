"""A client that never forgets: it numbers its pushes, keeps what is unanswered and sends the same bytes again."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

#: Pushes on their way at a time.
WINDOW = 16
CONTRACT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "note": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "text"],
                "properties": {"id": {"type": "string"}, "text": {"type": "string"}, "count": {"type": "integer"}},
            },
        }
    },
}


class Writer:
    """Pushes without end until the connection dies; `answers` has what each counter was told, once and for all."""

    def __init__(self, seed: int, answered: Callable[[], None]) -> None:
        self.client = secrets.token_hex(16)
        self.answers: dict[int, tuple[str, int]] = {}
        self.bytes: dict[int, str] = {}
        self._random, self._answered = random.Random(seed), answered
        self._cursor: int | None = None
        self._epoch: str | None = None

    @property
    def unanswered(self) -> list[int]:
        return [counter for counter in self.bytes if counter not in self.answers]

    async def session(self, url: str, more: Callable[[], bool]) -> None:
        """One connection: resends, then writes as long as `more()`; returns when everything is answered."""
        async with connect(url, max_size=None, compression=None) as socket:
            await self._greet(socket)
            for counter in self.unanswered:
                await socket.send(self.bytes[counter])
            while await self._fill(socket, more):
                self._read(json.loads(await socket.recv()))

    async def repeat(self, url: str, counters: list[int]) -> None:
        """Sends pushes again that were answered before; `_answer` sees to it that they get the same answers."""
        async with connect(url, max_size=None, compression=None) as socket:
            await self._greet(socket)
            for counter in counters:
                told = self.answers.pop(counter)
                await socket.send(self.bytes[counter])
                while counter not in self.answers:
                    self._read(json.loads(await socket.recv()))
                assert self.answers[counter] == told, (counter, told, self.answers[counter])

    async def _greet(self, socket: ClientConnection) -> None:
        hello = {"type": "hello", "protocol": 1, "client": self.client, "cursor": self._cursor, "epoch": self._epoch}
        await socket.send(json.dumps(hello))
        welcome = json.loads(await socket.recv())
        assert welcome["type"] == "welcome", welcome
        assert self._epoch in (None, welcome["epoch"])
        self._epoch = welcome["epoch"]
        self._cursor = welcome["version"] if self._cursor is None else self._cursor

    async def _fill(self, socket: ClientConnection, more: Callable[[], bool]) -> bool:
        while more() and len(self.bytes) - len(self.answers) < WINDOW:
            counter = len(self.bytes) + 1
            push = {"type": "push", "id": [self.client, counter], "changes": self._idea(counter)}
            self.bytes[counter] = json.dumps(push)
            await socket.send(self.bytes[counter])
        return len(self.answers) < len(self.bytes)

    def _idea(self, counter: int) -> list[Any]:
        """Mostly a new row; sometimes what changes nothing, sometimes what is refused."""
        row = f"{self.client}-{counter}"
        match self._random.randrange(8):
            case 0:
                return [["d", "note", [f"never-{row}"]]]
            case 1:
                return [["i", "note", [row], {"text": 7}]]
            case 2:
                return [["i", "note", [f"{row}-{n}"], {"text": "one of many"}] for n in range(20)]
        text = "x" * self._random.randrange(200)
        return [["i", "note", [row], {"text": text}], ["s", "note", ["all"], {"text": row}]]

    def _read(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "commits":
                for commit in message["commits"]:
                    self._commit(commit)
            case "settled":
                self._answer(message["id"], "settled", message["version"])
            case "refused":
                self._answer(message["id"], message["code"], message["version"])
            case other:
                raise AssertionError(f"{other}: {message}")

    def _commit(self, commit: dict[str, Any]) -> None:
        assert self._cursor is not None and commit["v"] == self._cursor + 1, "a gap or a repeat in the feed"
        self._cursor = commit["v"]
        if commit.get("id", [None])[0] == self.client:
            self._answer(commit["id"], "settled", commit["v"])

    def _answer(self, id: list[Any], kind: str, version: int) -> None:
        client, counter = id
        told = (kind, version)
        assert client == self.client and self.answers.setdefault(counter, told) == told
        self._answered()
