"""Sixty requests for parts of a file, asked of a real server and through a real nginx (SPEC R1 to R6)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.proxies import plain
from tests.serving import PATIENCE, Serving


class Wanted(NamedTuple):
    """Of one request: its headers, and the status and part of the file that it gets."""

    headers: bytes
    status: int
    start: int = 0
    end: int = 0
    method: bytes = b"GET"


def table(size: int, tag: str) -> list[Wanted]:
    parts = {
        "0-0": (0, 1), "0-99": (0, 100), "5-5": (5, 6), f"{size - 1}-": (size - 1, size), "0-": (0, size),
        "65535-65536": (65535, 65537), "65536-131071": (65536, 131072), f"0-{size * 9}": (0, size),
        f"100-{2**63}": (100, size), f"100-{'9' * 19}": (100, size), "-1": (size - 1, size),
        "-100": (size - 100, size), f"-{size}": (0, size), f"-{size + 1}": (0, size), f"-{'9' * 19}": (0, size),
        "0001-0002": (1, 3), " 1-2": (1, 3), "1-2 ": (1, 3), ",1-2,": (1, 3),
    }  # fmt: skip
    nothing = [
        "bytes=-0", f"bytes={size}-", f"bytes={size}-{size + 1}", f"bytes={'9' * 30}-", "bytes=5-4", "bytes=-",
        "bytes=", "bytes", "bytes=a-b", "bytes=1-b", "bytes=0x1-2", "bytes=1.0-2", "bytes=+1-2", "bytes=--1",
        "bytes=1-2-3", "bytes=1", "bytes=\u0661-\u0662", "bytes=\uff11-\uff12", "bytes=0-0;1-1", "bytes==0-0",
        "bytes=*/10", "bytes=0-1,5-6", "bytes=0-1,0-1", "bytes=0-99,50-149", "bytes=0-,0-", "bytes=0-1, -1",
        "bytes=" + ",".join(["0-"] * 1000), "bytes=" + ",".join(f"{n}-{n}" for n in range(101)),
        "bytes=" + "0" * 5000 + "-1",
    ]  # fmt: skip
    part = b"range: bytes=0-99\r\n"
    return [
        *(Wanted(f"range: bytes={text}\r\n".encode(), 206, *place) for text, place in parts.items()),
        *(Wanted(f"range: {text}\r\n".encode(), 416) for text in nothing),
        Wanted(b"range: items=0-5\r\n", 200, 0, size),
        Wanted(b"", 200, 0, size),
        Wanted(part, 200, 0, size, b"HEAD"),
        Wanted(part + f'if-range: "{tag}"\r\n'.encode(), 206, 0, 100),
        Wanted(part + b'if-range: "another"\r\n', 200, 0, size),
        Wanted(part + f'if-range: W/"{tag}"\r\n'.encode(), 200, 0, size),
        Wanted(part + b"if-range: Wed, 21 Oct 2015 07:28:00 GMT\r\n", 200, 0, size),
        Wanted(part + f'if-match: "{tag}"\r\n'.encode(), 206, 0, 100),
        Wanted(part + b'if-match: "another"\r\n', 412),
        Wanted(part + f'if-match: W/"{tag}"\r\n'.encode(), 412),
        Wanted(part + f'if-none-match: "{tag}"\r\n'.encode(), 304),
        Wanted(part + b'if-none-match: "another"\r\n', 206, 0, 100),
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("table") / "data") as serving:
        yield serving


def ask(port: int, url: str, wanted: Wanted) -> tuple[int, bytes]:
    """Status and body, read to the end of the connection; (0, nothing) where it was cut while we were still sending."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as wire, suppress(ConnectionError):
        head = f" {url} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n".encode()
        wire.sendall(wanted.method + head + wanted.headers + b"\r\n")
        while piece := wire.recv(1 << 20):
            answer += piece
    top, _, body = answer.partition(b"\r\n\r\n")
    return (int(top.split()[1]) if top else 0), body


@contextmanager
def way(server: Serving, folder: Path, through: str) -> Iterator[int]:
    if through == "server":
        yield int(server.url.rpartition(":")[2])
    else:
        with plain(server.url, folder / "nginx") as proxy:
            yield int(proxy.rpartition(":")[2])


@pytest.mark.parametrize("through", ["server", "nginx"])
def test_each_of_sixty_requests_gets_its_bytes_or_none(
    server: Serving, tmp_path: Path, through: str
) -> None:  # R1, R2, R3, R4, R5, R6
    project = server.project(through)
    rows = [["i", "note", [f"n{n}"], {"text": "x" * 400}] for n in range(400)]
    server.http.post(f"/v1/projects/{project}/mutations", json={"changes": rows}).raise_for_status()
    told = server.http.get(f"/v1/projects/{project}/image").json()
    whole = server.http.get(told["url"]).content
    assert len(whole) == told["size"] > 3 * 65536
    wanted = table(told["size"], told["hash"])
    assert len(wanted) == 60
    with way(server, tmp_path, through) as port:
        for each in wanted:
            status, body = ask(port, told["url"], each)
            right = b"" if each.method == b"HEAD" else whole[each.start : each.end]
            assert status == each.status, (each.headers[:80], status)
            assert body == right if status in (200, 206, 304) else len(body) < 1000, each.headers[:80]
        for size in (200_000, 8 << 20):
            status, body = ask(port, told["url"], Wanted(b"range: bytes=" + b"0-," * (size // 3) + b"\r\n", 416))
            assert status in (0, 400, 416, 431) and len(body) < 1000
