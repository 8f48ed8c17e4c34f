"""The open projects of a node: opened on use, held while used, closed when idle.

`life.py` decides; here are the futures, tasks and the clock that it does without.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

from .errors import ShareliteError, Stopped
from .life import STATES, Action, Close, Enter, Gone, Lives, Open, Refuse, State
from .project import Project

logger = logging.getLogger(__name__)

#: How often one looks what is due; shorter where projects are to be closed sooner.
TICK_SECONDS = 1.0


class Openings:
    """Who opens is given `open`, who closes `close`; what they raise is told to whoever waits, or logged. Event
    loop's thread. `tidy`: called after some were closed, at most once a second. `stopped`: called with a project that
    takes nothing more, before it is closed."""

    def __init__(
        self,
        most: int,
        idle_seconds: float,
        open: Callable[[str], Awaitable[Project]],
        close: Callable[[Project], Awaitable[None]],
        tidy: Callable[[], Awaitable[None]],
    ) -> None:
        self._lives = Lives(most, idle_seconds, self._working)
        self._tick_seconds = min(TICK_SECONDS, idle_seconds / 2)
        self._opener, self._closer, self._tidy = open, close, tidy
        self._untidy = False
        self._projects: dict[str, Project] = {}
        #: Those who wait; what they get is the project and which opening of it this is.
        self._waiting: dict[str, list[asyncio.Future[tuple[Project, int]]]] = {}
        self._gone: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock: asyncio.Task[None] | None = None
        self._acting = False
        self.stopped: Callable[[str, ShareliteError], None] = lambda project, problem: None

    def start(self) -> None:
        self._clock = asyncio.create_task(self._tick())

    async def end(self, told: ShareliteError) -> None:
        """Close everything, whoever still holds it; `told` to whoever comes."""
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.wait([self._clock])
            self._clock = None
        left = self._lives.end(told, self._now())
        going = [self._going(project) for project in left]
        self._act()
        if going:
            await asyncio.wait(going)

    @asynccontextmanager
    async def hold(self, project: str) -> AsyncIterator[Project]:
        """The open project, which stays open until the end of the `with`.

        Raises TooManyOpen, and whatever stands in the way of opening it.
        """
        opened, generation = await self._enter(project)
        try:
            yield opened
        finally:
            self._leave(project, generation)

    def look(self, project: str) -> Project | None:
        """The project if it is open now; to be used before the next await only."""
        return self._projects.get(project)

    def opened(self) -> Sequence[Project]:
        """Those that are open now."""
        return list(self._projects.values())

    def problem(self, project: str) -> Exception | None:
        """Why it could not be opened the last time, or why it stopped."""
        return self._lives.problem(project)

    def troubles(self) -> dict[str, ShareliteError]:
        """Why each project stopped that has not been opened again since."""
        return self._lives.troubles()

    def counts(self) -> dict[State, int]:
        return {state: self._lives.count(state) for state in STATES}

    async def retire(self, project: str, told: ShareliteError) -> None:
        """Have it closed for good, as soon as nobody holds it or they have had their time."""
        going = self._going(project)
        self._lives.retire(project, told, self._now())
        self._act()
        await asyncio.shield(going)

    def stop(self, opened: Project, problem: Stopped) -> None:
        """An open project has stopped; its next use opens it anew."""
        if self._projects.get(opened.id) is opened:
            self._lives.stopped(opened.id, problem, self._now())
            self._act()
            self.stopped(opened.id, problem)

    async def _enter(self, project: str) -> tuple[Project, int]:
        try:
            if self._lives.use(project, self._now()):
                return self._projects[project], self._lives.generation(project)
        finally:
            self._act()
        future: asyncio.Future[tuple[Project, int]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project, []).append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._waits_no_more(project, future)
            raise

    def _waits_no_more(self, project: str, future: asyncio.Future[tuple[Project, int]]) -> None:
        """Whoever waited is gone; he may have been let in a moment ago."""
        waiting = self._waiting.get(project, [])
        if future in waiting:
            waiting.remove(future)
            self._lives.give_up(project)
        elif not future.cancelled() and future.exception() is None:
            self._leave(project, future.result()[1])

    def _leave(self, project: str, generation: int) -> None:
        self._lives.leave(project, generation, self._now())
        self._act()

    def _act(self) -> None:
        """Do what is to be done, and what comes of that, in order."""
        if self._acting:
            return
        self._acting = True
        try:
            while actions := self._lives.take():
                for action in actions:
                    self._do(action)
        finally:
            self._acting = False

    def _do(self, action: Action) -> None:
        match action:
            case Open(project):
                self._begin(self._open(project))
            case Close(project):
                self._begin(self._close(project, self._projects.pop(project)))
            case Enter(project):
                self._let_in(project)
            case Refuse(project, problem):
                for future in self._waiting.pop(project):
                    if not future.done():
                        future.set_exception(problem)
            case Gone(project):
                self._going(project).set_result(None)
                del self._gone[project]

    def _let_in(self, project: str) -> None:
        generation = self._lives.generation(project)
        for future in self._waiting.pop(project):
            if future.done():
                self._leave(project, generation)
            else:
                future.set_result((self._projects[project], generation))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, project: str) -> None:
        try:
            opened = await self._opener(project)
        except Exception as problem:
            # Without the trace, which would keep what the attempt had in its hands.
            self._lives.failed(project, problem.with_traceback(None), self._now())
        else:
            self._projects[project] = opened
            self._lives.opened(project, self._now())
        self._act()

    async def _close(self, project: str, opened: Project) -> None:
        try:
            await self._closer(opened)
        except Exception:
            logger.exception("project was not closed well", extra={"project": project})
        self._untidy = True
        self._lives.closed(project, self._now())
        self._act()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick_seconds)
            self._lives.tick(self._now())
            self._act()
            if self._untidy and not self._lives.count("closing"):
                self._untidy = False
                await self._tidy()

    def _going(self, project: str) -> asyncio.Future[None]:
        return self._gone.setdefault(project, asyncio.get_running_loop().create_future())

    def _working(self, project: str) -> bool:
        return self._projects[project].at_work

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
