"""Presence and signals across the nodes of a cell (SPEC K63)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sharelite.sync.audience import Audience
from tests.company import Company, company
from tests.serving import Talk


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company(tmp_path_factory.mktemp("cell")) as made:
        yield made


def hear(talk: Talk, kind: str) -> dict[str, Any]:
    while (message := talk.hear())["type"] != kind:
        pass
    return message


def test_presence_is_seen_on_every_node_and_ends_with_its_owner(cell: Company) -> None:  # K63
    project = cell.project()
    with cell["b"].open(project) as ben:
        with cell["c"].open(project) as cleo:
            cleo.say("presence", state={"x": 1})
            assert hear(ben, "presence")["peers"] == {cleo.client: {"x": 1}}
        assert hear(ben, "presence")["peers"] == {cleo.client: None}


def test_who_comes_later_sees_who_is_on_another_node_already(cell: Company) -> None:  # K63
    project = cell.project()
    with cell["b"].open(project) as ben:
        ben.say("presence", state="here")
        ben.say("ping")
        hear(ben, "pong")
        with cell["c"].open(project) as cleo:
            heard = hear(cleo, "presence")
            assert heard["peers"] == {ben.client: "here"} and heard["users"] == {ben.client: "local"}


def test_a_signal_reaches_the_clients_of_every_node(cell: Company) -> None:  # K63
    project = cell.project()
    with cell["a"].open(project) as ann, cell["b"].open(project) as ben, cell["c"].open(project) as cleo:
        ben.say("signal", topic="look", data=[1, 2])
        for other in (ann, cleo):
            heard = hear(other, "signal")
            assert (heard["from"], heard["topic"], heard["data"]) == (ben.client, "look", [1, 2])


def test_whoever_went_on_to_another_node_has_not_left(cell: Company) -> None:  # K63
    audience = Audience()
    assert audience.show_far("b", "c1", "cleo", b"1")
    assert audience.show_far("c", "c1", "cleo", b"2")
    assert not audience.show_far("b", "c1", "cleo", None)
    assert audience.lose("c") and not audience.lose("b")
