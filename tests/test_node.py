"""The identity of a data directory (SPEC L17)."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharelite.errors import Damaged
from sharelite.storage.files import Files
from sharelite.storage.node import identity


def test_a_data_directory_keeps_its_identity(tmp_path: Path) -> None:  # L17
    first = identity(Files(), tmp_path)
    assert identity(Files(), tmp_path) == first and first.incarnation == 1
    other = tmp_path / "other"
    other.mkdir()
    assert identity(Files(), other).node != first.node


@pytest.mark.parametrize("content", ["", "{}", '{"format":2,"cluster":"c","node":"n","incarnation":1}'])
def test_a_directory_of_another_format_is_refused(tmp_path: Path, content: str) -> None:  # L17
    (tmp_path / "node.json").write_text(content)
    with pytest.raises(Damaged, match=r"node\.json"):
        identity(Files(), tmp_path)
