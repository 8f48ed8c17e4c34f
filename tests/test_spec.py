"""Every numbered rule of server/SPEC.md is named by a test, and no test names a rule that is not there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IDS = r"[A-Z]\d+(?:[,;] ?[A-Z]\d+)*"
RULE = re.compile(r"^- \*\*([A-Z]\d+)\*\* \S", re.MULTILINE)
#: The comment behind the head of a test, also where its arguments take several lines.
PYTHON = re.compile(rf"def test_\w+\([^)]*\)[^:\n]*:\s*# ({IDS})\b")
#: `it('... (S1, S2)'`: the end of a title.
TYPESCRIPT = re.compile(rf"\(({IDS})\)['\"`]")


def rules() -> list[str]:
    return RULE.findall((ROOT / "server/SPEC.md").read_text())


def named() -> set[str]:
    python = [hit for path in (ROOT / "tests").rglob("test_*.py") for hit in PYTHON.findall(path.read_text())]
    client = (ROOT / "client-js/test").rglob("*.ts")
    typescript = [hit for path in client for hit in TYPESCRIPT.findall(path.read_text())]
    return {rule for hit in [*python, *typescript] for rule in re.findall(r"[A-Z]\d+", hit)}


def test_there_are_rules_and_each_number_is_given_once() -> None:
    counted = Counter(rules())
    assert counted
    assert [rule for rule, times in counted.items() if times > 1] == []


def test_every_rule_is_named_by_a_test() -> None:
    assert set(rules()) - named() == set()


def test_every_rule_that_a_test_names_exists() -> None:
    assert named() - set(rules()) == set()


def test_rules_stand_in_the_section_of_their_letter() -> None:
    sections = re.split(r"^## ", (ROOT / "server/SPEC.md").read_text(), flags=re.MULTILINE)[1:]
    strangers = [rule for section in sections for rule in RULE.findall(section) if rule[0] != section[0]]
    assert strangers == []
