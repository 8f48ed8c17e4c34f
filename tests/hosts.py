"""A host of files as static hosts are, which counts what it sends; with the faults that hosts and proxies have."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

TYPES = {".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm", ".json": "application/json"}
RANGE = re.compile(r"bytes=(\d+)-(\d+)$")
PIECE = 65_536


@dataclass(slots=True)
class FileHost:
    """Serves folders under their names. What is set here holds for requests of database files from then on."""

    folders: dict[str, Path]
    #: Pages of other sites may read.
    open_to_others: bool = False
    ignores_range: bool = False
    #: Bytes of each answer after which the connection is cut.
    cut_after: int | None = None
    status: int | None = None
    #: What is sent instead of the file, from the same place in it.
    other: Path | None = None
    url: str = ""
    #: Bytes of bodies and requests, of database files only.
    sent: int = 0
    requests: int = 0
    #: Answers wait for this, if it is there.
    gate: threading.Event | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, bytes: int) -> None:
        with self._lock:
            self.sent += bytes

    def forget(self) -> None:
        self.sent = self.requests = 0

    def find(self, path: str) -> Path | None:
        name, _, rest = unquote(urlsplit(path).path).lstrip("/").partition("/")
        found = self.folders[name] / rest if name in self.folders else None
        return found if found and found.is_file() and ".." not in rest else None


@contextmanager
def files(**folders: Path) -> Iterator[FileHost]:
    host = FileHost(folders)

    class Answer(Answering):
        serving = host

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    serving: FileHost

    def do_GET(self) -> None:
        path = self.serving.find(self.path)
        if urlsplit(self.path).path == "/":
            self.head(200, 0, ".html")
        elif path is None:
            self.head(404, 0)
        elif path.suffix == ".db":
            self.database(path)
        else:
            self.head(200, path.stat().st_size, path.suffix, cache_control="no-cache")
            self.wfile.write(path.read_bytes())

    def do_OPTIONS(self) -> None:
        self.head(204 if self.serving.open_to_others else 403, 0)

    def database(self, path: Path) -> None:
        host = self.serving
        with host._lock:
            host.requests += 1
        if host.gate is not None:
            host.gate.wait()
        if host.status is not None:
            return self.head(host.status, 0)
        path = host.other or path
        size = path.stat().st_size
        asked = RANGE.match(self.headers.get("range", ""))
        if asked is None or host.ignores_range:
            self.head(200, size)
            return self.send(path, 0, size)
        start, end = int(asked[1]), min(int(asked[2]) + 1, size)
        tag = f'"{path.stat().st_mtime_ns:x}-{size:x}"'
        self.head(206, end - start, content_range=f"bytes {start}-{end - 1}/{size}", etag=tag)
        self.send(path, start, end)

    def head(self, status: int, length: int, suffix: str = ".db", **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(length))
        self.send_header("content-type", TYPES.get(suffix, "application/octet-stream"))
        if self.serving.open_to_others:
            self.send_header("access-control-allow-origin", "*")
            self.send_header("access-control-expose-headers", "content-range, etag")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send(self, path: Path, start: int, end: int) -> None:
        most = self.serving.cut_after
        with path.open("rb") as file:
            file.seek(start)
            while start < end:
                piece = file.read(min(PIECE, end - start))[:most]
                try:
                    self.wfile.write(piece)
                except OSError:
                    break
                self.serving.count(len(piece))
                start += len(piece)
                if most is not None:
                    break
        if start < end:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests read what was counted."""
