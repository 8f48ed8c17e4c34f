"""The way to a project, whichever of its nodes live: connects, connects again, and repeats what is safe to repeat."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from .address import Address
from .errors import ConnectionLost, DatabaseError, OutcomeUnknown, refusal, untrusted
from .wire import Lost, Wire

T = TypeVar("T")
#: Codes after which the same request may be sent again: nothing was judged, or the same id tells what was.
NOTHING = frozenset({"unavailable", "rate_limited"})
PASSING = NOTHING | {"unknown"}
SHORTEST, LONGEST = 0.02, 0.5


#: The token as it is now: it is asked for whenever a connection is made, and where the server says that one is over.
Renew = Callable[[], str]


class Line:
    """At most one living websocket. Whoever calls holds a lock. `timeout`: seconds for all attempts of one request."""

    def __init__(self, address: Address, timeout: float, kept: int, renew: Renew | None = None) -> None:
        self.address, self.timeout, self._kept, self._renew = address, timeout, kept, renew
        self._hosts = list(address.hosts)
        self._project: str | None = None
        self._wire: Wire | None = None
        #: The newest version of the project that was seen; no later read of it shows an older one.
        self.version = 0
        #: The name of the next write: of whom, and behind how many.
        self.sender, self.count = secrets.token_hex(16), 0
        self._process = os.getpid()
        #: That of the process before a fork: to close it here would be noticed there.
        self._left: Wire | None = None

    def forked(self) -> bool:
        """Whether this is another process now. The websocket and the name of the writes stay with the one before:
        answers of two would be mixed up, and two writes would have one id."""
        if os.getpid() == self._process:
            return False
        self._process, self._left, self._wire = os.getpid(), self._wire, None
        self.sender, self.count = secrets.token_hex(16), 0
        return True

    @property
    def wire(self) -> Wire | None:
        """The living one, without making one."""
        return self._wire if self._wire is not None and self._wire.alive else None

    def once(self, attempt: Callable[[Wire], T]) -> T:
        """Do what must not be done twice; again only where nothing happened. Raises as `repeat` does, and
        OutcomeUnknown where the connection broke."""

        def carefully(wire: Wire) -> T:
            try:
                return attempt(wire)
            except Lost as lost:
                raise OutcomeUnknown(f"the connection broke: {lost}", "unknown") from lost

        return self.repeat(carefully, passing=NOTHING)

    def repeat(self, attempt: Callable[[Wire], T], writes: bool = False, passing: frozenset[str] = PASSING) -> T:
        """Do what has one effect however often it is done.

        Raises ConnectionLost where no node answers in time, OutcomeUnknown where it then may have been written, and
        what `refusal` gives.
        """
        broke: str | None = None
        passed: DatabaseError | None = None
        renewed = self._renew is None
        for _ in self._patience():
            try:
                return attempt(self.connected())
            except Lost as lost:
                broke = f"the connection broke: {lost}"
            except ConnectionLost as lost:
                broke, passed = broke and f"{broke}; {lost}", lost
                break
            except DatabaseError as problem:
                if problem.code == "unauthenticated" and not renewed:
                    renewed = True
                    self.close()
                    continue
                if problem.code not in passing:
                    raise
                broke = str(problem) if problem.code == "unknown" else broke
                passed = problem
        if writes and broke is not None:
            raise OutcomeUnknown(broke, "unknown")
        raise passed or ConnectionLost(broke or "", "unavailable")

    def connected(self) -> Wire:
        """A living websocket. Raises ConnectionLost where no node answers in time, and what `refusal` gives."""
        if self.wire is not None:
            return self.wire
        reasons: list[str] = []
        for left in self._patience():
            reasons = []
            for host in list(self._hosts):
                try:
                    self._wire = self._open(host, max(0.5, left / len(self._hosts)))
                    return self._wire
                except Lost as lost:
                    reasons.append(f"{host}: {lost}")
                    self._hosts.append(self._hosts.pop(0))
        raise ConnectionLost(f"no server answers within {self.timeout:g} s ({'; '.join(reasons)})", "unavailable")

    def contract(self) -> Any:
        """The contract of the project, as `GET .../contract` answers. Raises as `repeat` does."""

        def ask(wire: Wire) -> Any:
            path = f"/{quote(str(self._project), safe='')}/contract"
            return fetched(self._present(), wire.host, path, self.timeout)

        return self.repeat(ask)

    def beside(self, project: str) -> Line:
        """The way to another project of the same nodes."""
        return Line(self.address._replace(project=project), self.timeout, self._kept, self._renew)

    def create(self, name: str) -> str:
        """The id of a new project that SQL makes the tables of. Raises as `once` does."""
        made = self.once(lambda wire: fetched(self._present(), wire.host, "", self.timeout, {"name": name}))
        return str(made["id"])

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def _open(self, host: str, seconds: float) -> Wire:
        address = self._present()
        if self._project is None:
            self._project = project_id(address, host, seconds)
        url, context = address.desk(host, self._project), address.context()
        return Wire(host, url, address.token, seconds, self._kept, context)

    def _present(self) -> Address:
        """With the token as it is now."""
        return self.address if self._renew is None else self.address._replace(token=self._renew())

    def _patience(self) -> Iterator[float]:
        """The seconds that are left before each attempt: one always, others after growing pauses."""
        end, pause = time.monotonic() + self.timeout, SHORTEST
        yield self.timeout
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST)
            yield max(0.0, end - time.monotonic())


def project_id(address: Address, host: str, seconds: float) -> str:
    """The id of the project that the address names by id or name; what is in no list is taken for an id. Raises Lost,
    and what `refusal` gives."""
    listed = fetched(address, host, "", seconds)["projects"]
    wanted = address.project
    if any(each["id"] == wanted for each in listed):
        return wanted
    return next((str(each["id"]) for each in listed if each["name"].casefold() == wanted.casefold()), wanted)


def fetched(address: Address, host: str, path: str, seconds: float, body: Any = None) -> Any:
    """What GET /v1/projects and `path` gives; POST, where there is a body. Raises Lost, and what `refusal` gives."""
    headers = {"Content-Type": "application/json"}
    if address.token is not None:
        headers["Authorization"] = f"Bearer {address.token}"
    data = None if body is None else json.dumps(body).encode()
    try:
        asked = Request(f"{address.http(host)}/v1/projects{path}", data, headers)
        with urlopen(asked, timeout=seconds, context=address.context()) as answer:
            return json.load(answer)
    except HTTPError as problem:
        with problem:
            said = _said(problem)
        if said is None or (problem.code >= 500 and body is None):
            raise Lost(f"HTTP {problem.code}") from problem
        raise said from None
    except (URLError, OSError, ValueError) as problem:
        raise untrusted(host, problem) or Lost(str(problem)) from problem


def _said(problem: HTTPError) -> DatabaseError | None:
    """None where somebody else answered: a proxy."""
    try:
        return refusal(json.load(problem))
    except (ValueError, KeyError, TypeError, OSError):
        return None
