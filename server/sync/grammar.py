"""The closed grammar of schema steps: what apply executes on every node and in every browser, and nothing else.

    CREATE TABLE name(...) STRICT      ALTER TABLE name ADD COLUMN | DROP COLUMN | RENAME TO
    DROP TABLE | INDEX | VIEW | TRIGGER
    CREATE TRIGGER name ... END: one statement, whatever it says, for apply and browsers never run it
    CREATE [UNIQUE] INDEX              CREATE VIEW name AS SELECT ... FROM table
    INSERT INTO table(...) SELECT ... FROM table ORDER BY key

Names are quoted, values literal; functions only those that give the same result everywhere. Table `_sharelite` and
SQLite's own are out of reach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<name>"(?:[^"]|"")+")
    | (?P<value>[xX]'(?:[0-9a-fA-F]{2})*' | '(?:[^']|'')*' | -?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_]+)
    | (?P<mark>[(),=])
    )""",
    re.VERBOSE,
)
_TYPES = {"TEXT", "INTEGER", "REAL", "BLOB", "ANY"}
_FUNCTIONS = {"COALESCE", "NULLIF", "TYPEOF"}
_ACTIONS = ("CASCADE", "SET NULL", "RESTRICT")
_HIDDEN = ("_sharelite", "sqlite_")
_OWN = ("_", "sqlite_")


class _NoStep(Exception):
    pass


_DEFINITION = re.compile(r'CREATE TRIGGER "((?:[^"]|"")+)" ')
#: What a definition is made of, as far as its end goes.
_PIECE = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]
      | (?P<word>[^\W\d][\w$]*) | (?P<end>;) | [^\0]""",
    re.VERBOSE | re.DOTALL,
)


def is_step(sql: str) -> bool:
    """Whether the text is exactly one statement of the grammar."""
    definition = _DEFINITION.match(sql)
    if definition is not None:
        name = definition[1].replace('""', '"').lower()
        return not name.startswith(_OWN) and _is_one(sql, definition.end())
    try:
        _Reader(list(_tokens(sql))).statement()
    except (_NoStep, RecursionError):
        return False
    return True


def _is_one(sql: str, start: int) -> bool:
    """Whether nothing comes behind a trigger: it ends with the END of its BEGIN; only inside of it are semicolons."""
    depth, at, ended = 0, start, False
    while at < len(sql):
        found = _PIECE.match(sql, at)
        if found is None:
            return False
        at = found.end()
        word = (found["word"] or "").upper()
        if ended and found.group().strip():
            return False
        if found["end"] and depth == 0:
            return False
        if word in ("BEGIN", "CASE"):
            depth += 1
        elif word == "END":
            depth -= 1
            ended = depth == 0
    return ended


def _tokens(sql: str) -> Iterator[tuple[str, str]]:
    text, at = sql.rstrip(), 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _NoStep
        token = found.group(found.lastgroup)
        yield found.lastgroup, token.upper() if found.lastgroup == "word" else token
        at = found.end()


class _Reader:
    """Reads tokens by the rules; whatever is not as a rule says is no step."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at = [*tokens, ("end", "")], 0

    def statement(self) -> None:
        forms: dict[str, Callable[[], None]] = {
            "CREATE TABLE": self._create_table, "CREATE UNIQUE INDEX": self._create_index,
            "CREATE INDEX": self._create_index, "CREATE VIEW": self._create_view, "ALTER TABLE": self._alter,
            "INSERT INTO": self._insert, "DROP TABLE": self._name, "DROP INDEX": self._name, "DROP VIEW": self._name,
            "DROP TRIGGER": self._name,
        }  # fmt: skip
        for words, form in forms.items():
            if self._take(words):
                form()
                self._kind("end")
                return
        raise _NoStep

    def _create_table(self) -> None:
        self._name()
        self._list(self._definition)
        self._need("STRICT")

    def _definition(self) -> None:
        if self._take("PRIMARY KEY"):
            self._list(self._name)
        elif self._take("FOREIGN KEY"):
            self._list(self._name)
            self._need("REFERENCES")
            self._refers()
        else:
            self._column()

    def _column(self) -> None:
        self._name()
        self._word(_TYPES)
        if self._take("PRIMARY KEY"):
            self._take("AUTOINCREMENT")
        else:
            self._take("NOT NULL")
        if self._take("DEFAULT") and not any(self._take(f"CURRENT_{what}") for what in ("DATE", "TIME", "TIMESTAMP")):
            self._kind("value")
        if self._take("REFERENCES"):
            self._refers()

    def _refers(self) -> None:
        self._name()
        self._list(self._name)
        while self._take("ON DELETE") or self._take("ON UPDATE"):
            if not any(self._take(action) for action in _ACTIONS):
                raise _NoStep
        self._need("DEFERRABLE INITIALLY DEFERRED")

    def _create_index(self) -> None:
        self._name()
        self._need("ON")
        self._name()
        self._list(self._name)

    def _create_view(self) -> None:
        self._name()
        self._need("AS")
        self._select()

    def _alter(self) -> None:
        self._name()
        if self._take("ADD COLUMN"):
            self._column()
        elif self._take("DROP COLUMN") or self._take("RENAME TO"):
            self._name()
        else:
            raise _NoStep

    def _insert(self) -> None:
        self._name()
        self._list(self._name)
        self._select()
        self._need("ORDER BY")
        self._many(self._name)

    def _select(self) -> None:
        self._need("SELECT")
        self._many(self._shown)
        self._need("FROM")
        self._name()

    def _shown(self) -> None:
        self._expression()
        if self._take("AS"):
            self._name()

    def _expression(self) -> None:
        self._operand()
        while True:
            if self._take("IN"):
                self._list(self._expression)
            elif self._take("AND") or self._take("OR") or self._take("="):
                self._operand()
            elif not (self._take("IS NOT NULL") or self._take("IS NULL")):
                return

    def _operand(self) -> None:
        kind, token = self._tokens[self._at]
        if kind == "word" and token in _FUNCTIONS:
            self._at += 1
            self._list(self._expression)
        elif self._take("CAST"):
            self._need("(")
            self._expression()
            self._need("AS")
            self._word(_TYPES)
            self._need(")")
        elif self._take("CASE"):
            self._case()
        elif self._take("("):
            self._expression()
            self._need(")")
        elif kind == "name":
            self._name()
        elif not self._take("NULL"):
            self._kind("value")

    def _case(self) -> None:
        self._need("WHEN")
        self._expression()
        self._need("THEN")
        self._expression()
        if self._take("ELSE"):
            self._expression()
        self._need("END")

    def _list(self, item: Callable[[], None]) -> None:
        self._need("(")
        self._many(item)
        self._need(")")

    def _many(self, item: Callable[[], None]) -> None:
        item()
        while self._take(","):
            item()

    def _name(self) -> None:
        name = self._kind("name")[1:-1].replace('""', '"').lower()
        if name.startswith(_HIDDEN):
            raise _NoStep

    def _word(self, words: set[str]) -> None:
        if self._kind("word") not in words:
            raise _NoStep

    def _kind(self, kind: str) -> str:
        found, token = self._tokens[self._at]
        if found != kind:
            raise _NoStep
        self._at += 1
        return token

    def _take(self, words: str) -> bool:
        """The next tokens, if they are these words or marks."""
        wanted = words.split()
        there = self._tokens[self._at : self._at + len(wanted)]
        if [token for kind, token in there if kind in ("word", "mark")] != wanted:
            return False
        self._at += len(wanted)
        return True

    def _need(self, words: str) -> None:
        if not self._take(words):
            raise _NoStep
