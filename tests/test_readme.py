"""What the README and the other pages say is so: samples run, commands exist, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from sharelite.__main__ import sharelite
from sharelite.commands.projects import Server
from sharelite.commands.shell import Shell, is_command
from tests.running import ExampleServer, RunningServer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
#: Not of what is made or installed here.
MADE = re.compile(r"(^|/)(\.[^/]*|node_modules|dist|build|reference|static)/")
PAGES = sorted(path for path in ROOT.rglob("*.md") if not MADE.search(path.relative_to(ROOT).as_posix()))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\(([^)\s#]+)")


#: What a shell runs of a page, but for what installs, serves, or speaks of hosts that are examples.
ELSEWHERE = re.compile(r"make |\. |sharelite (?:serve|demo)|sharelite cluster --url|#")


def fences(kind: str, text: str = README) -> list[str]:
    return [body for name, body in FENCE.findall(text) if name == kind]


def test_the_samples_are_the_files_of_the_examples() -> None:
    assert fences("html") == [(ROOT / "examples/hello.html").read_text()]
    assert fences("python") == [(ROOT / "examples/server.py").read_text()]


def test_the_page_without_a_bundler_has_at_most_15_lines() -> None:
    assert len((ROOT / "examples/hello.html").read_text().splitlines()) <= 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^|&& )make ([a-z][\w-]*)(?=[`\s]*(?:$|[`#:(,]))", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_sharelite_command_that_a_page_shows_exists(page: Path) -> None:
    shown = re.findall(r"(?:`|^|&& )sharelite ((?:[a-z]+ ?){1,2})", page.read_text(), re.MULTILINE)
    for words in shown:
        first, *_ = words.split()
        answer = CliRunner().invoke(sharelite, [first, "--help"])
        assert answer.exit_code == 0, f"sharelite {words}"


def test_the_help_in_the_readme_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(sharelite, ["--help"], prog_name="sharelite", terminal_width=100).output
    assert [f"$ sharelite --help\n{printed}"] == fences("text")


def test_the_sample_server_serves_its_page_and_calls_its_function(tmp_path: Path) -> None:
    with ExampleServer(tmp_path / "data") as server:
        status, page = server.ask("GET", "/examples/hello.html")
        assert status == 200 and b"openStore" in page
        project = server.create("Hello", "todo")
        rows = [["i", "todo", [name], {"title": name}] for name in ("a", "b")]
        assert server.ask("POST", f"/v1/projects/{project}/mutations", {"changes": rows})[0] == 200
        assert server.ask("POST", f"/v1/projects/{project}/mutations", {"call": "tick all"}) == (200, {"version": 3})
        commits = server.ask("GET", f"/v1/projects/{project}/commits?after=2")[1]["commits"]
        ticked = [{"done": 1}, {"done": None}]
        assert [change[2:] for change in commits[0]["changes"]] == [[["a"], *ticked], [["b"], *ticked]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data", "--contracts", str(ROOT / "contracts")) as running:
        yield running


def shell(server: RunningServer, line: str) -> subprocess.CompletedProcess[str]:
    """One line of a page, in the folder beside the data, with that server where the page has its own."""
    for shown in ("http://127.0.0.1:8080", "localhost:8080"):
        line = line.replace(shown, server.url)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    mine = {**os.environ, "SHARELITE_URL": server.url, "PATH": path}
    return subprocess.run(
        line, shell=True, cwd=server.data.parent, env=mine, capture_output=True, text=True, timeout=120
    )


def lines(text: str) -> list[str]:
    """The commands of the page's shell blocks."""
    return [line for block in fences("sh", text) for line in block.splitlines() if line.strip()]


def ready_for_the_readme(server: RunningServer) -> str:
    """What its examples find there: files, and projects called as they are. The id of one."""
    folder = server.data.parent
    with sqlite3.connect(folder / "places.db") as file:
        file.execute("CREATE TABLE place(id INTEGER PRIMARY KEY, name TEXT)")
        file.execute("INSERT INTO place(name) VALUES ('Here')")
    file.close()
    (folder / "cities.csv").write_text("id,name,position.lon,position.lat\n1,Rome,12.5,41.9\n")
    server.create("plan", "annotation")
    return server.create("Harbour plan", "todo")


def test_every_command_of_the_readme_does_what_it_says(server: RunningServer) -> None:
    harbour = ready_for_the_readme(server)
    said: dict[str, str] = {}
    for line in lines(README):
        if ELSEWHERE.match(line):
            continue
        done = shell(server, line.replace("/ID/", f"/{harbour}/").removesuffix("&"))
        refused = "# refused" in line
        assert done.returncode == refused and "Traceback" not in done.stderr, (line, done.stdout, done.stderr)
        said[line] = done.stdout + done.stderr
    (first, refusal) = [out for line, out in said.items() if "sql Hello" in line]
    assert "Milk" in first and "title" in refusal
    (address,) = [json.loads(out) for line, out in said.items() if line.startswith("curl") and "/image" in line]
    assert address["url"].startswith(f"/v1/images/{harbour}/")
    folder = server.data.parent
    with sqlite3.connect(folder / "hello.db") as file:
        assert file.execute("SELECT id, title FROM todo").fetchall() == [("t1", "Milk")]
    file.close()
    assert {"a.toml", "b.toml", "c.toml", "d.toml", "cell.key"} <= {path.name for path in (folder / "plans").iterdir()}


def test_the_request_of_the_readme_is_answered(server: RunningServer) -> None:
    (address, body) = next(block for block in fences("json") if block.startswith("POST")).split("\n", 1)
    project = server.create("plan", "todo")
    milk = ["i", "todo", ["m"], {"title": "milk"}]
    assert server.ask("POST", f"/v1/projects/{project}/mutations", {"changes": [milk]})[0] == 200
    path = address.split()[1].replace("{id}", project)
    status, answer = server.ask("POST", path, json.loads(body))
    assert status == 200 and answer["results"][0]["affected"] == 1 and answer["results"][1]["rows"] == [[1]]


def test_the_talk_with_the_prompt_is_as_the_readme_shows_it(server: RunningServer) -> None:
    """Each prompt is what the shell would print, and what follows is what it answers."""
    (talk,) = fences("console")
    with Server(server.url, None) as http:
        said: list[str] = []
        prompt = Shell(http, server.url, None, lambda text: said.extend(text.splitlines()), "table")
        shown, begun = "", ""
        for line in talk.splitlines():
            if (asked := re.match(r"([\w ]+\*?|   \.\.\.)> (.*)", line)) is None:
                assert (
                    re.sub(r"[0-9a-f]{32}", "ID", said.pop(0)).rstrip() == re.sub(r"[0-9a-f]{32}", "ID", line).rstrip()
                )
                continue
            assert said == [] and (begun != "" if asked[1].strip() == "..." else f"{asked[1]}> " == prompt.prompt)
            begun += asked[2] + "\n"
            if is_command(begun) or sqlite3.complete_statement(begun):
                prompt.run(begun.rstrip("\n"))
                shown, begun = shown + begun, ""
        assert prompt.finished and "CREATE TABLE" in shown
        prompt.close()
