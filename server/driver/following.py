"""Follow a project from a program: `async for commit in sharelite.feed("sharelite://.../project", after=v)`.

Server-sent events of `GET .../commits` (SPEC W13): no websocket, no presence, only commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import httpx
import msgspec

from ..model import Change, Commit, MutationId
from ..values import decode_value
from .address import Address, parse, with_token
from .errors import DatabaseError, OperationalError, refusal, untrusted
from .line import SHORTEST, project_id
from .wire import FINAL, Lost

#: The server says something every 15 s; one that says nothing for longer is gone.
SILENCE = 40.0
LONGEST = 5.0


async def follow(
    url: str, after: int | None = None, timeout: float = 5.0, token: str | Callable[[], str] | None = None
) -> AsyncGenerator[Commit]:
    """Every commit after a version (None: from now on), each once and in order, without end.

    Whoever iterates goes at his own pace, closes it (`contextlib.aclosing`) where he leaves before its end, and
    keeps `commit.version` to go on from there another day. What breaks is connected again, at any of the hosts, for
    as long as it takes. Raises OperationalError with the code `reset` where the version is ahead of the project (a
    restored one: load it anew), ProgrammingError where there is no such project, OperationalError where the token is
    not, or no longer, good, and Untrusted where a host cannot prove to be that. `token`: as `connect` has it.
    """
    (address, renew), cursor, pause, place = with_token(parse(url), token), after, SHORTEST, 0
    limits = httpx.Timeout(timeout, read=SILENCE)
    project: str | None = None
    async with httpx.AsyncClient(timeout=limits, verify=address.context() or True) as http:
        while True:
            host = address.hosts[place % len(address.hosts)]
            if renew is not None:
                address = address._replace(token=await asyncio.to_thread(renew))
            http.headers = httpx.Headers({} if address.token is None else {"Authorization": f"Bearer {address.token}"})
            try:
                if project is None:
                    project = await asyncio.to_thread(project_id, address, host, timeout)
                if cursor is None:
                    cursor = await _version(http, address, host, project)
                async with aclosing(_events(http, address, host, project, cursor)) as events:
                    async for commit in events:
                        cursor, pause = commit.version, SHORTEST
                        yield commit
            except (Lost, httpx.TransportError) as problem:
                if (final := untrusted(host, problem)) is not None:
                    raise final from problem
                place += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)


async def _version(http: httpx.AsyncClient, address: Address, host: str, project: str) -> int:
    answer = await http.get(f"{address.http(host)}/v1/projects/{project}")
    _check(answer.status_code, answer.content)
    return int(answer.json()["version"])


async def _events(
    http: httpx.AsyncClient, address: Address, host: str, project: str, cursor: int
) -> AsyncGenerator[Commit]:
    """Commits until the stream ends. Raises Lost, and what `refusal` gives."""
    where = f"{address.http(host)}/v1/projects/{project}/commits"
    asked = http.stream("GET", where, params={"after": cursor}, headers={"accept": "text/event-stream"})
    async with asked as answer:
        if answer.status_code != 200:
            _check(answer.status_code, await answer.aread())
        event = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == "goodbye":
                _goodbye(line.removeprefix("data: "), cursor)
            elif line.startswith("data: "):
                yield _commit(msgspec.json.decode(line.removeprefix("data: ")))


def _goodbye(code: str, cursor: int) -> None:
    """Raises what is final, and Lost."""
    if code == "reset":
        raise OperationalError(f"the feed cannot go on from version {cursor}: load the project anew", code)
    if code in FINAL:
        raise refusal({"error": {"code": code, "message": f"the feed ended at version {cursor}: {code}"}})
    raise Lost(code)


def _check(status: int, body: bytes) -> None:
    """Raises Lost for what passes, and what `refusal` gives."""
    if status == 200:
        return
    try:
        problem: DatabaseError = refusal(msgspec.json.decode(body))
    except (msgspec.DecodeError, KeyError, TypeError):
        raise Lost(f"HTTP {status}") from None
    if problem.code not in FINAL | {"reset"}:
        raise Lost(str(problem))
    raise problem


def _commit(raw: dict[str, Any]) -> Commit:
    return Commit(
        version=raw["v"],
        at=raw["at"],
        by=raw["by"],
        kind=raw["kind"],
        changes=tuple([_change(change) for change in raw["changes"]]),
        id=MutationId(*raw["id"]) if "id" in raw else None,
        tag=raw.get("tag"),
        skipped=tuple([(table, tuple(map(decode_value, key))) for table, key in raw.get("skipped", ())]),
        contract=raw.get("contract"),
        contract_hash=raw.get("contract_hash"),
        steps=tuple(raw.get("steps", ())),
    )


def _change(change: list[Any]) -> Change:
    op, table, key, *rows = change
    new, old = (*rows, None)[:2]
    return Change(op, table, tuple(map(decode_value, key)), _cells(new), _cells(old))


def _cells(cells: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if cells is None else {column: decode_value(value) for column, value in cells.items()}
