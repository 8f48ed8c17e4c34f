"""`sharelite sql`: scripts, commands, and what is wrong (SPEC D)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from sharelite.__main__ import sharelite
from sharelite.commands.projects import Server
from sharelite.commands.shell import Shell
from sharelite.commands.sql import _talk, pieces
from tests.roads import SCENE
from tests.serving import Serving


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
