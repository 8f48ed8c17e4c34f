"""How the schemas of a contract hang together through `$ref`: what contains itself, and what a check may cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .document import Document
from .keywords import children, schemas
from .places import Faults, Schema, join, steps

_SAME_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
#: How often one place in a value may be looked at while it is checked.
MAX_LOOKS = 1_000
#: Levels of a value for which that is asked: those that a stored value may have.
LEVELS = 64


class Edge(NamedTuple):
    """One schema asks another: about the same place of the value (`down` is None), or about what lies below it."""

    target: str
    down: str | None


class Graph:
    """Every schema of a document by its pointer, and the edges between them."""

    def __init__(self, document: Document, faults: Faults) -> None:
        self._edges: dict[str, list[Edge]] = {}
        known = {pointer for _, pointer in schemas(document.value, "")}
        for schema, pointer in schemas(document.value, ""):
            self._edges[pointer] = list(_edges(schema, pointer))
        for schema, pointer in schemas(document.value, ""):
            self._add_ref(document, schema, pointer, known, faults)
        self.recursive = frozenset(node for group in components(self._edges, self._all) for node in group)

    def _add_ref(self, document: Document, schema: Schema, pointer: str, known: set[str], faults: Faults) -> None:
        if not isinstance(schema.get("$ref"), str):
            return
        try:
            target = document.target(schema["$ref"])
        except ValueError:
            return  # keywords.py has said why
        if target in known:
            self._edges[pointer].append(Edge(target, None))
        elif not isinstance(document.at(target), bool):
            faults.add(join(pointer, "$ref"), f"{schema['$ref']!r} does not name a schema")

    def check(self, faults: Faults) -> None:
        """No schema asks itself about the same place for ever, and no value takes too long to check."""
        loops = components(self._edges, self._in_place)
        for group in loops:
            faults.add(min(group), "the schema refers to itself without going into the value, so it says nothing")
        if not loops and any(looks > MAX_LOOKS for looks in self._looks()):
            faults.add("", "checking a value could take too long: references or recursive alternatives multiply")

    def _all(self, node: str) -> Iterable[str]:
        return (edge.target for edge in self._edges.get(node, ()))

    def _in_place(self, node: str) -> Iterable[str]:
        return (edge.target for edge in self._edges.get(node, ()) if edge.down is None)

    def _looks(self) -> Iterable[int]:
        """For each schema an upper bound of the looks at one place of a value as deep as may be stored."""
        order = _children_first(self._edges, self._in_place)
        below: dict[str, int] = dict.fromkeys(self._edges, 1)
        for _ in range(LEVELS):
            here: dict[str, _Looks] = {}
            for node in order:
                here[node] = _Looks.of(self._edges[node], here, below)
            now = {node: min(looks.most(), MAX_LOOKS + 1) for node, looks in here.items()}
            if now == below:
                break
            below = now
        return below.values()


class _Looks(NamedTuple):
    """Looks at this place, at what lies below it by name, and at whatever lies below."""

    here: int
    named: dict[str, int]
    any: int

    @classmethod
    def of(cls, edges: list[Edge], here: dict[str, _Looks], below: dict[str, int]) -> _Looks:
        looks, named, anything = 1, dict[str, int](), 0
        for edge in edges:
            if edge.down is None:
                inner = here[edge.target]
                looks, anything = looks + inner.here, anything + inner.any
                for name, count in inner.named.items():
                    named[name] = min(named.get(name, 0) + count, MAX_LOOKS + 1)
            elif edge.down == "*":
                anything += below.get(edge.target, 1)
            else:
                named[edge.down] = named.get(edge.down, 0) + below.get(edge.target, 1)
        return cls(min(looks, MAX_LOOKS + 1), named, min(anything, MAX_LOOKS + 1))

    def most(self) -> int:
        return max(self.here, max(self.named.values(), default=0) + self.any)


def _edges(schema: Schema, pointer: str) -> Iterable[Edge]:
    for child, where in children(schema, pointer):
        keyword = steps(where[len(pointer) :])[0]
        if keyword == "$defs" or not isinstance(child, dict):
            continue
        if keyword in _SAME_PLACE:
            yield Edge(where, None)
        elif keyword == "properties":
            yield Edge(where, "." + steps(where)[-1])
        else:
            yield Edge(where, "[]" if keyword in ("items", "prefixItems") else "*")


def components(nodes: Iterable[str], targets: Callable[[str], Iterable[str]]) -> list[set[str]]:
    """The strongly connected components that are circles (Tarjan, without recursion: chains may be long)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []
    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(targets(root)))]
        index[root] = low[root] = len(index)
        stack.append(root)
        while work:
            node, rest = work[-1]
            step = next(rest, None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    _close(node, stack, low, targets, found)
            elif step not in index:
                index[step] = low[step] = len(index)
                stack.append(step)
                work.append((step, iter(targets(step))))
            elif low[step] >= 0:
                low[node] = min(low[node], index[step])
    return found


def _close(
    node: str, stack: list[str], low: dict[str, int], targets: Callable[[str], Iterable[str]], found: list[set[str]]
) -> None:
    group = set()
    while node not in group:
        group.add(stack.pop())
    if len(group) > 1 or node in targets(node):
        found.append(group)
    for member in group:
        low[member] = -1  # closed: no longer on the stack


def _children_first(nodes: Iterable[str], targets: Callable[[str], Iterable[str]]) -> list[str]:
    """Every node after those it asks; there are no circles."""
    order: dict[str, None] = {}
    for root in nodes:
        work = [(root, False)]
        while work:
            node, ready = work.pop()
            if ready:
                order[node] = None
            elif node not in order:
                work.append((node, True))
                work.extend((target, False) for target in targets(node) if target not in order)
    return list(order)
