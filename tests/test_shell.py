"""`sharelite sql`: scripts, commands, and what is wrong (SPEC D)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from sharelite.__main__ import sharelite
from sharelite.commands.projects import Server
from sharelite.commands.shell import Shell, completions
from sharelite.commands.sql import _talk, pieces
from tests.roads import SCENE
from tests.serving import Serving
from tests.terminal import at_terminal


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("shell") / "data") as serving:
        yield serving


@pytest.fixture
def plan(server: Serving) -> str:
    name = f"plan {secrets.token_hex(4)}"
    server.http.post("/v1/projects", json={"name": name, "contract": SCENE})
    return name


def run(server: Serving, *words: str, script: str = "") -> Result:
    return CliRunner().invoke(sharelite, ["sql", "--url", server.url, *words], input=script)


def test_a_script_is_run_statement_by_statement(server: Serving, plan: str) -> None:  # D11
    script = """INSERT INTO note(id) VALUES ('a;b'), -- two
        ('c'); BEGIN; DELETE FROM note WHERE id = 'c'; ROLLBACK;
    .mode json
    SELECT id, any, x'00ff' AS b FROM note ORDER BY id
    """
    done = run(server, plan, script=script)
    assert done.exit_code == 0, done.output
    first, second, rows = done.output.splitlines()
    assert (first, second) == ("2 rows", "1 row")
    assert json.loads(rows) == [{"id": "a;b", "any": None, "b": "00ff"}, {"id": "c", "any": None, "b": "00ff"}]


def test_commands_show_what_is_there(server: Serving, plan: str) -> None:  # D11
    script = f".projects\n.use {plan}\n.tables\n.schema note\n.indexes\n.timer on\nSELECT 1 AS one;\n"
    script += "INSERT INTO layer(id) VALUES ('dumped');\n.dump\n.help\n.quit\nSELECT 'after';"
    done = run(server, script=script)
    assert done.exit_code == 0, done.output
    for word in (plan, "layer", "CREATE TABLE", " ms", "one", "'dumped'", ".dump"):
        assert word in done.output, word
    assert "after" not in done.output


def test_a_project_is_made_and_used_by_ha_statements(server: Serving) -> None:  # D18
    name = f"made {secrets.token_hex(4)}"
    script = f"HA CREATE DB '{name}';\nHA USE '{name}';\nCREATE TABLE t(id INTEGER PRIMARY KEY);\n.tables\n"
    done = run(server, "--mode", "csv", script=script)
    assert done.exit_code == 0, done.output
    made = next(each for each in server.http.get("/v1/projects").json()["projects"] if each["name"] == name)
    assert done.output.split() == ["dbId", made["id"], "name", "t"]


def test_a_server_that_is_alone_has_no_nodes_to_show(server: Serving) -> None:  # D11
    assert "this server is alone" in str(run(server, script=".nodes\n").exception)


def test_a_schema_says_what_is_asked_of_each_table_and_nothing_of_the_server(server: Serving) -> None:  # D11
    name = f"made {secrets.token_hex(4)}"
    script = f"""HA CREATE DB '{name}';\n.USE {name}
        CREATE TABLE "a b"(id INTEGER PRIMARY KEY AUTOINCREMENT, "x, y" TEXT NOT NULL, n REAL DEFAULT 2,
        z INT NOT NULL);
        CREATE INDEX by_n ON "a b"(n);\n.Schema "a b"\nexit\nSELECT 'after';"""
    done = run(server, "--mode", "csv", script=script)
    assert done.exit_code == 0, done.output
    table, index = done.output.splitlines()[2:]
    assert '"x, y" TEXT NOT NULL,' in table and '"z" INTEGER NOT NULL)' in table and '"n" REAL' in table
    assert index.startswith('CREATE INDEX "by_n"')
    assert "no table nope" in str(run(server, name, script=".schema nope\n").exception)


@pytest.mark.parametrize(
    ("mode", "lines"),
    [("csv", ["a,b", '1,"x,y"', ",x'01'"]), ("line", ["a = 1", "b = x,y", "", "a = NULL", "b = x'01'"])],
)
def test_rows_have_a_mode(server: Serving, plan: str, mode: str, lines: list[str]) -> None:  # D11
    done = run(server, plan, "--mode", mode, "-c", "SELECT 1 AS a, 'x,y' AS b UNION ALL SELECT NULL, x'01'")
    assert done.output.rstrip().splitlines() == lines


@pytest.mark.parametrize("wrong", ["SELEC", "SELECT * FROM nowhere", ".dance", ".mode loud", ".use nowhere"])
def test_the_first_error_ends_a_script(server: Serving, plan: str, wrong: str) -> None:  # D11
    done = run(server, plan, script=f"{wrong}{'' if wrong.startswith('.') else ';'}\nSELECT 'after';")
    assert done.exception is not None and str(done.exception) and "after" not in done.output
    assert "no project yet" in str(run(server, script="SELECT 1;").exception)


def test_lines_become_statements_and_commands() -> None:  # D11
    assert [each.strip() for each in pieces(["SELECT\n", "'.x;\n", ".y';\n", ".tables\n", "SELECT 1; SELECT 2"])] == [
        "SELECT\n'.x;\n.y';", ".tables", "SELECT 1;", "SELECT 2",
    ]  # fmt: skip


def test_at_the_prompt_an_error_is_said_and_it_goes_on(
    server: Serving, plan: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:  # D11
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    said: list[str] = []
    with Server(server.url, None) as http, create_pipe_input() as keys:
        shell = Shell(http, server.url, None, said.append, "csv")
        shell.use(plan)
        keys.send_text(
            "SELEC;\rBEGIN;\rINSERT INTO note(id)\rVALUES ('a');\rSELECT count(*) AS n FROM note;\rROLLBACK;\r.quit\r"
        )
        with create_app_session(input=keys, output=DummyOutput()):
            _talk(shell)
        assert said == ["1 row", "n\n1"] and shell.prompt == f"{plan}> " and "note" in shell.words()
        shell.close()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
WIDE = "SELECT 1 AS a, 'two' AS b, 'a word of thirty-two letters or so' AS c"


def test_a_table_wider_than_the_terminal_is_shown_line_by_line(server: Serving, plan: str) -> None:  # D11
    said: list[str] = []
    with Server(server.url, None) as http:
        for width in (30, 80, None):
            shell = Shell(http, server.url, None, said.append, "table", lambda width=width: width)  # type: ignore[misc]
            shell.use(plan)
            shell.run(WIDE)
            shell.close()
    lines, table, piped = said
    assert lines.splitlines() == ["a = 1", "b = two", "c = a word of thirty-two letters or so"]
    assert table == piped and [line.split(maxsplit=2)[:2] for line in table.splitlines()] == [["a", "b"], ["1", "two"]]


def test_a_table_that_is_piped_is_neither_cut_nor_folded(server: Serving, plan: str) -> None:  # D11
    names = [f"c{number}" for number in range(200)]
    done = run(server, plan, "-c", "SELECT " + ", ".join(f"{name!r} AS {name}" for name in names))
    assert [line.split() for line in done.output.splitlines()] == [names, names]


def test_what_a_terminal_would_obey_is_written_out(server: Serving, plan: str) -> None:  # D11
    done = run(server, plan, "-c", "SELECT char(27) || '[2J' || char(7) || 'ä' AS x")
    assert done.output.split() == ["x", r"\x1b[2J\x07ä"]


@pytest.mark.parametrize(
    ("text", "begun", "found"),
    [
        ("sel", "sel", ["SELECT"]),
        (".ta", ".ta", [".tables"]),
        ("  .S", ".S", [".schema"]),
        (".mode j", "j", ["json"]),
        ("SELECT text.fo", "text.fo", ['"text.font"']),
        ('SELECT "text', '"text', ["text", '"text.font"']),
        ('UPDATE t SET x = 1, "sel', '"sel', []),
        ("SELECT ", "", []),
        ("SELECT a, o", "o", ["ORDER", '"order"']),
        ('SELECT "a ""b', '"a ""b', ['"a ""b"" c"']),
        ("SELECT ä", "ä", ["ämter"]),
    ],
)
def test_tab_completes_names_as_sql_takes_them(text: str, begun: str, found: list[str]) -> None:  # D11
    words = ["SELECT", "ORDER", "text", '"text.font"', '"order"', '"a ""b"" c"', "ämter"]
    assert completions(text, words) == (begun, found)


def test_real_keys_complete_interrupt_and_remember(server: Serving, plan: str, tmp_path: Path) -> None:  # D11
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with at_terminal("sql", plan, "--url", server.url, environment=home) as terminal:
        terminal.until(r"\.help says what else")
        terminal.until(r">")
        terminal.keys("SELECT coun\x7f\x7f\x7f\x7f1 +\r")
        terminal.until(r"\.\.\.>")
        terminal.keys("41;\r")
        terminal.until(r"\n 42\s[^>]*>")
        terminal.keys(".ta\t")
        terminal.until(r"\.tables")
        terminal.keys("\r")
        terminal.until(r"\n note\s[^>]*>")
        terminal.keys("BEGIN;\r")
        terminal.until(r"\*>")
        terminal.keys(f"SELECT 'be' || 'gun'; {ENDLESS};\r")
        terminal.until(r"\n begun\s")
        terminal.interrupt()
        terminal.until(r"interrupted[^>]*>")
        terminal.keys("SELECT 'on';\r")
        terminal.until(r"error: .*it was interrupted[^>]*>")
        terminal.keys("ROLLBACK;\r")
        terminal.until(rf"{plan}>")
        terminal.keys("SELECT 'on' || 'wards';\r")
        terminal.until(r"\n onwards[^>]*>")
        terminal.keys("\x04")
    with at_terminal("sql", plan, "--url", server.url, environment=home) as terminal:
        terminal.until(rf"{plan}>")
        terminal.keys("\x1b[A")
        terminal.until(r"wards'")
        terminal.keys("\r")
        terminal.until(r"\n onwards")


def test_where_nothing_can_be_kept_the_prompt_comes_all_the_same(server: Serving, plan: str, tmp_path: Path) -> None:
    # D11
    (tmp_path / "file").write_text("")
    home = {"HOME": str(tmp_path / "file"), "XDG_CONFIG_HOME": str(tmp_path / "file")}
    with at_terminal("sql", plan, "--url", server.url, environment=home) as terminal:
        terminal.until(r"is not kept")
        terminal.until(r">")
        terminal.keys("SELECT 6 * 7;\r")
        terminal.until(r"\n 42\s")
