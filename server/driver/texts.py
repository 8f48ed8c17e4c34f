"""What the driver itself has to know of a text of SQL: its first words, and where one statement of a script ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from sqlite3 import complete_statement
from typing import Literal, NamedTuple

_BLANK = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z)|;)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_CONTROL = re.compile(
    r"(?:(?P<begin>BEGIN)(?:\s+(?P<mode>DEFERRED|IMMEDIATE|EXCLUSIVE))?|(?P<commit>COMMIT|END)|(?P<rollback>ROLLBACK))"
    r"(?:\s+TRANSACTION)?(?:\s|;)*",
    re.IGNORECASE,
)
_HA = re.compile(
    r"""HA\s+(?:(?P<create>CREATE\s+DB)|USE)\s+
        (?:\?|'(?P<quoted>(?:[^']|'')+)'|"(?P<double>(?:[^"]|"")+)"|(?P<bare>[\w-]+)) \s* (?:;(?P<rest>.*))?""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
SCHEMA = frozenset({"CREATE", "ALTER", "DROP"})
SAVEPOINTS = frozenset({"SAVEPOINT", "RELEASE", "ROLLBACK"})
Verb = Literal["begin", "commit", "rollback"]


class Control(NamedTuple):
    """A statement that begins or ends a transaction; `mode` is that of SPEC Q."""

    verb: Verb
    mode: str = "deferred"


class Ha(NamedTuple):
    """A statement about whole projects. `name`: of the project; None: it is the first parameter."""

    verb: Literal["create", "use"]
    name: str | None
    rest: str


def ha(sql: str) -> Ha | None:
    """`HA CREATE DB name`, or `HA USE name; statement`, the name quoted, bare, or `?`."""
    start = _BLANK.match(sql)
    found = _HA.fullmatch(sql, start.end() if start else 0)
    if found is None:
        return None
    quoted, double = found["quoted"], found["double"]
    name = quoted.replace("''", "'") if quoted else double.replace('""', '"') if double else found["bare"]
    rest = found["rest"] or ""
    return Ha("create" if found["create"] else "use", name, "" if _BLANK.fullmatch(rest) else rest)


def first_word(sql: str) -> str:
    """In upper case, behind spaces and comments; empty where there is none."""
    start = _BLANK.match(sql)
    word = _WORD.match(sql, start.end() if start else 0)
    return word.group().upper() if word else ""


def is_empty(sql: str) -> bool:
    """Whether a text is nothing but spaces, comments and semicolons."""
    return _BLANK.fullmatch(sql) is not None


def control(sql: str) -> Control | None:
    """BEGIN, COMMIT, END or ROLLBACK, where the text is that and nothing else."""
    start = _BLANK.match(sql)
    found = _CONTROL.fullmatch(sql, start.end() if start else 0)
    if found is None:
        return None
    if found["begin"]:
        return Control("begin", "deferred" if (found["mode"] or "DEFERRED").upper() == "DEFERRED" else "immediate")
    return Control("commit" if found["commit"] else "rollback")


def statements(script: str) -> Iterator[str]:
    """The statements of a script, each with its semicolon; triggers are whole."""
    begun = ""
    for part in re.split(r"(?<=;)", script):
        begun += part
        if complete_statement(begun):
            yield from _said(begun)
            begun = ""
    yield from _said(begun)


def _said(text: str) -> Iterator[str]:
    if first_word(text) or not _BLANK.fullmatch(text):
        yield text
