"""Work on threads whose ends are told on the event loop, several at once where they come together.

As `run_in_executor`, but for what is short and comes in thousands a second: a thread that is there takes what waits
before it goes, and the event loop is woken once for everything that has ended meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple


class _Work(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    then: Callable[[Any, BaseException | None], None]
    loop: asyncio.AbstractEventLoop


class Crew:
    """At most so many threads of a pool at once, for one event loop."""

    def __init__(self, pool: Executor, most: int) -> None:
        self._pool, self._most = pool, most
        self._lock = threading.Lock()
        self._waiting: deque[_Work] = deque()
        self._at_work = 0
        #: What has ended and was not told yet; the loop has been woken for it.
        self._ended: list[tuple[_Work, Any, BaseException | None]] = []

    def run(self, function: Callable[..., Any], *arguments: Any, then: Callable[[Any, Any], None]) -> None:
        """Event loop's thread. `then(result, problem)` is called there; a problem is what the function raised."""
        with self._lock:
            self._waiting.append(_Work(function, arguments, then, asyncio.get_running_loop()))
            if self._at_work >= self._most:
                return
            self._at_work += 1
        self._pool.submit(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._at_work -= 1
                    return
                work = self._waiting.popleft()
            result, problem = None, None
            try:
                result = work.function(*work.arguments)
            except BaseException as raised:
                problem = raised
            self._end(work, result, problem)

    def _end(self, work: _Work, result: Any, problem: BaseException | None) -> None:
        with self._lock:
            self._ended.append((work, result, problem))
            if len(self._ended) > 1:
                return
        work.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        for work, result, problem in ended:
            try:
                work.then(result, problem)
            except Exception as raised:  # the others are told nevertheless
                work.loop.call_exception_handler({"message": f"{work.then!r} failed", "exception": raised})
