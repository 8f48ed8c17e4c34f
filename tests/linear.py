"""Whether a history of reads and writes of one register could have happened one after the other (Wing and Gong, with
the memory of Lowe): every operation takes effect at one moment between its call and its answer."""

from __future__ import annotations

from typing import Literal, NamedTuple

INFINITE = float("inf")


class Operation(NamedTuple):
    """`returned`: INFINITE where the outcome is unknown. `value`: what was written, or what was read."""

    called: float
    returned: float
    kind: Literal["write", "read"]
    value: str | None


def linearizable(history: list[Operation], initial: str | None = None, limit: int = 2_000_000) -> bool:
    """Raises AssertionError where it cannot be decided within `limit` steps."""
    operations = [each for each in history if each.kind == "write" or each.returned < INFINITE]
    events = sorted(
        [(each.called, 0, place) for place, each in enumerate(operations)]
        + [(each.returned, 1, place) for place, each in enumerate(operations) if each.returned < INFINITE]
    )
    head = len(events)
    after, before = [*range(1, head + 1), 0], [head, *range(head)]
    ends = {place: at for at, (_, end, place) in enumerate(events) if end}

    def lift(at: int) -> None:
        after[before[at]], before[after[at]] = after[at], before[at]

    def put_back(at: int) -> None:
        after[before[at]] = before[after[at]] = at

    done, state, left, at = 0, initial, len(ends), after[head]
    seen: set[tuple[int, str | None]] = {(0, initial)}
    stack: list[tuple[int, int, str | None]] = []
    for _ in range(limit):
        if not left:
            return True
        if at != head and events[at][1] == 0:
            place = events[at][2]
            operation = operations[place]
            result = operation.value if operation.kind == "write" else state
            if result == operation.value and (done | 1 << place, result) not in seen:
                seen.add((done | 1 << place, result))
                stack.append((at, done, state))
                done, state = done | 1 << place, result
                lift(at)
                if place in ends:
                    lift(ends[place])
                    left -= 1
                at = after[head]
            else:
                at = after[at]
        else:
            if not stack:
                return False
            at, done, state = stack.pop()
            place = events[at][2]
            if place in ends:
                put_back(ends[place])
                left += 1
            put_back(at)
            at = after[at]
    raise AssertionError(f"not decided within {limit:,} steps")
