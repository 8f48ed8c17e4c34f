"""When projects are opened and closed: a plain state machine without I/O, clock or task (SPEC L19 to L24).

    closed ──used──▶ opening ──▶ open ──idle, in the way, stopped, deleted──▶ closing ──▶ closed
                       │  ▲                                                     │
                       ▼  └───────────────── somebody waits ────────────────────┘
                     failed ──used again, after a pause──▶ opening

`openings.py` tells it what happens and does the actions it asks for. Nothing is kept of a project that is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Literal

from msgspec import Struct

from .errors import ShareliteError, Unavailable

State = Literal["opening", "open", "closing", "failed"]
STATES: tuple[State, ...] = ("opening", "open", "closing", "failed")

#: After a failed opening nobody tries again for so long: the first time, doubled each further time, at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
#: Whoever still uses a project that has to go (stopped, deleted) is waited for so long.
GRACE_SECONDS = 5.0
#: Idle projects that are closed side by side: more would keep the workers from those who write.
CLOSED_AT_ONCE = 2


class TooManyOpen(Unavailable):
    """As many projects as a node opens are open, and each is in use."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most:,} projects are open and all of them are in use", 5.0)


class Open(Struct, frozen=True):
    """Open the project, then say `opened` or `failed`."""

    project: str


class Close(Struct, frozen=True):
    """Close the project, then say `closed`."""

    project: str


class Enter(Struct, frozen=True):
    """All who wait for the project hold it now."""

    project: str


class Refuse(Struct, frozen=True):
    """All who wait for the project are told the problem, and wait no more."""

    project: str
    problem: Exception


class Gone(Struct, frozen=True):
    """A retired project is closed, and nobody gets it any more."""

    project: str


Action = Open | Close | Enter | Refuse | Gone


class _Life:
    """One project that is not simply closed."""

    __slots__ = ("failures", "generation", "holders", "not_before", "problem", "retired", "state", "trouble", "waiting")

    def __init__(self) -> None:
        self.state: State = "failed"
        self.holders = self.waiting = self.failures = self.generation = 0
        self.not_before = 0.0
        self.problem: Exception | None = None
        #: Why it stopped while it was open; until it is open again.
        self.trouble: ShareliteError | None = None
        #: What whoever comes is told, once it shall never be opened again.
        self.retired: ShareliteError | None = None


class Lives:
    """All projects of a node. `most`: so many are opening or open at once; `idle_seconds`: an open one that nobody
    holds is closed after so long; `working`: whether a project does something though nobody holds it."""

    def __init__(self, most: int, idle_seconds: float, working: Callable[[str], bool]) -> None:
        self._most, self._idle_seconds, self._working = most, idle_seconds, working
        self._lives: dict[str, _Life] = {}
        #: Open and held by nobody, since when; the longest first.
        self._idle: dict[str, float] = {}
        #: To be closed once nobody holds them, or at this time.
        self._draining: dict[str, float] = {}
        self._taken = self._closing = 0
        self._generations = count(1)
        self._ended: ShareliteError | None = None
        self._actions: list[Action] = []

    def take(self) -> list[Action]:
        """What is to be done now, in order."""
        actions, self._actions = self._actions, []
        return actions

    def state(self, project: str) -> State | None:
        """None: closed."""
        life = self._lives.get(project)
        return None if life is None else life.state

    def count(self, state: State) -> int:
        return sum(life.state == state for life in self._lives.values())

    def problem(self, project: str) -> Exception | None:
        """Why it could not be opened the last time, or why it stopped."""
        life = self._lives.get(project)
        return None if life is None else life.problem or life.trouble

    def troubles(self) -> dict[str, ShareliteError]:
        """Projects that stopped and are not open again."""
        return {project: life.trouble for project, life in self._lives.items() if life.trouble is not None}

    def generation(self, project: str) -> int:
        """Which opening of the project this is; to be named by who leaves."""
        return self._lives[project].generation

    def use(self, project: str, now: float) -> bool:
        """Somebody wants the project: True if he holds it, False if he has to wait.

        Raises TooManyOpen, why the last opening failed if that was just now, or what those who come to a retired one
        are told.
        """
        life = self._lives.get(project)
        told = life.retired if life is not None and life.retired is not None else self._ended
        if told is not None:
            raise told.with_traceback(None)
        if life is not None and life.state == "open":
            life.holders += 1
            self._idle.pop(project, None)
            return True
        if life is None or life.state == "failed":
            life = self._begin(project, life, now)
        life.waiting += 1
        return False

    def give_up(self, project: str) -> None:
        """Somebody waits no more."""
        self._lives[project].waiting -= 1

    def leave(self, project: str, generation: int, now: float) -> None:
        """Somebody holds the project no more."""
        life = self._lives.get(project)
        if life is None or life.generation != generation:
            return  # it was closed beneath him
        life.holders -= 1
        if life.holders:
            return
        if life.state == "open":
            self._idle[project] = now
        elif project in self._draining:
            self._close(project)

    def opened(self, project: str, now: float) -> None:
        life = self._lives[project]
        life.state, life.failures, life.problem, life.trouble = "open", 0, None, None
        life.holders, life.waiting = life.waiting, 0
        if life.holders:
            self._actions.append(Enter(project))
        else:
            self._idle[project] = now
        if life.retired is not None:
            self._drain(project, life, now)

    def failed(self, project: str, problem: Exception, now: float) -> None:
        """It could not be opened."""
        life = self._lives[project]
        self._taken -= 1
        life.state, life.problem = "failed", problem
        # What is only unavailable tells its own time.
        pause = 0.0 if isinstance(problem, Unavailable) else FIRST_PAUSE * 2 ** min(life.failures, 20)
        life.not_before = now + min(LONGEST_PAUSE, pause)
        life.failures += 1
        self._refuse(project, life, problem)
        if life.retired is not None:
            self._gone(project)

    def stopped(self, project: str, problem: ShareliteError, now: float) -> None:
        """It takes nothing more: it is closed, and opened anew for whoever comes next."""
        life = self._lives.get(project)
        if life is not None and life.state == "open":
            life.trouble = problem
            self._drain(project, life, now)

    def closed(self, project: str, now: float) -> None:
        life = self._lives[project]
        self._closing -= 1
        life.holders = life.generation = 0
        if life.retired is not None:
            self._gone(project)
        elif life.waiting:
            try:
                self._begin(project, life, now)
            except TooManyOpen as problem:
                self._refuse(project, life, problem)
                self._rest(project, life)
        else:
            self._rest(project, life)
        self._sweep(now)

    def retire(self, project: str, told: ShareliteError, now: float) -> None:
        """It is never opened again; `Gone` follows when it is closed. Who waits or comes is told why."""
        life = self._lives.get(project)
        if life is None:
            self._actions.append(Gone(project))
            return
        life.retired = told
        self._refuse(project, life, told)
        if life.state == "open":
            self._drain(project, life, now)
        elif life.state == "failed":
            self._gone(project)

    def end(self, told: ShareliteError, now: float) -> list[str]:
        """Close everything, whoever holds it; the projects of which `Gone` is still to come."""
        self._ended = told
        for project in list(self._lives):
            self.retire(project, told, now)
        for project in list(self._draining):
            self._close(project)
        return list(self._lives)

    def tick(self, now: float) -> None:
        """What is due: closing the idle, opening again what stopped, not waiting any longer for who does not leave."""
        for project in [project for project, until in self._draining.items() if until <= now]:
            self._close(project)
        for project, life in list(self._lives.items()):
            if life.trouble is not None and life.state == "failed" and life.not_before <= now:
                try:
                    self._begin(project, life, now)
                except TooManyOpen:
                    break
        self._sweep(now)

    def _begin(self, project: str, life: _Life | None, now: float) -> _Life:
        """Raises TooManyOpen, or the problem of an opening that failed just now."""
        if life is not None and life.state == "failed" and life.problem is not None and now < life.not_before:
            raise life.problem.with_traceback(None)
        if self._taken >= self._most:
            self._evict(now)
        if life is None:
            life = self._lives[project] = _Life()
        life.state, life.generation = "opening", next(self._generations)
        self._taken += 1
        self._actions.append(Open(project))
        return life

    def _evict(self, now: float) -> None:
        """Make room: of those that nobody holds, the one that was used longest ago goes. Raises TooManyOpen."""
        for project in self._idle:
            if not self._working(project):
                self._drain(project, self._lives[project], now)
                return
        raise TooManyOpen(self._most)

    def _drain(self, project: str, life: _Life, now: float) -> None:
        """No way back: close it as soon as nobody holds it."""
        life.state = "closing"
        self._taken -= 1
        self._idle.pop(project, None)
        self._draining[project] = now + GRACE_SECONDS
        if not life.holders:
            self._close(project)

    def _close(self, project: str) -> None:
        del self._draining[project]
        self._closing += 1
        self._actions.append(Close(project))

    def _rest(self, project: str, life: _Life) -> None:
        """Closed, with nobody there: forgotten, but for what is to be opened again by itself."""
        if life.trouble is None:
            del self._lives[project]
        else:
            life.state, life.problem, life.not_before = "failed", None, 0.0

    def _gone(self, project: str) -> None:
        del self._lives[project]
        self._actions.append(Gone(project))

    def _refuse(self, project: str, life: _Life, problem: Exception) -> None:
        if life.waiting:
            life.waiting = 0
            self._actions.append(Refuse(project, problem))

    def _sweep(self, now: float) -> None:
        """Close those that have been idle for long enough, a few at a time; those at work start anew."""
        for project, since in list(self._idle.items()):
            if self._closing >= CLOSED_AT_ONCE or since + self._idle_seconds > now:
                return
            if self._working(project):
                del self._idle[project]
                self._idle[project] = now
            else:
                self._drain(project, self._lives[project], now)
