"""The process that makes the chunks of images: `python -m sharelite.storage.child FOLDER IDLE` (darkroom.py has the
other end, and says why).

    in     [call, work]         make an image (developing.Work)          [call, null]    nobody wants it any more
    out    [call]               it is being worked on                    [call, "made", made]
           [call, "damaged", path, why]         [call, "system", errno, text, path]
           [call, "stopped"]                    [call, "failed", text]

It ends when its input does, which is when the server has ended, however that went, and after IDLE seconds without work.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from ..errors import Damaged
from .chunks import Chunks
from .darkroom import packed, taken
from .developing import Made, Work, develop
from .files import Files
from .overlay import Overlay, Walked

logger = logging.getLogger(__name__)

#: How much less urgent it is than the server. It reads and writes as urgently: what it writes shares a journal of the
#: file system with the logs of projects, whose syncs would wait for it.
NICE = 10
AT_ONCE = 4
#: Seconds between two words that it is at work.
WORD = 1.0
#: Projects whose write-ahead logs are remembered.
REMEMBERED = 64


class Stopped(Exception):
    """Nobody wants it any more."""


class Worker:
    def __init__(self, files: Files, folder: Path, idle: float) -> None:
        self._files, self._chunks, self._idle = files, Chunks(files, folder), idle
        self._lock = threading.Lock()
        self._wanted: set[int] = set()
        self._walked: dict[str, tuple[threading.Lock, Walked]] = {}
        self._ending: threading.Timer | None = None

    def run(self) -> None:
        """Until the input ends; then nothing is brought to its end. It was started for work that is about to come."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while (message := taken(sys.stdin.buffer)) is not None:
                call, work = msgspec.msgpack.decode(message)
                with self._lock:
                    if work is None:
                        self._wanted.discard(call)
                        continue
                    self._wanted.add(call)
                    if self._ending is not None:
                        self._ending.cancel()
                pool.submit(self._answer, call, msgspec.convert(work, Work))
            os._exit(0)

    def _answer(self, call: int, work: Work) -> None:
        try:
            answer = self._tried(call, work)
        except BaseException:  # the pool would keep it to itself
            logger.exception("an image could not be made")
            os._exit(1)
        self._say(call, *answer)
        with self._lock:
            self._wanted.discard(call)
            if not self._wanted:
                self._rest()

    def _tried(self, call: int, work: Work) -> list[Any]:
        try:
            return ["made", self._made(call, work)]
        except Damaged as problem:
            return ["damaged", problem.path, problem.why]
        except OSError as problem:
            return ["system", problem.errno or 0, problem.strerror or str(problem), str(problem.filename or "")]
        except Stopped:
            return ["stopped"]
        except Exception as problem:
            logger.exception("an image could not be made")
            return ["failed", repr(problem)]

    def _made(self, call: int, work: Work) -> Made:
        said = time.monotonic()

        def go_on() -> None:
            nonlocal said
            if call not in self._wanted:
                raise Stopped
            if time.monotonic() - said > WORD:
                said = time.monotonic()
                self._say(call)

        one, walked = self._remembered(work.path)
        with one, self._chunks.batch() as batch:
            with Overlay(self._files, Path(work.path), work.frames, work.seq, walked) as overlay:
                if overlay.mark.salts != work.salts:
                    raise Damaged(work.path, "the write-ahead log has started over")
                return develop(overlay, work.since, batch, go_on)

    def _remembered(self, path: str) -> tuple[threading.Lock, Walked]:
        with self._lock:
            found = self._walked.pop(path, None) or (threading.Lock(), Walked())
            self._walked[path] = found
            if len(self._walked) > REMEMBERED:
                del self._walked[next(iter(self._walked))]
            return found

    def _say(self, *message: Any) -> None:
        with self._lock:
            try:
                sys.stdout.buffer.write(packed(message))
                sys.stdout.buffer.flush()
            except OSError:  # nobody is there
                os._exit(0)

    def _rest(self) -> None:
        self._ending = threading.Timer(self._idle, self._end)
        self._ending.daemon = True
        self._ending.start()

    def _end(self) -> None:
        with self._lock:
            if not self._wanted:
                os._exit(0)


def main(files: Files, folder: str, idle: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        os.nice(NICE)
    Worker(files, Path(folder), float(idle)).run()


if __name__ == "__main__":
    main(Files(), *sys.argv[1:])
