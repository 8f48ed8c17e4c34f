"""What the README and the other pages say is so: samples run, commands exist, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sharelite.__main__ import sharelite
from tests.running import ExampleServer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [path for path in ROOT.rglob("*.md") if not {"node_modules", ".venv", "dist"} & set(path.parts)]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\(([^)\s#]+)")


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
    assert set(re.findall(r"\bmake ([a-z][\w-]*)(?=[`\s]*(?:$|[`#:(,]))", page.read_text(), re.MULTILINE)) <= targets


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
