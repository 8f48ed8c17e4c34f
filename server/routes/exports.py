"""Downloads of a project in the forms that other programs read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..errors import BadRequest
from .commits import lines
from .house import house

if TYPE_CHECKING:
    from ..project import Project

#: Ending and media type of each form; CSV of several tables comes as a ZIP archive.
FORMS = {
    "db": (".db", "application/vnd.sqlite3"),
    "sql": (".sql", "application/sql"),
    "json": (".json", "application/json"),
    "csv": (".csv", "text/csv"),
    "ndjson": (".ndjson", "application/x-ndjson"),
}


async def export(request: Request) -> Response:
    """The project as a clean database, SQL text, a JSON tree, CSV, or its log as one commit per line."""
    here = house(request)
    record, _, _ = await here.enter(request, "reader")
    form = request.query_params.get("format", "db")
    if form not in FORMS:
        raise BadRequest(f"format: is one of {', '.join(FORMS)}")
    project = await here.catalog.open(record.id)
    ending, kind = FORMS[form]
    if form == "ndjson":
        version, content = project.version, lines(project, 0, project.version)
    else:
        version, content = await here.exports.export(project, form)  # type: ignore[arg-type]
        content = await _begun(content)
    if form == "csv" and _is_archive(project):
        ending, kind = ".csv.zip", "application/zip"
    headers = {
        "cache-control": "no-store",
        "sharelite-version": str(version),
        "sharelite-epoch": project.epoch,
        "content-disposition": f"attachment; filename*=UTF-8''{quote(record.name, safe='')}-{version}{ending}",
        "x-accel-buffering": "no",
    }
    return StreamingResponse(content, headers=headers, media_type=kind)


def _is_archive(project: Project) -> bool:
    return len(project.contract.tables) != 1


async def _begun(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Wait for the first piece, so that what cannot even begin is told as an error and not as a cut connection."""
    first = await anext(content, b"")

    async def all_of_it() -> AsyncIterator[bytes]:
        yield first
        async for piece in content:
            yield piece

    return all_of_it()
