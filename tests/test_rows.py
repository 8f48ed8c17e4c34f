"""Every row of the scoreboard (tests/rows/) says where it is built, and which rules and tests show it: they exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.test_spec import rules

HERE = Path(__file__).parent
ROOT = HERE.parent
#: What is bound to a library, refused with a reason, or still to come has no test of ours.
WITHOUT = ("library:", "no:", "open:")
NAME = re.compile(r"`([^`]+)`")
PATH = re.compile(r"`((?:server|client-js|demo|bench|tests|scripts)/[^`]+|server|client-js|demo)`")
RULE = re.compile(r"\b[A-Z]\d+\b")
PYTHON = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
SCRIPT = re.compile(r"\b(?:it|test|describe)(?:\.\w+)*(?:\([^)]*\))?\(\s*([\"'`])((?:\\.|(?!\1).)*)\1", re.DOTALL)


def rows() -> list[tuple[str, str, str, str]]:
    """File, row, where it is built, tests."""
    found = []
    for file in sorted((HERE / "rows").glob("*.md")):
        for line in file.read_text().splitlines():
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if line.startswith("| ") and cells[0] not in ("Row", "---"):
                assert len(cells) == 3, f"{file.name}: three cells are needed: {line}"
                found.append((file.name, *cells))
    return found  # type: ignore[return-value]


@cache
def shown_by() -> frozenset[str]:
    """Names of tests in Python, titles of those in TypeScript."""
    python = [file.read_text() for file in HERE.rglob("*.py")]
    folders = (ROOT / "client-js" / "test", ROOT / "demo")
    script = [
        file.read_text()
        for folder in folders
        for file in folder.rglob("*.test.ts*")
        if "node_modules" not in file.parts
    ]
    names = [name for text in python for name in PYTHON.findall(text)]
    return frozenset(names + [title for text in script for _, title in SCRIPT.findall(text)])


def test_there_are_rows() -> None:
    assert len(rows()) > 10


@pytest.mark.parametrize(("file", "row", "built", "shown"), rows(), ids=lambda cell: cell[:24])
def test_a_row_is_shown_by_tests_that_there_are(file: str, row: str, built: str, shown: str) -> None:
    if built.startswith(WITHOUT):
        assert len(built) > 20, f"{file}, {row}: the reason"
        return
    names, numbers = NAME.findall(shown), RULE.findall(NAME.sub("", shown))
    assert names or numbers, f"{file}, {row}: neither a rule nor a test"
    missing = [name for name in names if name not in shown_by()] + sorted(set(numbers) - set(rules()))
    assert not missing, f"{file}, {row}: there is no {missing}"
    for path in PATH.findall(built):
        assert (ROOT / path).exists(), f"{file}, {row}: there is no {path}"


def test_no_row_stands_twice() -> None:
    names = [row for _, row, _, _ in rows()]
    assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})
