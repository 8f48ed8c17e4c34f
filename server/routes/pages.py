"""What is no data: the console, the browser client, the demo, and what operators and programs ask a server."""

from __future__ import annotations

import os
import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ..errors import ShareliteError, Unavailable
from ..metrics import CONTENT_TYPE
from ..openapi import document
from .answers import told
from .house import house

STATIC = Path(__file__).parent.parent / "static"
#: Names that a bundler made from the content: what they name never changes.
HASHED = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.(?:js|css|wasm|woff2|png|svg|jpg|webp)\Z")
#: Everything a page of ours loads comes from here.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self' ws: wss: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; frame-ancestors 'none'"
)


class NotBuilt(ShareliteError):
    code = "not_found"

    def __init__(self, what: str) -> None:
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} has not been built; `make install` in the repository does it, and a wheel contains it"


class Files(StaticFiles):
    """A folder of built files: those named by their content are kept for ever, the others asked for again."""

    def __init__(self, folder: str, what: str, html: bool = False) -> None:
        super().__init__(directory=STATIC / folder, html=html, check_dir=False)
        self._what = what

    async def check_config(self) -> None:
        """Called before the first answer. A folder that was never built is told as such."""
        if not os.path.isdir(str(self.directory)):
            raise NotBuilt(self._what)

    async def get_response(self, path: str, scope: Scope) -> Response:
        if "\0" in path:
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        kept = "public, max-age=31536000, immutable" if HASHED.search(path) else "no-cache"
        response.headers["cache-control"] = kept
        response.headers["content-security-policy"] = POLICY
        return response


async def console(request: Request) -> Response:
    """The console; it asks for the rest itself."""
    headers = {"cache-control": "no-cache", "content-security-policy": POLICY}
    return FileResponse(STATIC / "console" / "index.html", headers=headers)


async def healthz(request: Request) -> Response:
    """The process lives and its loop turns."""
    return told({"status": "ok"})


async def readyz(request: Request) -> Response:
    """The server takes requests. Raises Unavailable while it does not, or while a project stands still."""
    here = house(request)
    if here.node is not None and (trouble := here.node.trouble()):
        raise Unavailable("; ".join(trouble))
    for project, stopped in here.catalog.troubles().items():
        raise Unavailable(f"project {project}: {stopped}")
    return told({"status": "ready"})


async def metrics(request: Request) -> Response:
    """Figures for Prometheus; for owners of everything, where there are keys."""
    here = house(request)
    here.gate.demand(await here.identity(request), "owner")
    here.metrics.count(here.catalog.counts())
    if here.node is not None:
        cell = here.node.cell
        here.metrics.cell(cell.leading, cell.role.term, cell.delivered, cell.waiting, here.node.accord.differing)
    return Response(here.metrics.page(), headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})


async def openapi(request: Request) -> Response:
    return told(document(request.scope.get("root_path", "")))
