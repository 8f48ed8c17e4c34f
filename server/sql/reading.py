"""What kind of statement a text is, by its first word: which road it takes. Nothing is decided about its rights here.

A text that is not plainly a read counts as a write, which can read as well and costs a turn.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["read", "write", "schema", "transaction", "empty"]

_BLANK = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z)|;)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_TOKEN = re.compile(
    r"""--[^\n]* | /\*.*?(?:\*/|\Z) | '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]
      | (?P<word>[^\W\d][\w$]*) | (?P<mark>[()]) | .""",
    re.VERBOSE | re.DOTALL,
)
_SAVEPOINT = re.compile(
    r"""(?:\s|;)* (?P<verb>SAVEPOINT | RELEASE(?:\s+SAVEPOINT)? | ROLLBACK(?:\s+TRANSACTION)?\s+TO(?:\s+SAVEPOINT)?)
        (?:\s+|(?=["'`\[])) (?P<name>[^\W\d][\w$]* | "(?:[^"]|"")+" | '(?:[^']|'')+' | `(?:[^`]|``)+` | \[[^\]]+\])
        (?:\s|;)*""",
    re.VERBOSE | re.IGNORECASE,
)
_READS = frozenset({"SELECT", "VALUES", "EXPLAIN", "PRAGMA"})
_SCHEMA = frozenset({"CREATE", "ALTER", "DROP"})
_TRANSACTION = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_VERBS = frozenset({"SELECT", "VALUES", "INSERT", "UPDATE", "DELETE", "REPLACE"})
#: Behind a WITH clause that is longer, a read is taken for a write.
LONGEST_WITH = 64 << 10


def kind(sql: str) -> Kind:
    """The kind of a statement."""
    word = first_word(sql)
    if word is None:
        return "empty" if is_blank(sql) else "write"
    if word in _READS:
        return "read"
    if word == "WITH":
        return "read" if _verb(sql) in _READS else "write"
    if word in _SCHEMA:
        return "schema"
    return "transaction" if word in _TRANSACTION else "write"


def words(sql: str) -> set[str]:
    """The bare words of a statement, in upper case: nothing quoted, no comments."""
    return {found["word"].upper() for found in _TOKEN.finditer(sql) if found["word"]}


def savepoint(sql: str) -> tuple[str, str] | None:
    """`SAVEPOINT`, `RELEASE` or `ROLLBACK` (to one) and the name, where the statement is that and nothing else."""
    found = _SAVEPOINT.fullmatch(sql)
    if found is None:
        return None
    name: str = found["name"]
    if name[0] in "\"'`[":
        end = name[-1]
        name = name[1:-1].replace(end * 2, end)
    verb = found["verb"].upper().split()[0]
    return verb, name


def first_word(sql: str) -> str | None:
    """In upper case, behind comments and spaces."""
    start = _BLANK.match(sql)
    assert start is not None, "an empty match is one"
    word = _WORD.match(sql, start.end())
    return word.group().upper() if word else None


def is_blank(text: str) -> bool:
    """Whether there is nothing but spaces, comments and semicolons."""
    return _BLANK.fullmatch(text) is not None


def _verb(sql: str) -> str | None:
    """What a statement with a WITH clause does: the first verb outside of all parentheses."""
    depth = 0
    for found in _TOKEN.finditer(sql, 0, LONGEST_WITH):
        if found["mark"]:
            depth += 1 if found["mark"] == "(" else -1
        elif found["word"] and depth == 0 and found["word"].upper() in _VERBS:
            return found["word"].upper()
    return None
