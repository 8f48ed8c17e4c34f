"""What SQL knows beside tables: stored triggers by name, in `x-sql` at the top of a contract."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from .places import Faults, join

LONGEST = 16 << 10
_NAME = r"""(?:[^\W\d][\w$]*|"(?:[^"]|"")+"|'(?:[^']|'')+'|`(?:[^`]|``)+`|\[[^\]]+\])"""
_HEAD = re.compile(rf"\s*CREATE\s+TRIGGER\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:{_NAME}\s*\.\s*)?{_NAME}\s*", re.IGNORECASE)


def check_definitions(sql: Any, tables: Collection[str], faults: Faults) -> None:
    """`inferred`, and the statements that make triggers. Whether these are right, SQLite says later."""
    if not isinstance(sql, dict) or not sql.keys() <= {"inferred", "triggers"} or sql.get("inferred", True) is not True:
        faults.add("/x-sql", "`x-sql` at the top has `inferred` (true) and `triggers`, and nothing else")
        return
    said = sql.get("triggers", {})
    if not isinstance(said, dict):
        faults.add("/x-sql/triggers", "`triggers` has a statement for each name")
        return
    taken = {name.lower() for name in tables}
    for name, text in said.items():
        where = join("/x-sql", "triggers", name)
        if name.startswith("_") or name.lower().startswith("sqlite_") or name.lower() in taken:
            faults.add(where, f"{name!r} is a name that a trigger cannot have here")
        elif not isinstance(text, str) or len(text) > LONGEST or not text.startswith(_head(name)):
            faults.add(where, f"a statement of at most {LONGEST:,} characters that begins {_head(name)!r}")


def definition(name: str, text: str) -> str:
    """The statement as a contract has it. `text`: as SQLite keeps it."""
    found = _HEAD.match(text)
    assert found is not None, "SQLite keeps a trigger as a statement that makes it"
    return _head(name) + text[found.end() :].strip()


def changed(old: Mapping[str, str], new: Mapping[str, str], rebuilt: bool) -> tuple[list[str], list[str]]:
    """The names that go, and the statements that come. `rebuilt`: tables change under them, so all are made anew."""
    if rebuilt:
        return list(old), list(new.values())
    gone = [name for name, text in old.items() if new.get(name) != text]
    return gone, [text for name, text in new.items() if old.get(name) != text]


def _head(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'CREATE TRIGGER "{doubled}" '
