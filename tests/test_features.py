"""client-js/FEATURES.md: every row is there once, and every test that it names exists."""

from __future__ import annotations

import re
from collections import Counter

from tests.running import ROOT

PAGE = ROOT / "client-js/FEATURES.md"
WANTED = (
    [f"HAM-{n}" for n in range(13, 20)]
    + [f"SL-{n}" for n in range(1, 22)]
    + [f"FO-{n}" for n in range(1, 11)]
    + [f"FG-{n}" for n in range(1, 13)]
    + ["N-3", "N-4", "N-12", "N-14"]
)
TEST = re.compile(r"`(?P<file>[\w-]+(?:\.test\.ts|\.py))` (?P<name>.+)")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [A-Z]+-\d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def named_in(cell: str) -> list[tuple[str, str]]:
    """Files and the beginnings of names, as one cell says them; what is no such thing has no file."""
    parts = re.split(r"; (?=`)", re.split(r"\. \*\*Not built", cell)[0])
    return [(hit["file"], hit["name"]) if (hit := TEST.fullmatch(part)) else ("", part) for part in parts]


def sources() -> dict[str, str]:
    """The tests of both languages by the names of their files; two of one name are taken together."""
    texts: dict[str, str] = {}
    for path in [*(ROOT / "client-js/test").rglob("*.test.ts"), *(ROOT / "tests").rglob("test_*.py")]:
        texts[path.name] = texts.get(path.name, "") + path.read_text().replace("\\'", "'")
    return texts


def test_every_row_is_there_once() -> None:
    assert Counter(row for row, *_ in rows()) == Counter(WANTED)


def test_every_row_names_tests_that_exist() -> None:
    texts = sources()
    missing = []
    for row, _asked, _where, shown_by in rows():
        for file, name in named_in(shown_by):
            beginnings = (f"('{name}", f"(`{name}", f"def {name}(")
            if not any(beginning in texts.get(file, "") for beginning in beginnings):
                missing.append(f"{row}: {file} {name}")
    assert missing == []


def test_a_name_that_no_test_has_would_be_found() -> None:
    named = named_in("`undo.test.ts` takes it back; `test_a.py` test_b; `c` d. **Not built:** e")
    assert named == [("undo.test.ts", "takes it back"), ("test_a.py", "test_b"), ("", "`c` d")]
