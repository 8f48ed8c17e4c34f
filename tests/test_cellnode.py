"""A node of a cell: as it comes to lead (SPEC K78), and behind what it answers (SPEC K56)."""

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
from tests.test_imaging import followers, leader


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


def test_what_was_asked_through_a_node_is_seen_there_however_slow_the_threads_are(tmp_path: Path) -> None:  # K56
    with company(tmp_path) as made:
        project, first, other = made.project(), leader(made), followers(made)[0]
        put, take = made.node(first).cell.put, made.node(other).cell.on_record
        go_on, arrives = threading.Event(), threading.Event()

        def put_and_stand_still(*args: Any, **named: Any) -> None:
            put(*args, **named)
            go_on.wait(60)

        def take_late(*args: Any) -> None:
            arrives.wait(60)
            take(*args)

        made.node(first).cell.put = put_and_stand_still  # type: ignore[method-assign]
        made.node(other).cell.on_record = take_late  # type: ignore[method-assign, assignment]
        seen: list[str] = []

        def rename() -> None:
            assert made[other].http.patch(f"/v1/projects/{project}", json={"name": "new"}).status_code == 200
            seen.append(made[other].http.get(f"/v1/projects/{project}").json()["name"])

        asking = threading.Thread(target=rename)
        asking.start()
        asking.join(1.0)  # whoever answers too early has done so
        arrives.set()
        asking.join(60)
        go_on.set()
        assert seen == ["new"]
