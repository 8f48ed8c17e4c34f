"""Downloads of a project in the forms that other programs read."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from ..errors import BadRequest
from .answers import Stream
from .commits import lines
from .house import house

if TYPE_CHECKING:
    from ..project import Project

#: Of what an export does without, so many are named, with so many characters of each.
MOST, LONGEST = 20, 100
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
    ending, kind = FORMS[form]
    async with AsyncExitStack() as held:
        project = await held.enter_async_context(here.catalog.hold(record.id))
        left: dict[str, str] = {}
        if form == "ndjson":
            version, content = project.version, lines(project, 0, project.version)
        else:
            made = await here.exports.export(project, form)  # type: ignore[arg-type]
            version, content = made.version, await _begun(made.content)
            left = _told(made.left)
        if form == "csv" and _is_archive(project):
            ending, kind = ".csv.zip", "application/zip"
        return Stream(
            content, kind, held, sharelite_version=str(version), sharelite_epoch=project.epoch,
            content_disposition=f"attachment; filename*=UTF-8''{quote(record.name, safe='')}-{version}{ending}", **left,
        )  # fmt: skip


def _told(left: Mapping[str, str]) -> dict[str, str]:
    """As a header, which takes ASCII and no more than a few KiB."""
    some = [{"trigger": name[:LONGEST], "reason": reason[:LONGEST]} for name, reason in left.items()]
    return {"sharelite_left_out": json.dumps(some[:MOST]).replace("\x7f", "\\u007f")} if some else {}


def _is_archive(project: Project) -> bool:
    return len(project.contract.tables) != 1


async def _begun(content: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Wait for the first piece, so that what cannot even begin is told as an error and not as a cut connection."""
    first = await anext(content, b"")

    async def all_of_it() -> AsyncGenerator[bytes]:
        yield first
        async for piece in content:
            yield piece

    return all_of_it()
