"""The mutations that wait for the next batch of a project, and those whose answer is on its way."""

from __future__ import annotations

import asyncio
from collections import deque

from .errors import ShareliteError, Unavailable
from .model import Mutation, MutationId, Outcome

#: Mutations in one batch: more would make the first of them wait for long.
BATCH = 256
#: A batch takes no more on board behind so many bytes of pushes, for their memory and for those who wait.
BATCH_BYTES = 8 << 20
#: Mutations that may wait, and their bytes; beyond it a sender is told to come back.
MOST_WAITING = 20_000
MOST_WAITING_BYTES = 256 << 20

#: A mutation and the future of its answer.
Asked = tuple[Mutation, asyncio.Future[Outcome]]


class Waiting:
    """In the order in which they came. On the event loop's thread."""

    def __init__(self) -> None:
        self._asked: deque[Asked] = deque()
        self._bytes = 0
        #: By id: whose it is, its body, and the future of its answer.
        self._inflight: dict[MutationId, tuple[tuple[str, bytes], asyncio.Future[Outcome]]] = {}

    def __bool__(self) -> bool:
        return bool(self._asked)

    def join(self, mutation: Mutation) -> asyncio.Future[Outcome]:
        """Wait with the others; who repeats what is on its way gets its answer too. Raises Unavailable: too many."""
        if len(self._asked) >= MOST_WAITING:
            raise Unavailable(f"{MOST_WAITING:,} mutations are waiting for this project")
        if self._bytes > MOST_WAITING_BYTES:
            raise Unavailable(f"mutations of {self._bytes:,} bytes are waiting for this project")
        known = self._inflight.get(mutation.id) if mutation.id is not None else None
        if known is not None and known[0] == (mutation.user, mutation.body_hash):
            return known[1]
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if known is None and mutation.id is not None:
            self._inflight[mutation.id] = ((mutation.user, mutation.body_hash), future)
        self._asked.append((mutation, future))
        self._bytes += mutation.size
        return future

    def batch(self) -> list[Asked]:
        """Those who have waited longest, at least one if there is one: they wait no longer, their answers are due."""
        batch: list[Asked] = []
        size = 0
        while self._asked and len(batch) < BATCH and size < BATCH_BYTES:
            batch.append(self._asked.popleft())
            size += batch[-1][0].size
        self._bytes -= size
        return batch

    def answered(self, mutation: Mutation) -> None:
        """Its answer is here: who repeats it now has to look for the outcome."""
        if mutation.id is not None:
            self._inflight.pop(mutation.id, None)

    def fail(self, problem: ShareliteError) -> None:
        """Nobody is going to take those who wait."""
        while self._asked:
            mutation, future = self._asked.popleft()
            self._bytes -= mutation.size
            self.answered(mutation)
            if not future.done():
                future.set_exception(problem)
                future.exception()  # whoever asked may have gone, and that is nothing to write down as an error
