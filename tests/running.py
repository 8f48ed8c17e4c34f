"""A real `sharelite` process on a port and a data directory of its own, for tests and benchmarks; and how to ask it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
#: A clean machine under load may take its time; nobody waits this long where things work.
PATIENCE = 60.0


class RunningServer:
    """`sharelite serve DATA` from start to end of the `with`; `kill` and `start` keep port and data."""

    def __init__(self, data: Path, *options: str, command: str = "serve", **environment: str) -> None:
        self.data, self.port = data, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data.parent / f"{data.name}.log"
        self._command = [sys.executable, "-m", *self.module(command), "--port", str(self.port), *options]
        self._environment = {**os.environ, **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def module(self, command: str) -> tuple[str, ...]:
        """What Python runs, up to the options."""
        return "sharelite", command, str(self.data)

    def __enter__(self) -> RunningServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=self.data.parent,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()

    def kill(self) -> None:
        """kill -9, and the process is gone when this returns."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)

    def _wait_until_ready(self) -> None:
        """Asks /readyz until it answers; the log of a server that ended instead says why."""
        assert self.process
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._ready():
                return
            time.sleep(0.02)
        raise AssertionError(f"the server did not come up:\n{self.log.read_text()[-4000:]}")

    def _ready(self) -> bool:
        with closing(self.connection(5)) as connection, suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def connection(self, timeout: float = PATIENCE) -> http.client.HTTPConnection:
        """To the server; made when it is first used."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, Any]:
        """Status and JSON of one request; errors of the server are answers, not exceptions.

        The path goes out as it is. A server that has read enough may answer and close while we are still sending.
        """
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with closing(self.connection()) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, raw, {"content-type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, parsed(answer.read())

    def create(self, name: str, contract: object) -> str:
        """A new project's id."""
        status, answer = self.ask("POST", "/v1/projects", {"name": name, "contract": contract})
        assert status == 201, answer
        return str(answer["id"])


class ExampleServer(RunningServer):
    """examples/server.py under uvicorn, in a folder of its own with what it needs of the checkout."""

    def module(self, command: str) -> tuple[str, ...]:
        folder = self.data.parent
        for name in ("examples", "contracts"):
            (folder / name).symlink_to(ROOT / name)
        return "uvicorn", "--app-dir", str(folder), "examples.server:app"


def parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw
