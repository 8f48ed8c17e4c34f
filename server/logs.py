"""Logs: one line of JSON per event, or coloured for a person at a terminal.

Every line within a request carries its id. Addresses are logged without their query, and no header is: that is where
secrets end up.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from contextvars import ContextVar
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.logging import RichHandler

#: The request that is being served; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
#: What a record has by itself; everything else came with `extra` and goes into the line.
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

Form = Literal["json", "rich"]


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request"] = current
        line |= more(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class Readable(logging.Formatter):
    """The message with its extra fields behind it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in more(record).items())
        return f"{super().format(record)}  {fields}" if fields else super().format(record)


def more(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in PLAIN}


def set_up(form: Form, level: str = "INFO", stream: TextIO | None = None) -> logging.Handler:
    """Send the logs of this process to a stream (standard error), in one form."""
    handler: logging.Handler
    if form == "json":
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(JsonLines())
    else:
        handler = RichHandler(console=Console(file=stream or sys.stderr), show_path=False, rich_tracebacks=False)
        handler.setFormatter(Readable("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Its own lines name addresses with their query; ours say the same without.
    for name in ("uvicorn.error", "uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(name).setLevel("WARNING")
    return handler
