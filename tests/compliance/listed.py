"""What server/driver/README.md says is left out of SQLAlchemy's tests, and why."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "server/driver/README.md"
_ROW = re.compile(r"^\| (?P<names>`.+`) \| (?P<reason>.+) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


def reasons(heading: str) -> dict[str, str]:
    """The names of a table below a heading, each with its reason."""
    text = README.read_text().partition(f"### {heading}\n")[2].partition("\n#")[0].replace(r"\|", "\0")
    return {
        name.replace("\0", "|"): row["reason"] for row in _ROW.finditer(text) for name in _CODE.findall(row["names"])
    }
