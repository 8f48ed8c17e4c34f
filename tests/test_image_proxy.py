"""Images behind a caching proxy (nginx), read without a token; what it serves is right or can be told (SPEC R8)."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.nginx import find
from sharelite.auth import Identity
from tests.ports import free_port
from tests.serving import PATIENCE, Serving

CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off; gzip on; gzip_types *; gzip_min_length 1;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/temp; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache levels=1 keys_zone=images:1m max_size=200m;
  server {{
    listen 127.0.0.1:{port};
    location /v1/images/ {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_cache images; proxy_cache_key $uri; proxy_cache_valid 200 1h;
      proxy_set_header Range ""; proxy_set_header If-Range ""; proxy_set_header If-Match "";
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host 127.0.0.1:{upstream};
      add_header X-Cache $upstream_cache_status always;
    }}
  }}
}}
"""
MISSING = "nginx is not installed: python scripts/install.py --for-tests installs it"


async def login(token: str | None, connection: Any) -> Identity | None:
    return Identity(token, (("*", "owner"),)) if token == "ann" else None


@contextmanager
def proxied(folder: Path, upstream: int) -> Iterator[str]:
    """nginx with a cache in front of a port; its address."""
    nginx = find()
    assert nginx, MISSING
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream))
    process = subprocess.Popen([nginx, "-c", str(configuration), "-p", str(folder), "-e", str(folder / "error.log")])
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "error.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


class Behind:
    """A project of a private server, and the proxy in front."""

    def __init__(self, server: Serving, proxy: str) -> None:
        self.server, self.proxy = server, proxy
        self.project = server.project()

    def publish(self, text: str) -> dict[str, Any]:
        changes = [["s", "note", [f"n{n}"], {"text": f"{n} {text}" * 200}] for n in range(100)]
        assert self.server.http.post(f"/v1/projects/{self.project}/mutations", json={"changes": changes}).is_success
        self.server.http.head(f"/v1/projects/{self.project}/db")
        told: dict[str, Any] = self.server.http.get(f"/v1/projects/{self.project}/image").json()
        return told

    def get(self, url: str, **headers: str) -> httpx.Response:
        return httpx.get(self.proxy + url, headers={"accept-encoding": "gzip", **headers}, timeout=PATIENCE)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("proxy")
    with Serving(folder / "data", token="ann", authenticate=login) as server, proxied(folder, server.port) as proxy:
        yield Behind(server, proxy)


def test_a_cache_serves_ranges_of_what_it_fetched_once_without_a_token(behind: Behind) -> None:  # R8
    told = behind.publish("one")
    whole = behind.get(told["url"])
    assert (whole.status_code, whole.headers["x-cache"], len(whole.content)) == (200, "MISS", told["size"])
    assert whole.headers["content-encoding"] == "identity"
    for start in (0, 60_000, told["size"] - 100):
        part = behind.get(told["url"], range=f"bytes={start}-{start + 99}")
        assert (part.status_code, part.headers["x-cache"]) == (206, "HIT")
        assert part.content == whole.content[start : start + 100]
        assert part.headers["etag"] == f'"{told["hash"]}"'


def test_a_cache_never_mixes_two_images(behind: Behind) -> None:  # R8
    first = behind.publish("two")
    old = behind.get(first["url"]).content
    second = behind.publish("three")
    new = behind.get(second["url"]).content
    for url, body, told in ((first["url"], old, first), (second["url"], new, second)):
        assert behind.get(url, range="bytes=4096-8191").content == body[4096:8192]
        pieces = [hashlib.sha256(body[n : n + 65_536]).digest() for n in range(0, len(body), 65_536)]
        assert hashlib.sha256(b"".join(pieces)).hexdigest() == told["hash"]
    wrong = behind.get(first["url"], range="bytes=0-99", **{"if-match": f'"{second["hash"]}"'})
    assert wrong.status_code == 412


def test_a_cache_that_leaves_signatures_out_of_its_key_serves_those_who_come_later(behind: Behind) -> None:  # R8
    told = behind.publish("four")
    assert behind.get(told["url"]).headers["x-cache"] == "MISS"
    bare = told["url"].partition("?")[0]
    assert behind.get(f"{bare}?s=another", range="bytes=0-9").headers["x-cache"] == "HIT"


def test_errors_are_not_kept(behind: Behind) -> None:  # R8
    told = behind.publish("five")
    bare = told["url"].partition("?")[0]
    assert behind.get(f"{bare}?s=1.x").status_code == 403
    assert behind.get(told["url"], range="bytes=0-9").status_code == 206
