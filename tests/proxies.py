"""An nginx in front of a server, which keeps pieces of what it was answered, as a CDN would."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from scripts import nginx
from tests.ports import free_port
from tests.running import PATIENCE

#: Pieces of 64 KiB under the address without its signature; nobody's Authorization goes further.
CONFIGURATION = """
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=images:1m;
  gzip on; gzip_types *;
  server {{
    listen 127.0.0.1:{port};
    location ~ [.]db$ {{
      slice 64k; proxy_set_header Range $slice_range; proxy_set_header Authorization "";
      proxy_cache images; proxy_cache_key $uri$slice_range; proxy_cache_valid 200 206 1h; proxy_http_version 1.1;
      proxy_cache_use_stale error timeout http_502 http_504;
      add_header x-cache $upstream_cache_status;
      proxy_pass {upstream};
    }}
    location / {{ proxy_pass {upstream}; proxy_set_header Host $http_host; }}
  }}
}}
"""
#: Hands everything on and keeps nothing.
PLAIN = """
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; gzip on; gzip_types *; large_client_header_buffers 4 32k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host; }}
  }}
}}
"""
#: Its workers would be somebody else's, who may not write into a folder of ours.
USER = "user root;" if os.geteuid() == 0 else ""


def caching(upstream: str, folder: Path) -> AbstractContextManager[str]:
    """Runs until the end of the `with`; its address."""
    return _running(CONFIGURATION, upstream, folder)


def plain(upstream: str, folder: Path) -> AbstractContextManager[str]:
    """Likewise, and no cache."""
    return _running(PLAIN, upstream, folder)


@contextmanager
def _running(text: str, upstream: str, folder: Path) -> Iterator[str]:
    path = nginx.find()
    assert path, "no nginx: `make test` finds or installs one"
    folder.mkdir()
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(text.format(user=USER, folder=folder, port=port, upstream=upstream))
    process = subprocess.Popen([path, "-p", str(folder), "-c", str(configuration)], stdin=subprocess.DEVNULL)
    try:
        answers(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nginx did not start")
