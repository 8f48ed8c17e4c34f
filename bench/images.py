"""Images: ranges and downloads beside nginx on the same file, publishing in a large project, commits meanwhile."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.nginx import find
from tests.ports import free_port
from tests.running import RunningServer

from .figure import Bench, Figure, quantile
from .raw import new_client

ROW = "x" * 4000
ROWS_IN_PUSH = 2000
RANGE = 4096
#: Seconds between two images: far shorter than a server's own, so that enough commits meet one.
PAUSE = 0.3
CONNECTIONS = 4
CONTRACT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "note": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "text": {"type": "string"}},
            },
        }
    },
}
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


def measure(bench: Bench) -> list[Figure]:
    with RunningServer(bench.data(), "--log-level", "WARNING") as server:
        project = large(server, bench.megabytes)
        served = image(server, project)
        published = [publish(server, project, number) for number in range(20)]
        ranges, nginx_ranges, whole, nginx_whole = beside_nginx(bench, server, served)
        alone, during = commits(server, project, bench.seconds, 0)
        calm, beside = commits(server, project, 4 * bench.seconds, PAUSE)
    size = served["size"] >> 20
    return [
        Figure(f"ranges of 4 KB in {size} MB", "per s", ranges, at_least=4000),
        Figure("ranges of 4 KB from nginx", "per s", nginx_ranges),
        Figure("ranges, share of nginx", "%", tuple(100 * a / b for a, b in zip(ranges, nginx_ranges, strict=True))),
        Figure(f"download of {size} MB", "MB/s", whole, at_least=300),
        Figure("download from nginx", "MB/s", nginx_whole),
        Figure(f"publish after 10 changed rows in {size} MB", "ms", tuple(published), at_most=50),
        Figure(
            "commits beside an image, one made every 0.3 s: p99 of p99 without",
            "times",
            (beside / calm,),
            at_most=2,
        ),
        Figure(
            "commits while images are made without pause: p99 of p99 without", "times", (during / alone,), at_most=2
        ),
    ]


def large(server: RunningServer, megabytes: int) -> str:
    """A project of about so many megabytes."""
    project = server.create("large", CONTRACT)
    for first in range(0, megabytes * 250, ROWS_IN_PUSH):
        rows = [["i", "note", [f"n{n}"], {"text": f"{n} {ROW}"}] for n in range(first, first + ROWS_IN_PUSH)]
        status, answer = server.ask("POST", f"/v1/projects/{project}/mutations", {"changes": rows})
        assert status == 200, answer
    return project


def image(server: RunningServer, project: str) -> dict[str, Any]:
    """The present image; everything is hashed for the first one."""
    server.ask("HEAD", f"/v1/projects/{project}/db")
    told: dict[str, Any] = server.ask("GET", f"/v1/projects/{project}/image")[1]
    return told


def publish(server: RunningServer, project: str, number: int) -> float:
    """Milliseconds until the image of ten changed rows is there."""
    chance = random.Random(number)
    rows = [["s", "note", [f"n{chance.randrange(10_000)}"], {"text": f"{number} {ROW}"}] for _ in range(10)]
    server.ask("POST", f"/v1/projects/{project}/mutations", {"changes": rows})
    start = time.perf_counter()
    server.ask("HEAD", f"/v1/projects/{project}/db")
    return (time.perf_counter() - start) * 1000


def beside_nginx(bench: Bench, server: RunningServer, served: dict[str, Any]) -> tuple[tuple[float, ...], ...]:
    with tempfile.TemporaryDirectory(dir=bench.folder) as name, nginx(Path(name)) as port:
        file = Path(name) / "image.db"
        with file.open("wb") as out:
            pull(server.port, served["url"], out.write)
        ours, its = (server.port, served["url"]), (port, "/image.db")
        turns = (ours, its) * bench.runs
        ranges = [ranges_per_second(where, served["size"], bench.seconds) for where in turns]
        whole = [megabytes_per_second(*where) for where in turns]
    return tuple(ranges[::2]), tuple(ranges[1::2]), tuple(whole[::2]), tuple(whole[1::2])


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """nginx on a folder; its port."""
    found = find()
    assert found, "nginx is not installed; python scripts/install.py --for-tests does it"
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    process = subprocess.Popen([found, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "log")])
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
        folder.chmod(0o755)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def ranges_per_second(where: tuple[int, str], size: int, seconds: float) -> float:
    """From a process of its own, over a few connections that are kept."""
    command = [sys.executable, "-m", "bench.images", *map(str, where), str(size), str(seconds)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def megabytes_per_second(port: int, url: str) -> float:
    got = [0]

    def count(piece: bytes | memoryview) -> None:
        got[0] += len(piece)

    start = time.perf_counter()
    pull(port, url, count)
    return got[0] / (time.perf_counter() - start) / 1e6


def pull(port: int, url: str, take: Any) -> None:
    """The body of a GET, as fast as it comes."""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(f"GET {url} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
        buffer = memoryview(bytearray(1 << 20))
        head = b""
        while b"\r\n\r\n" not in head:
            head += wire.recv(4096)
        assert b" 200 " in head[:20], head
        take(head.partition(b"\r\n\r\n")[2])
        while count := wire.recv_into(buffer):
            take(buffer[:count])


def commits(server: RunningServer, project: str, seconds: float, pause: float) -> tuple[float, float]:
    """p99 in ms of sequential commits: alone, and of those that were on their way while an image was made."""
    alone = [took for _, took in sequential(server, project, seconds)]
    ended = threading.Event()
    made: list[tuple[float, float]] = []

    def publish_on() -> None:
        while not ended.is_set():
            start = time.perf_counter()
            publish(server, project, 1000 + len(made))
            made.append((start, time.perf_counter()))
            ended.wait(pause)

    publishing = threading.Thread(target=publish_on)
    publishing.start()
    during = sequential(server, project, seconds)
    ended.set()
    publishing.join()
    return quantile(alone, 0.99), quantile(overlapping(during, made), 0.99)


def overlapping(commits: list[tuple[float, float]], made: list[tuple[float, float]]) -> list[float]:
    """How long those took that began before an image was there and ended after it was begun."""
    return [
        took for start, took in commits if any(start < until and begun < start + took / 1000 for begun, until in made)
    ]


def sequential(server: RunningServer, project: str, seconds: float) -> list[tuple[float, float]]:
    """When each commit was sent (`perf_counter`), and the ms until its answer."""
    found: list[tuple[float, float]] = []
    with socket.create_connection(("127.0.0.1", server.port)) as wire:
        until = time.perf_counter() + seconds
        while (start := time.perf_counter()) < until:
            body = json.dumps({"changes": [["s", "note", ["n7"], {"text": new_client()}]]}).encode()
            head = f"POST /v1/projects/{project}/mutations HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
            wire.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            answer = b""
            while b'{"version"' not in answer:
                answer += wire.recv(65536)
                assert answer.startswith(b"HTTP/1.1 200"), answer
            found.append((start, (time.perf_counter() - start) * 1000))
    return found


def client(port: int, url: str, size: int, seconds: float) -> float:
    """Random ranges over a few connections, each asked for again as soon as its answer is there."""
    chance = random.Random(1)
    wires = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]

    def ask(wire: socket.socket) -> None:
        place = chance.randrange(size // RANGE) * RANGE
        head = f"GET {url} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nrange: bytes={place}-{place + RANGE - 1}\r\n\r\n"
        wire.sendall(head.encode())

    for wire in wires:
        ask(wire)
    answers, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        for wire in wires:
            got = wire.recv(65536)
            body = got.index(b"\r\n\r\n") + 4
            assert got.startswith(b"HTTP/1.1 206"), got[:200]
            while len(got) < body + RANGE:
                got += wire.recv(65536)
            answers += 1
            ask(wire)
    return answers / (time.perf_counter() - start)


if __name__ == "__main__":
    port, url, size, seconds = sys.argv[1:]
    print(client(int(port), url, int(size), float(seconds)))
