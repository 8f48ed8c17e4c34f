"""Logs: one object per line, with the id of the request and what belongs to the event."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sharelite import logs


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """The logging of this process is as before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in ("uvicorn.error", "uvicorn.access", "httpx", "httpcore")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def written(form: logs.Form, **more: Any) -> str:
    stream = io.StringIO()
    logs.set_up(form, "INFO", stream)
    token = logs.request_id.set("r-1")
    logging.getLogger("sharelite.test").info("mutation %s", "committed", extra=more)
    logs.request_id.reset(token)
    return stream.getvalue()


def test_a_line_is_json_with_the_request_and_the_mutation() -> None:  # W17
    line = json.loads(written("json", mutation="c/1", version=7))
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info", "logger": "sharelite.test", "message": "mutation committed",
        "request": "r-1", "mutation": "c/1", "version": 7,
    }  # fmt: skip


def test_what_people_wrote_cannot_make_a_second_line() -> None:  # W17
    assert written("json", name_="a\nb\u2028c", strange=object()).count("\n") == 1


def test_at_a_terminal_the_fields_stand_behind_the_message() -> None:  # W17
    assert "mutation committed  mutation=c/1" in written("rich", mutation="c/1")


def test_an_exception_is_in_the_line_of_its_event() -> None:  # W17
    stream = io.StringIO()
    logs.set_up("json", "INFO", stream)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("sharelite.test").exception("failed")
    assert "ValueError: why" in json.loads(stream.getvalue())["exception"]
