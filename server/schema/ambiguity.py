"""Whether a backtracking engine could try for ever with a pattern.

It does so if a text can be read along the same loop in two ways: then n characters can be read in 2^n ways. The states
are the characters of the pattern (Glushkov); a loop is ambiguous iff two different paths lead from a state back to it
with the same text, which is looked for in the product of the automaton with itself (Weber and Seidl 1991).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

Ranges = tuple[tuple[int, int], ...]

#: Characters of a pattern, repeats of a fixed number written out.
MAX_STATES = 200
MAX_COPIES = 40
#: The same where several states may be reached by one character: then even a linear engine follows all of them at once.
MAX_FOLLOWED = 32
#: Repeats that can take the same character: each one multiplies the time by the length of the text.
MAX_LOOPS = 4
#: Optional things that can take the same character: each one doubles the time.
MAX_CHOICES = 16


class Slow(Exception):
    """The sentence says what makes it slow."""


@dataclass(frozen=True)
class Set:
    ranges: Ranges


@dataclass(frozen=True)
class Anchor:
    pass


@dataclass(frozen=True)
class Sequence:
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Alternatives:
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    node: Node
    low: int
    high: int | None


Node = Set | Anchor | Sequence | Alternatives | Repeat


def check_speed(tree: Node) -> None:
    """Raises Slow."""
    states = _States()
    whole = states.add(tree)
    _check_sharing(states.loops, MAX_LOOPS, "unbounded repeats")
    _check_sharing(states.choices, MAX_CHOICES, "optional parts")
    if _ambiguous(states):
        raise Slow("a repeat inside of a repeat can take the same text in many ways")
    if size(tree) > MAX_FOLLOWED and not _decided(tree, whole.first, states):
        raise Slow(f"more than {MAX_FOLLOWED} characters, but no ^ in front or several ways to go on")


def size(node: Node) -> int:
    """The characters of a pattern, repeats written out."""
    if isinstance(node, Repeat):
        return size(node.node) * (node.high or max(node.low, 1))
    if isinstance(node, Sequence | Alternatives):
        return sum(map(size, node.nodes))
    return int(isinstance(node, Set))


@dataclass
class _Part:
    first: list[int]
    last: list[int]
    empty: bool


class _States:
    """The Glushkov automaton. An edge that comes about in two ways counts twice: so does a backtracking engine."""

    def __init__(self) -> None:
        self.sets: list[Ranges] = []
        self.edges: Counter[tuple[int, int]] = Counter()
        self.loops: list[Ranges] = []
        self.choices: list[Ranges] = []

    def add(self, node: Node) -> _Part:
        if isinstance(node, Set):
            if len(self.sets) >= MAX_STATES:
                raise Slow(f"more than {MAX_STATES} characters, repeats written out")
            self.sets.append(node.ranges)
            return _Part([len(self.sets) - 1], [len(self.sets) - 1], False)
        if isinstance(node, Sequence):
            return self._sequence(map(self.add, node.nodes))
        if isinstance(node, Alternatives):
            return self._alternatives([self.add(inner) for inner in node.nodes])
        return self._repeat(node) if isinstance(node, Repeat) else _Part([], [], True)

    def _sequence(self, parts: Iterable[_Part]) -> _Part:
        whole = _Part([], [], True)
        for part in parts:
            self._connect(whole.last, part.first)
            whole = _Part(
                whole.first + part.first if whole.empty else whole.first,
                whole.last + part.last if part.empty else part.last,
                whole.empty and part.empty,
            )
        return whole

    def _alternatives(self, parts: list[_Part]) -> _Part:
        first = [state for part in parts for state in part.first]
        last = [state for part in parts for state in part.last]
        return _Part(first, last, any(part.empty for part in parts))

    def _repeat(self, node: Repeat) -> _Part:
        before = len(self.sets)
        part = self.add(node.node)
        width = max(len(self.sets) - before, 1)
        taken = merged([span for ranges in self.sets[before:] for span in ranges])
        if node.high is not None and node.high <= 1:
            self.choices += [taken] if node.low < node.high else []
            return _Part(part.first, part.last, part.empty or node.low == 0) if node.high else _Part([], [], True)
        if part.empty:
            raise Slow("what is repeated may be empty")
        if node.low == node.high and width * node.low <= MAX_COPIES:
            return self._sequence([part, *(self.add(node.node) for _ in range(node.low - 1))])
        self.loops.append(taken)
        self._connect(part.last, part.first)
        return _Part(part.first, part.last, node.low == 0)

    def _connect(self, last: list[int], first: list[int]) -> None:
        self.edges.update((one, other) for one in last for other in first)


def _ambiguous(states: _States) -> bool:
    """Whether some state can be left and reached again in two ways with the same text."""
    follow: dict[int, list[int]] = {state: [] for state in range(len(states.sets))}
    for one, other in states.edges:
        follow[one].append(other)
    reach = {state: _reached(state, follow) for state in follow}
    if any(times > 1 and one in reach[other] for (one, other), times in states.edges.items()):
        return True
    loops = [state for state in follow if state in reach[state]]
    return any(_two_ways(state, follow, reach, states.sets) for state in loops)


def _decided(tree: Node, first: list[int], states: _States) -> bool:
    """Whether a text is read from its start and each character leads to one state at most."""
    follow: dict[int, list[int]] = {-1: first}
    for (one, other), times in states.edges.items():
        follow.setdefault(one, []).extend([other] * times)
    pairs = (pair for nexts in follow.values() for pair in combinations(nexts, 2))
    anchored = isinstance(tree, Sequence) and bool(tree.nodes) and isinstance(tree.nodes[0], Anchor)
    return anchored and not any(meets(states.sets[one], states.sets[other]) for one, other in pairs)


def _two_ways(start: int, follow: dict[int, list[int]], reach: dict[int, set[int]], sets: list[Ranges]) -> bool:
    """Whether two readers that leave `start` together and part can meet there again."""
    inside = {state for state in reach[start] if start in reach[state]}
    seen, waiting = {(start, start)}, [(start, start)]
    while waiting:
        one, other = waiting.pop()
        for left in follow[one]:
            for right in follow[other]:
                pair = (left, right)
                if {left, right} <= inside and pair not in seen and meets(sets[left], sets[right]):
                    seen.add(pair)
                    waiting.append(pair)
    apart = {pair for pair in seen if pair[0] != pair[1]}
    return bool(apart) and _meet_again(apart, (start, start), follow, seen)


def _meet_again(
    apart: set[tuple[int, int]], goal: tuple[int, int], follow: dict[int, list[int]], seen: set[tuple[int, int]]
) -> bool:
    tried, waiting = set(apart), list(apart)
    while waiting:
        one, other = waiting.pop()
        for pair in ((left, right) for left in follow[one] for right in follow[other]):
            if pair == goal:
                return True
            if pair in seen and pair not in tried:
                tried.add(pair)
                waiting.append(pair)
    return False


def _reached(start: int, follow: dict[int, list[int]]) -> set[int]:
    """The states that follow, one step or more."""
    seen: set[int] = set()
    waiting = list(follow[start])
    while waiting:
        state = waiting.pop()
        if state not in seen:
            seen.add(state)
            waiting += follow[state]
    return seen


def _check_sharing(sets: list[Ranges], limit: int, what: str) -> None:
    for point in {low for ranges in sets for low, _ in ranges}:
        if sum(meets(ranges, ((point, point),)) for ranges in sets) > limit:
            raise Slow(f"more than {limit} {what} can take the same character")


def meets(one: Ranges, other: Ranges) -> bool:
    """Whether two sorted sets of ranges have a character in common."""
    return any(low <= high2 and low2 <= high for low, high in one for low2, high2 in _near(other, low, high))


def _near(ranges: Ranges, low: int, high: int) -> Iterator[tuple[int, int]]:
    return (span for span in ranges if span[0] <= high and span[1] >= low)


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted and without overlaps."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)
