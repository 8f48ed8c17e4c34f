"""Work on threads whose ends are told on the event loop, several at once where they come together.

As `run_in_executor`, but for what is short and comes in thousands a second: a thread that is there takes what waits
before it goes, and the event loop is woken once for everything that has ended meanwhile. Work that has to wait for
others is a journey: it leaves its thread to the next one until there is news.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

#: Where nothing was begun for so long although something waits, another thread helps.
STUCK_SECONDS = 0.01
#: Journeys look again after so long without news.
LOOK_SECONDS = 1.0


class Wait(Protocol):
    """What a journey waits for, `seconds` at most."""

    @property
    def seconds(self) -> float: ...
    def then(self, go_on: Callable[[], None]) -> None:
        """Call `go_on`, on any thread, when there may be news: now, if there is. A later call replaces this one."""


#: Work that yields what it waits for, and goes on when there may be news of it: on whatever thread, one at a time.
Journey = Generator[Wait, None, T]


def ended(journey: Journey[T]) -> T:
    """What a journey comes to, waited for on this thread."""
    while True:
        try:
            wait = next(journey)
        except StopIteration as end:
            result: T = end.value
            return result
        news = threading.Event()
        wait.then(news.set)
        news.wait(wait.seconds)


class _Work:
    """One piece of work. `news`: counts the waits of its journey, so that each ends once."""

    __slots__ = ("arguments", "function", "journey", "loop", "news", "then")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        then: Callable[[Any, BaseException | None], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.function, self.arguments, self.then, self.loop = function, arguments, then, loop
        self.journey: Journey[Any] | None = None
        self.news = 0


class Crew:
    """At most so many threads of a pool at once, for one event loop.

    `prompt`: so many of them come as soon as there is work; more only where those are stuck in something long. Threads
    that run Python take turns anyway, and each turn costs.
    """

    def __init__(self, pool: Executor, most: int, prompt: int | None = None) -> None:
        self._pool, self._most, self._prompt = pool, most, prompt or most
        self._lock = threading.Lock()
        self._waiting: deque[_Work] = deque()
        #: Journeys with news: they were begun before what waits.
        self._going_on: deque[_Work] = deque()
        self._asleep: dict[_Work, int] = {}
        self._at_work = 0
        self._begun = 0
        self._watching = self._looking = False
        #: What has ended and was not told yet; the loop has been woken for it.
        self._ended: list[tuple[_Work, Any, BaseException | None]] = []

    def run(self, function: Callable[..., Any], *arguments: Any, then: Callable[[Any, Any], None]) -> None:
        """Event loop's thread. `then(result, problem)` is called there; a problem is what the function raised. A
        function that returns a generator makes a journey: the result is what it comes to."""
        work = _Work(function, arguments, then, asyncio.get_running_loop())
        if not self._looking:
            self._looking = True
            work.loop.call_later(LOOK_SECONDS, self._look, work.loop)
        with self._lock:
            self._waiting.append(work)
            fetched = self._fetch()
        if fetched:
            self._pool.submit(self._work)
        elif not self._watching:
            self._watch(work.loop)

    def _fetch(self) -> bool:
        """Within the lock: whether one more thread is to come."""
        if self._at_work >= self._prompt:
            return False
        self._at_work += 1
        return True

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._going_on and not self._waiting:
                    self._at_work -= 1
                    return
                work = self._going_on.popleft() if self._going_on else self._waiting.popleft()
                self._begun += 1
            try:
                wait, result, problem = *self._step(work), None
            except BaseException as raised:
                wait, result, problem = None, None, raised
            if wait is None:
                self._end(work, result, problem)
            else:
                self._sleep(work, wait)

    def _step(self, work: _Work) -> tuple[Wait | None, Any]:
        """What the work waits for now, or else what it came to."""
        if work.journey is None:
            result = work.function(*work.arguments)
            if not isinstance(result, Generator):
                return None, result
            work.journey = result
        try:
            return next(work.journey), None
        except StopIteration as end:
            return None, end.value

    def _sleep(self, work: _Work, wait: Wait) -> None:
        with self._lock:
            work.news += 1
            news = self._asleep[work] = work.news
        wait.then(lambda: self._go_on(work, news))

    def _go_on(self, work: _Work, news: int) -> None:
        """Any thread."""
        with self._lock:
            if self._asleep.get(work) != news:
                return
            del self._asleep[work]
            self._going_on.append(work)
            fetched = self._fetch()
            watch = not fetched and not self._watching
        if fetched:
            self._pool.submit(self._work)
        elif watch:
            work.loop.call_soon_threadsafe(self._watch, work.loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have journeys look again, so that none waits for longer than it wants to."""
        with self._lock:
            asleep = list(self._asleep.items())
            self._looking = bool(asleep or self._waiting or self._at_work)
        if self._looking:
            loop.call_later(LOOK_SECONDS, self._look, loop)
        for work, news in asleep:
            self._go_on(work, news)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look whether the threads get on, as long as something waits for one."""
        if not self._watching:
            self._watching = True
            loop.call_later(STUCK_SECONDS, self._help, loop, self._begun)

    def _help(self, loop: asyncio.AbstractEventLoop, begun: int) -> None:
        self._watching = False
        with self._lock:
            waits = bool(self._going_on or self._waiting)
            helps = waits and self._begun == begun and self._at_work < self._most
            self._at_work += helps
        if helps:
            self._pool.submit(self._work)
        if waits:
            self._watch(loop)

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
