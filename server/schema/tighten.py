"""What differs between two versions of a table, and whether rows that were valid may not be any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .column import Column
from .document import ANNOTATIONS
from .places import Schema
from .shape import ACROSS, Group
from .table import Table


class Difference(NamedTuple):
    """`destructive`: somebody has to say so. `tightens`: the rows must be checked. `rewrites`: they are copied."""

    reason: str
    destructive: bool = True
    tightens: bool = False
    rewrites: bool = False


def differences(old: Table, new: Table) -> Iterator[Difference]:
    """Everything but annotations, new optional columns, and what only loosens."""
    if old.key != new.key:
        yield Difference(f"the key changes from {', '.join(old.key)} to {', '.join(new.key)}", rewrites=True)
    if old.autoincrement != new.autoincrement:
        yield Difference("keys are given out in another way", destructive=False, rewrites=True)
    for name, column in old.columns.items():
        if name in new.columns:
            yield from _column(column, new.columns[name])
        else:
            yield Difference(f"{name} and its values are dropped")
    yield from _new_columns(old, new)
    yield from _references(old, new)
    yield from _groups(old, new)
    yield from _limits(old, new)


def _column(old: Column, new: Column) -> Iterator[Difference]:
    name = old.name
    if (old.type, old.form) != (new.type, new.form):
        reason = f"{name} changes from {_kind(old)} to {_kind(new)}; values that do not fit are dropped"
        yield Difference(reason, tightens=True, rewrites=True)
    if (old.default, type(old.default)) != (new.default, type(new.default)):
        reason = f"{name} has another default; rows keep what they showed, so the old one is written into them"
        yield Difference(reason, rewrites=True)
    if repr(old.initial) != repr(new.initial):
        yield Difference(f"{name} has another value where SQL does not name it", destructive=False, rewrites=True)
    if new.required and not old.required and new.default is None and not new.nullable:
        yield Difference(f"{name} becomes required", tightens=True)
    if not loosens(old.schema, new.schema):
        yield Difference(f"{name} may hold less than before", tightens=True)


def _new_columns(old: Table, new: Table) -> Iterator[Difference]:
    for name, column in new.columns.items():
        if name in old.columns or not column.path:
            continue
        sparse = any(group.sparse and column.path[: len(group.path)] == group.path for group in new.root.groups)
        if column.initial is not None:
            yield Difference(f"{name} is new and has a value in every row", destructive=False, tightens=True)
        elif column.required and column.default is None and not column.nullable and not sparse:
            yield Difference(f"{name} is new and required, but has no default", tightens=True)


def _references(old: Table, new: Table) -> Iterator[Difference]:
    for link in old.links:
        if link not in new.links:
            yield Difference(f"the reference of {', '.join(link.columns)} to {link.table} changes", rewrites=True)
    for link in new.links:
        if link not in old.links and all(name in old.columns for name in link.columns):
            reason = f"{', '.join(link.columns)} must name a row of {link.table}"
            yield Difference(reason, tightens=True, rewrites=True)
    for columns in new.unique:
        if columns not in old.unique and any(name in old.columns for name in columns):
            yield Difference(f"{', '.join(columns)} becomes unique", tightens=True)
    if new.tree is not None and new.tree != old.tree:
        yield Difference(f"{new.tree} may not form a circle", tightens=True)


def _groups(old: Table, new: Table) -> Iterator[Difference]:
    before = {group.path: group for group in old.root.groups}
    for group in new.root.groups:
        name = ".".join(group.path) or "the row"
        was = before.get(group.path)
        conditions = {word: group.schema[word] for word in group.schema.keys() & ACROSS}
        if not conditions.items() <= ({} if was is None else was.schema).items():
            yield Difference(f"{name} has another condition between its properties", tightens=True)
        if was is not None and was.sparse != group.sparse and any(leaf.default is not None for leaf in group.leaves):
            yield Difference(f"{name} is {_presence(group)} where nothing of it is stored", tightens=True)


def _presence(group: Group) -> str:
    return "now absent" if group.sparse else "now there, with its defaults,"


def _limits(old: Table, new: Table) -> Iterator[Difference]:
    if not _within(old.length, new.length):
        yield Difference("fewer rows are allowed", tightens=True)
    before = {limit.table: (limit.minimum, limit.maximum) for limit in old.lists}
    for limit in new.lists:
        if not _within(before.get(limit.table, (0, None)), (limit.minimum, limit.maximum)):
            yield Difference(f"{limit.table} may have fewer lengths than before", tightens=True)


def _within(old: tuple[int, int | None], new: tuple[int, int | None]) -> bool:
    upper = new[1] is None or (old[1] is not None and old[1] <= new[1])
    return new[0] <= old[0] and upper


def loosens(old: Schema, new: Schema) -> bool:
    """Whether whatever was valid still is. What is not plain to see counts as no."""
    words = {word for word in old.keys() | new.keys() if word not in ANNOTATIONS and not word.startswith("x-")}
    return all(word not in new or _keyword_loosens(word, old.get(word), new[word]) for word in words)


def _keyword_loosens(word: str, old: Any, new: Any) -> bool:
    if old == new and type(old) is type(new):
        return True
    if old is None:
        return (word in ("minLength", "minItems", "minProperties") and new == 0) or word == "contentMediaType"
    if word in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
        return bool(new <= old)
    if word in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
        return bool(new >= old)
    if word == "enum":
        return all(any(one == other and type(one) is type(other) for other in new) for one in old)
    if word == "type":
        now = _types(new) | ({"integer"} if "number" in _types(new) else set())
        return _types(old) <= now
    return False


def _types(said: str | list[str]) -> set[str]:
    return {said} if isinstance(said, str) else set(said)


def _kind(column: Column) -> str:
    return f"{column.type}" if column.form == "plain" else column.form
