"""A node of a cell, as it begins and comes to lead (SPEC K78)."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from sharelite.catalog import Catalog
from tests.company import company
from tests.serving import NOTES
from tests.test_accord import eventually


def test_a_leader_is_ready_when_it_has_loaded_its_contracts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # K78
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "notes.schema.json").write_text(json.dumps({"$id": "notes", **NOTES}))
    go_on, put = threading.Event(), Catalog.put_contract

    async def late(self: Catalog, *args: Any) -> Any:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return await put(self, *args)

    monkeypatch.setattr(Catalog, "put_contract", late)
    with company(tmp_path, contracts=tmp_path / "contracts") as made:
        (leader,) = [node for node in "abc" if made.node(node).cell.leading]
        answer = made[leader].http.get("/readyz")
        assert answer.status_code == 503 and "contracts" in answer.text
        go_on.set()
        eventually(lambda: made[leader].http.get("/readyz").status_code == 200)
        assert made[leader].http.get("/v1/contracts/notes").status_code == 200
