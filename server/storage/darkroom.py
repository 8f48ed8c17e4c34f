"""Who makes the chunks of images: a process of its own, so that hashing and writing them take neither the interpreter
nor the processor from commits (p50 of a commit meanwhile: 2.0 times without in this process, 1.1 in another; measured).

It is started by the first image, is less urgent than the server, and ends when nobody has wanted anything for a while.
However it ends, an image on its way is not published, and the next one begins with a new process.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ..errors import Damaged
from .chunks import Chunks
from .developing import Made, Work, develop
from .overlay import Overlay

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", f"{__package__}.child")
#: Seconds without work after which the process ends (longer than from one image of an edited project to the next);
#: without a word of work that it has until it is ended; and that it
#: may take to end when it is asked to.
IDLE = 90.0
SILENCE = 120.0
ENDING = 5.0
#: How often whoever waits looks whether he still wants it.
LOOK = 0.1
LENGTH = 4


class Unfinished(Exception):
    """The chunks are not all made, and why."""


class Developer(Protocol):
    def develop(self, overlay: Overlay, work: Work, chunks: Chunks, stop: threading.Event) -> Made:
        """Make chunks durable, on a thread that waits for it. The overlay is of what `work` says, and is held open
        until then. Raises Unfinished, Damaged, OSError."""


class Here:
    """In this very process: for tests that count its steps."""

    def develop(self, overlay: Overlay, work: Work, chunks: Chunks, stop: threading.Event) -> Made:
        def go_on() -> None:
            if stop.is_set():
                raise Unfinished("the project is being closed")

        with chunks.batch() as batch:
            return develop(overlay, work.since, batch, go_on)


class Darkroom:
    """The process, whenever there is one. Every method may be called from any thread."""

    def __init__(
        self, chunks: Path, command: Sequence[str] = COMMAND, idle: float = IDLE, silence: float = SILENCE
    ) -> None:
        """`chunks`: their folder."""
        self._command = [*command, str(chunks), str(idle)]
        self._silence = silence
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        child = self._child
        return child.pid if child is not None and not child.over else None

    def develop(self, overlay: Overlay, work: Work, chunks: Chunks, stop: threading.Event) -> Made:
        with chunks.batch(everything=True):
            child, fresh = self._there()
            try:
                return child.develop(work, stop, self._silence)
            except _Over:
                if fresh or stop.is_set():
                    raise Unfinished("the process that makes images ended") from None
            try:  # it may have been about to end, or been ended, before it heard of this
                return self._there()[0].develop(work, stop, self._silence)
            except _Over:
                raise Unfinished("the process that makes images ended") from None

    def close(self) -> None:
        """End it; nobody waits for it any more."""
        with self._lock:
            self._closed, child = True, self._child
        if child is not None:
            child.close()

    def _there(self) -> tuple[_Child, bool]:
        """The process, and whether it is a new one. Raises OSError, Unfinished."""
        with self._lock:
            if self._closed:
                raise Unfinished("the server is being closed")
            fresh = self._child is None or self._child.over
            if self._child is None or fresh:
                self._child = _Child(self._command)
            return self._child, fresh


class _Over(Exception):
    """The process has ended before it had done what was asked for."""


class _Child:
    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self.pid, self.over = self._process.pid, False
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._last = 0
        threading.Thread(target=self._hear, name="darkroom", daemon=True).start()

    def develop(self, work: Work, stop: threading.Event, silence: float) -> Made:
        call = _Call()
        with self._lock:
            if self.over:
                raise _Over
            self._last += 1
            number = self._last
            self._calls[number] = call
        self._say(number, work)
        asked = False
        while not call.over.wait(LOOK):
            if stop.is_set() and not asked:
                self._say(number, None)
                asked = True
            if time.monotonic() - call.heard > silence:
                logger.error("the process that makes images has not said anything for %.0f s; it is ended", silence)
                self._process.kill()
                raise Unfinished("the process that makes images does not answer")
        return _result(call.answer)

    def close(self) -> None:
        """What it has on its way is not waited for."""
        with self._lock:
            self._shut()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _say(self, *message: Any) -> None:
        """What cannot be said needs no answer here: the thread that hears ends every call."""
        assert self._process.stdin is not None
        with self._lock, suppress(OSError, ValueError):
            left = memoryview(packed(message))
            while left:
                left = left[self._process.stdin.write(left) :]

    def _shut(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _hear(self) -> None:
        """A thread's: until the process ends."""
        assert self._process.stdout is not None
        try:
            with self._process.stdout as told:
                while (message := taken(told)) is not None:
                    number, *answer = msgspec.msgpack.decode(message)
                    self._calls[number].heard = time.monotonic()
                    if answer:
                        self._calls.pop(number).end(answer)
        finally:
            self._process.kill()
            self._process.wait()
            with self._lock:
                self._shut()
                self.over = True
                calls, self._calls = self._calls, {}
            for call in calls.values():
                call.end(["over"])


class _Call:
    def __init__(self) -> None:
        self.over = threading.Event()
        self.answer: list[Any] = []
        self.heard = time.monotonic()

    def end(self, answer: list[Any]) -> None:
        self.answer = answer
        self.over.set()


def _result(answer: list[Any]) -> Made:
    match answer:
        case ["made", made]:
            return msgspec.convert(made, Made)
        case ["damaged", path, why]:
            raise Damaged(path, why)
        case ["system", number, text, path]:
            raise OSError(number, text, path)
        case ["stopped"]:
            raise Unfinished("the project is being closed")
        case ["over"]:
            raise _Over
    raise Unfinished(f"the process that makes images could not: {answer[-1]}")


def packed(message: Any) -> bytes:
    """A message as it goes through a pipe: msgpack with its length in front."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH, "big") + body


def taken(pipe: Any) -> bytes | None:
    """The next message, undecoded; None: the other end is closed."""
    head = _read(pipe, LENGTH)
    return None if head is None else _read(pipe, int.from_bytes(head, "big"))


def _read(pipe: Any, length: int) -> bytes | None:
    content = bytearray()
    while len(content) < length:
        piece = pipe.read(length - len(content))
        if not piece:
            return None
        content += piece
    return bytes(content)
