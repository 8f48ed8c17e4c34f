"""What `sharelite sql` does with a line: SQL, and commands that begin with a dot. It knows no terminal."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..driver import Connection, Cursor, connect
from ..driver.texts import first_word, ha
from .projects import Remote, Server

MODES = ("table", "line", "csv", "json")
TABLES = """SELECT name FROM sqlite_schema WHERE type = 'table'
    AND name NOT GLOB 'sqlite_*' AND name <> '_sharelite' ORDER BY name"""
INDEXES = "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
SCHEMA = """SELECT type, name, sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name <> '_sharelite'
    AND tbl_name NOT GLOB 'sqlite_*' AND NOT (type = 'view' AND name GLOB '*_full')
    AND (:table IS NULL OR tbl_name = :table COLLATE NOCASE) ORDER BY rowid"""
COLUMNS = "SELECT DISTINCT p.name FROM sqlite_schema m, pragma_table_info(m.name) p WHERE m.type = 'table'"
WORDS = """SELECT INSERT UPDATE DELETE FROM WHERE VALUES INTO SET ORDER GROUP BY LIMIT OFFSET JOIN LEFT ON AND OR NOT
    NULL DISTINCT LIKE BETWEEN CREATE ALTER DROP TABLE INDEX BEGIN COMMIT ROLLBACK SAVEPOINT RETURNING EXPLAIN"""
#: A name as somebody types it: with dots, and with the quote that it began with.
BEGUN = re.compile(r"\"(?:[^\"]|\"\")*\Z|[\w.$]*\Z")
PLAIN = re.compile(r"[^\W\d][\w$]*\Z")
#: What a terminal would obey, and not show.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
WIDEST = 1_000_000
HELP = """\
A statement ends with ; and may have several lines. Tab completes, arrow keys bring back what was said, Ctrl+C ends a
long statement. A table wider than the terminal is shown line by line.

.projects            the projects that you may read
.use PROJECT         go on with another project, by name or id
.nodes               the nodes of the cell, who leads, and how far each of them is
.tables              its tables
.indexes             its indexes
.schema [TABLE]      the statements that would make them
.mode MODE           how rows are shown: table, line, csv, json
.timer on|off        how long each statement took
.dump                the whole project as SQL text
.quit                leave; so do exit, quit and Ctrl+D
HA CREATE DB NAME    a new project, whose tables SQL makes
HA USE NAME          as .use
BEGIN, COMMIT, ROLLBACK and SAVEPOINT work as everywhere; a transaction that wrote waits 2 s for the next statement."""


DOTTED = [line.split()[0] for line in HELP.splitlines() if line.startswith(".")] + [".help"]


def is_command(line: str) -> bool:
    """Whether a line is a command, which has no more lines, and not SQL."""
    return line.lstrip().startswith(".") or line.strip().rstrip(";").lower() in ("exit", "quit")


class Shell:
    """A project, a mode, and where it all goes. `finished`: somebody said .quit."""

    def __init__(
        self,
        server: Server,
        url: str,
        token: str | None,
        show: Callable[[str], None],
        mode: str,
        width: Callable[[], int | None] = lambda: None,
    ) -> None:
        scheme, _, host = url.rstrip("/").partition("://")
        safe, user = "s" if scheme == "https" else "", f"{quote(token, safe='')}@" if token else ""
        self.url = url.rstrip("/")
        self._address = f"sharelite{safe}://{user}{host}/"
        self._server, self._show, self._width = server, show, width
        self.mode, self.timer, self.finished, self.project = mode, False, False, ""
        self._connection: Connection | None = None

    def use(self, project: str) -> None:
        """Raises what `connect` raises; the project before stays then."""
        connection = connect(self._address + quote(project, safe=""), autocommit=True)
        self.close()
        self._connection, self.project = connection, project

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @property
    def in_transaction(self) -> bool:
        return self._connection is not None and self._connection.in_transaction

    @property
    def prompt(self) -> str:
        """A star where a transaction is open."""
        return f"{self.project or 'no project'}{'*' if self.in_transaction else ''}> "

    def words(self) -> list[str]:
        """For completion: of SQL, and of the schema, in quotes where a name needs them."""
        names = []
        if self._connection is not None:
            names = [row[0] for sql in (TABLES, COLUMNS) for row in self._connection.execute(sql)]
        return [*WORDS.split(), *dict.fromkeys(quoted(name) for name in names)]

    def run(self, text: str) -> None:
        """One statement or one command. Raises Error, Remote."""
        if is_command(text):
            self._command(*text.split(maxsplit=1))
        elif (about := ha(text)) is not None and about.name is not None and not about.rest:
            self._ha(about.verb, about.name)
        elif first_word(text) or text.strip(" \t\r\n;"):
            start = time.perf_counter()
            cursor = self._open().execute(text)
            self._rows(cursor)
            if self.timer:
                self._show(f"{(time.perf_counter() - start) * 1000:.1f} ms")

    def _ha(self, verb: str, name: str) -> None:
        if verb == "use":
            self.use(name)
        else:
            made = self._server.ask("POST", "/v1/projects", {"name": name})
            self._show("\n".join(shown(self.mode, ["dbId"], [(made["id"],)])))

    def _open(self) -> Connection:
        if self._connection is None:
            raise Remote("no project yet: .projects shows them, .use PROJECT takes one")
        return self._connection

    def _command(self, name: str, argument: str = "") -> None:
        argument = argument.strip().rstrip(";")
        match name.strip().rstrip(";").lower():
            case ".help":
                self._show(HELP)
            case ".quit" | ".exit" | "quit" | "exit":
                self.finished = True
            case ".projects":
                found = self._server.ask("GET", "/v1/projects")["projects"]
                for each in found:
                    self._show(f"{each['id']}  {visible(each['name'])}")
                if not found:
                    self._show("there are none yet; HA CREATE DB NAME; makes one")
            case ".nodes":
                self._nodes()
            case ".use" if argument:
                self.use(argument)
            case ".tables":
                self._rows(self._open().execute(TABLES))
            case ".indexes":
                self._rows(self._open().execute(INDEXES))
            case ".schema":
                self._schema(argument)
            case ".mode" if argument in MODES:
                self.mode = argument
            case ".timer" if argument in ("on", "off"):
                self.timer = argument == "on"
            case ".dump":
                self._dump()
            case _:
                raise Remote(f"{name} {argument}".strip() + ": not a command, or not what it takes; see .help")

    def _schema(self, table: str) -> None:
        """With NOT NULL, which the contract asks for and not SQLite's table."""
        tables = self._open().contract()["properties"]
        found = self._open().execute(SCHEMA, {"table": unquoted(table) or None}).fetchall()
        for kind, name, sql in found:
            self._show(asked_for(sql, tables[name].get("items", {})) if kind == "table" and name in tables else sql)
        if table and not found:
            raise Remote(f"there is no table {table}; .tables shows them")

    def _nodes(self) -> None:
        found = self._server.ask("GET", "/v1/cluster")
        names = ["node", "role", "connected", "behind", "url"]
        rows = [tuple([each[name] for name in names]) for each in found["nodes"]]
        self._show("\n".join(shown(self.mode, names, rows)))
        for trouble in found["trouble"]:
            self._show(trouble)

    def _dump(self) -> None:
        self._open()
        project = self._server.project(self.project)["id"]
        with self._server.stream(f"/v1/projects/{project}/export?format=sql") as download:
            text = b"".join(download.pieces()).decode()
            self._show(text.rstrip("\n"))

    def _rows(self, cursor: Cursor) -> None:
        if cursor.description is None:
            if cursor.rowcount >= 0:
                self._show(f"{cursor.rowcount} row{'' if cursor.rowcount == 1 else 's'}")
            return
        names = [column[0] for column in cursor.description]
        self._show("\n".join(shown(self.mode, names, cursor.fetchall(), self._width())))


def completions(text: str, words: Sequence[str]) -> tuple[str, list[str]]:
    """What of `text` stands for a name so far, and the words that it may become."""
    if re.fullmatch(r"\s*\.\w*", text):
        begun = text.strip()
        return begun, [command for command in DOTTED if command.startswith(begun.lower())]
    if mode := re.fullmatch(r"\s*\.mode\s+(\w*)", text):
        return mode[1], [each for each in MODES if each.startswith(mode[1])]
    found = BEGUN.search(text)
    begun = found[0] if found else ""
    plain = unquoted(begun if begun[-1:] == '"' != begun else begun + '"') if begun[:1] == '"' else begun
    if not plain:
        return begun, []
    fitting = [word for word in words if unquoted(word).lower().startswith(plain.lower())]
    return begun, [word for word in fitting if begun[:1] != '"' or word not in WORDS.split()]


def quoted(name: str) -> str:
    """A name as SQL takes it: as it is, or in quotes."""
    return name if PLAIN.match(name) and name.upper() not in WORDS.split() else '"' + name.replace('"', '""') + '"'


def unquoted(name: str) -> str:
    """A name as it is, also where somebody put it in quotes."""
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name


def asked_for(sql: str, items: Mapping[str, Any]) -> str:
    """The text of a table, as ours are written, with NOT NULL behind the types of required columns. One with a default
    may be NULL, which stands for it."""
    for column in items.get("required", ()):
        if "default" in items.get("properties", {}).get(column, {}):
            continue
        name = re.escape('"' + column.replace('"', '""') + '"')
        sql = re.sub(rf"([(,] ?{name} \w+)(?! NOT NULL| PRIMARY)(?=[ ,)])", r"\1 NOT NULL", sql, count=1)
    return sql


def shown(mode: str, names: list[str], rows: list[tuple[Any, ...]], width: int | None = None) -> Iterator[str]:
    """Rows as lines. NULL is empty in csv, NULL elsewhere; blobs are hexadecimal. A table of more than `width` cells is
    told as lines: cut or folded, nobody could read it."""
    match mode:
        case "json":
            plain = [[cell.hex() if isinstance(cell, bytes) else cell for cell in row] for row in rows]
            cells = [dict(zip(names, row, strict=True)) for row in plain]
            yield json.dumps(cells, ensure_ascii=False)
        case "csv":
            out = io.StringIO()
            writer = csv.writer(out, lineterminator="\n")
            writer.writerows([names, *[[_cell(cell, "") for cell in row] for row in rows]])
            yield out.getvalue().rstrip("\n")
        case "line":
            for row in rows:
                yield from [f"{visible(name)} = {visible(_cell(cell))}" for name, cell in zip(names, row, strict=True)]
                yield ""
        case _:
            table = _table(names, rows)
            if width is not None and len(names) > 1 and max(map(cell_len, table.splitlines())) > width:
                yield from shown("line", names, rows)
            else:
                yield table


def _table(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    """As wide as its cells are."""
    table = Table(box=None, header_style="bold")
    for name in names:
        table.add_column(Text(visible(name)), no_wrap=True)
    for row in rows:
        table.add_row(*[Text(visible(_cell(cell))) for cell in row])
    console = Console(width=WIDEST)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def visible(text: str) -> str:
    """With what a terminal would obey written out, so that no row can rewrite the screen."""
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _cell(cell: Any, null: str = "NULL") -> str:
    if cell is None:
        return null
    return f"x'{cell.hex()}'" if isinstance(cell, bytes) else str(cell)
