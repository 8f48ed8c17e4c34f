"""What the sources of the demo promise: little between store and widgets, and no text that speaks one language only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import ROOT

SOURCES = ROOT / "demo/src"
#: Lines of code, without comments and empty ones.
GLUE = 30
COMMENT = re.compile(r"/\*.*?\*/|(?<![:'\"])//[^\n]*", re.S)
#: Text between tags, and text given to what people read or hear. `<b>N</b>` of a compass is a sign in both languages.
BETWEEN_TAGS = re.compile(r"[\w\"'}/]>\s*([^<>{}()=;]*[A-Za-z]{2}[^<>{}()=;]*)<(?=[/\w>])")
SPOKEN = re.compile(
    r"\b(?:title|aria-label|placeholder|alt|label)"
    r"=(?:\"([^\"]*[A-Za-z]{2}[^\"]*)\"|{`([^`]*[A-Za-z]{2}[^`]*)`})"
)
#: Filled in, or the names of keys.
NO_WORDS = re.compile(r"\$\{[^}]*\}|\((?:Ctrl|Shift|\+|[A-Z])+\)")
SAID = re.compile(r"\b(?:say|new Error)\((?:'([^']*)'|`([^`]*)`)")


def code(path: Path) -> str:
    return COMMENT.sub("", path.read_text())


def test_a_panel_of_110_properties_takes_at_most_30_lines_between_store_and_widgets() -> None:  # S76
    panel = code(SOURCES / "panel/PropertyPanel.tsx")
    lines = [line for line in panel.splitlines() if line.strip()]
    assert len(lines) <= GLUE
    assert max(map(len, lines)) <= 160, "a line is a line"


@pytest.mark.parametrize("name", ["Form.tsx", "controls.tsx"])
def test_the_widgets_know_nothing_of_the_store(name: str) -> None:
    imports = re.findall(r"^import (type )?.*? from '(sharelite[^']*)'", code(SOURCES / "panel" / name), re.M)
    assert all(types for types, _ in imports), imports


def texts(source: str) -> Iterator[str]:
    for found in (*BETWEEN_TAGS.finditer(source), *SPOKEN.finditer(source), *SAID.finditer(source)):
        text = next(group for group in found.groups() if group is not None)
        if re.search(r"[A-Za-z]{2}", NO_WORDS.sub("", text)):
            yield " ".join(text.split())


def test_every_text_of_the_page_comes_from_the_dictionary() -> None:
    pages = [path for kind in ("*.tsx", "drop/*.ts", "scene/people.ts") for path in SOURCES.rglob(kind)]
    found = {str(path.relative_to(SOURCES)): list(texts(code(path))) for path in pages}
    assert {name: said for name, said in found.items() if said} == PROGRAMMERS


#: Said to who changes the demo, never shown.
PROGRAMMERS = {"app/context.tsx": ["outside of DeskProvider", "this needs the main window"]}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('<a title="Save it">', "Save it"),
        ("<b>Save it</b>", "Save it"),
        ("<b aria-label={`Save ${name}`}>", "Save ${name}"),
        ("say(`Saved ${name}`)", "Saved ${name}"),
        ("<p>\n  Save <b>", "Save"),
    ],
)
def test_a_text_that_is_not_from_the_dictionary_is_found(source: str, text: str) -> None:
    assert list(texts(source)) == [text]
