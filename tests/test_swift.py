"""The short way of ranges: it says what the long way says, and stops where that would (SPEC R9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sharelite.storage.chunks import AT_ONCE
from tests.serving import Serving
from tests.test_image_routes import image, login, nobody, write

#: A header that the short way does not know.
LONG_WAY = {"x-another": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("swift") / "data", token="ann", authenticate=login) as serving:
        yield serving


@pytest.fixture
def project(server: Serving) -> str:
    made = server.project()
    write(server, made, 60)
    return made


def quickly(server: Serving) -> int:
    """How many requests took the short way so far."""
    return server.app.swift.answered


def said(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    changing = {"x-request-id", "date", "cache-control"}
    headers = {name: value for name, value in answer.headers.items() if name not in changing}
    age = "".join(letter for letter in answer.headers.get("cache-control", "") if not letter.isdecimal())
    return answer.status_code, answer.content, {**headers, "cache-control": age}


@pytest.mark.parametrize("public", [True, False])
def test_both_ways_say_the_same(server: Serving, project: str, public: bool) -> None:  # R9
    server.http.patch(f"/v1/projects/{project}", json={"public": public})
    url = image(server, project)["url"]
    nobody(server, url, range="bytes=0-200000")
    before = quickly(server)
    for text in ("bytes=0-4095", "bytes=65000-66000", "bytes=4096-4096"):
        long = nobody(server, url, range=text, origin="https://a.example", **LONG_WAY)
        short = nobody(server, url, range=text, origin="https://a.example")
        assert said(short) == said(long) and short.status_code == 206
        assert len(short.headers["x-request-id"]) == len(long.headers["x-request-id"])
    assert quickly(server) == before + (3 if AT_ONCE else 0)
    assert nobody(server, url, range="bytes=0-9", **{"x-request-id": "mine"}).headers["x-request-id"] == "mine"


@pytest.mark.parametrize(
    "headers",
    [
        {"range": "bytes=0-1,4-5"},
        {"range": "bytes=-5"},
        {"range": "bytes=5-4"},
        {"range": "bytes=0-99999999"},
        {"range": "bytes=0-9", "if-match": '"x"'},
        {"range": "bytes=0-9", "if-range": '"x"'},
        {"range": "bytes=0-9", "if-none-match": "*"},
        {"range": "bytes=0-9", "authorization": "Bearer nobody"},
        {"range": "bytes=0-9", "x-request-id": "not one of ours!"},
        {},
    ],
)
def test_whatever_else_goes_the_long_way(server: Serving, project: str, headers: dict[str, str]) -> None:  # R9
    url = image(server, project)["url"]
    nobody(server, url)
    before = quickly(server)
    assert said(nobody(server, url, **headers)) == said(nobody(server, url, **headers, **LONG_WAY))
    assert quickly(server) == before


def test_an_address_that_was_let_in_ends_with_what_let_it_in(server: Serving, project: str) -> None:  # R9
    server.http.patch(f"/v1/projects/{project}", json={"public": True})
    url = image(server, project)["url"]
    nobody(server, url)
    assert nobody(server, url, range="bytes=0-9").status_code == 206
    server.http.patch(f"/v1/projects/{project}", json={"public": False})
    assert nobody(server, url, range="bytes=0-9").status_code == 401
    signed = image(server, project)["url"]
    assert nobody(server, signed, range="bytes=0-9").status_code == 206
    assert nobody(server, signed[:-1], range="bytes=0-9").status_code == 403
    server.http.delete(f"/v1/projects/{project}")
    assert nobody(server, signed, range="bytes=0-9").status_code == 404


def test_names_that_are_not_ours_are_refused_on_the_short_way_too(tmp_path: Path) -> None:  # R9
    with Serving(tmp_path / "data", token="ann", authenticate=login, hosts=["127.0.0.1"]) as serving:
        made = serving.project()
        url = image(serving, made)["url"]
        nobody(serving, url)
        assert nobody(serving, url, range="bytes=0-9").status_code == 206
        assert nobody(serving, url, range="bytes=0-9", host="evil.example").status_code == 421
