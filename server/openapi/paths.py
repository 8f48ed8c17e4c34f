"""The paths, what each takes, and what it may answer."""

from __future__ import annotations

from .words import (
    BOOLEAN,
    ERRORS,
    ID,
    JSON,
    OBJECT,
    TEXT,
    WHOLE,
    answers,
    content,
    listed,
    maybe,
    obj,
    operation,
    path,
    ref,
)

IMAGE_HEADERS: JSON = {"ETag": {"schema": TEXT}, "Accept-Ranges": {"schema": {"const": "bytes"}}}
FILE_HEADERS: JSON = {
    **IMAGE_HEADERS,
    "Sharelite-Version": {"schema": TEXT, "description": "the feed goes on from here"},
    "Sharelite-Epoch": {"schema": TEXT},
}


def _good(description: str, schema: JSON) -> JSON:
    return {"description": description, **content(schema)}


def _file(headers: JSON, *errors: int) -> JSON:
    """A SQLite database, whole, in part or unchanged."""
    binary = content({}, "application/vnd.sqlite3")
    ranged = {**headers, "Content-Range": {"schema": TEXT}}
    return answers(
        *errors,
        404,
        412,
        416,
        _200={"description": "A SQLite database", "headers": headers, **binary},
        _206={"description": "The bytes asked for", "headers": ranged, **binary},
        _304={"description": "The caller has it"},
    )


def _export() -> JSON:
    kinds = ("vnd.sqlite3", "sql", "json", "zip", "x-ndjson")
    content: JSON = {kind: {"schema": {}} for kind in (*(f"application/{kind}" for kind in kinds), "text/csv")}
    headers = {name: FILE_HEADERS[name] for name in ("Sharelite-Version", "Sharelite-Epoch")}
    headers["Sharelite-Left-Out"] = {"schema": TEXT, "description": "JSON: the triggers that stay out, with the reason"}
    return {"description": "The export", "headers": headers, "content": content}


def _pages() -> JSON:
    page = content(obj("commits version", commits=listed(ref("Commit")), version=WHOLE))
    page["content"] |= {"text/event-stream": {"schema": TEXT}, "application/x-ndjson": {"schema": TEXT}}
    return {"description": "A page; live, as events; or all of them, one per line", **page}


def _rows() -> JSON:
    results = obj("version results", version=WHOLE, results=listed(ref("Result")), repeated=BOOLEAN)
    answer = content(results)
    answer["content"] |= {"application/x-ndjson": {"schema": TEXT}}
    return {"description": "What each statement gave; or rows, one per line", **answer}


def _head(headers: JSON, *errors: int) -> JSON:
    good = {"description": "As GET, without the body", "headers": headers}
    return {"200": good, **{str(error): {"description": ERRORS[error]} for error in (401, 404, 503, *errors)}}


IMAGE = obj(
    "project epoch version seq url size page_size hash",
    project=ID,
    epoch=TEXT,
    version=WHOLE,
    seq={**WHOLE, "description": "the entry that it shows"},
    url={**TEXT, "description": "where it is, for ever; of a private project signed, until it expires"},
    size=WHOLE,
    page_size=WHOLE,
    hash={"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 over those of its 64 KiB chunks"},
)
PAGES = obj("from to pages", **{"from": WHOLE}, to=WHOLE, pages=listed(WHOLE))
ITS_CONTRACT = obj("name hash document", name=maybe(TEXT), hash=TEXT, document=OBJECT)
PATHS: JSON = {
    "/v1/projects": {
        "get": operation(
            "The projects that the caller may read",
            answers(_200=_good("Projects", obj("projects", projects=listed(ref("Project"))))),
            query={"name": TEXT},
        ),
        "post": operation(
            "Make a project",
            answers(403, 404, 408, 409, 413, 415, 422, _201=_good("Made", ref("Project"))),
            ref("NewProject"),
        ),
    },
    "/v1/projects/{project}": {
        "parameters": path("project", ID),
        "get": operation("One project", answers(404, _200=_good("Project", ref("Project")))),
        "patch": operation(
            "Rename, publish",
            answers(403, 404, 408, 409, 413, 415, 422, _200=_good("Altered", ref("Project"))),
            ref("AlteredProject"),
        ),
        "delete": operation("Delete, with its files", answers(403, 404, _204={"description": "Deleted"})),
    },
    "/v1/projects/{project}/db": {
        "parameters": path("project", ID),
        "get": operation("The database now", _file(FILE_HEADERS)),
        "head": operation("Its version", _head(FILE_HEADERS)),
    },
    "/v1/projects/{project}/image": {
        "parameters": path("project", ID),
        "get": operation("The newest image", answers(404, _200=_good("Where it is", IMAGE))),
    },
    "/v1/projects/{project}/pages": {
        "parameters": path("project", ID),
        "get": operation(
            "Pages that may differ between two images",
            answers(404, 410, _200=_good("Page numbers, counted from 1", PAGES)),
            query={"from": {**WHOLE, "minimum": 1}, "to": {**WHOLE, "minimum": 1}},
        ),
    },
    "/v1/images/{project}/{file}": {
        "parameters": [*path("project", ID), *path("file", TEXT)],
        "get": operation("An image, whole or one range of it", _file(IMAGE_HEADERS, 403, 410), query={"s": TEXT}),
        "head": operation("Its size", _head(IMAGE_HEADERS, 403, 410)),
    },
    "/v1/projects/{project}/commits": {
        "parameters": path("project", ID),
        "get": operation(
            "Commits after a version",
            answers(404, 410, _200=_pages()),
            query={"after": WHOLE, "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
        ),
    },
    "/v1/projects/{project}/mutations": {
        "parameters": path("project", ID),
        "post": operation(
            "A mutation; with an id it can be sent again",
            answers(
                403, 404, 408, 409, 410, 413, 415, 422, _200=_good("Its version", obj("version", version=WHOLE))
            ),
            ref("Push"),
        ),
    },
    "/v1/projects/{project}/sql": {
        "parameters": path("project", ID),
        "post": operation(
            "SQL statements, as one transaction or each alone",
            answers(403, 404, 408, 409, 410, 413, 415, 422, _200=_rows()),
            ref("Statements"),
        ),
    },
    "/v1/projects/{project}/transactions": {
        "parameters": path("project", ID),
        "post": operation(
            "Begin an interactive transaction",
            answers(403, 404, 408, 413, 415, _201=_good("Begun", ref("Begun"))),
            ref("Begin"),
        ),
    },
    "/v1/projects/{project}/transactions/{transaction}": {
        "parameters": [*path("project", ID), *path("transaction", ID)],
        "delete": operation("Roll it back", answers(404, 410, _204={"description": "Nothing of it happened"})),
    },
    "/v1/projects/{project}/transactions/{transaction}/sql": {
        "parameters": [*path("project", ID), *path("transaction", ID)],
        "post": operation(
            "Statements of an open transaction",
            answers(403, 404, 408, 409, 410, 413, 415, 422, _200=_rows()),
            ref("StatementsInside"),
        ),
    },
    "/v1/projects/{project}/transactions/{transaction}/commit": {
        "parameters": [*path("project", ID), *path("transaction", ID)],
        "post": operation(
            "Commit; with an id it can be asked again",
            answers(403, 404, 408, 409, 410, 413, 415, 422, _200=_good("Its version", ref("Committed"))),
            ref("Finish"),
        ),
    },
    "/v1/projects/{project}/contract": {
        "parameters": path("project", ID),
        "get": operation("The contract it has", answers(404, _200=_good("Contract", ITS_CONTRACT))),
    },
    "/v1/projects/{project}/export": {
        "parameters": path("project", ID),
        "get": operation(
            "The project as a clean database, SQL text, a JSON tree, CSV (a ZIP of several), or its log line by line",
            answers(404, _200=_export()),
            query={"format": {"enum": ["db", "sql", "json", "csv", "ndjson"], "default": "db"}},
        ),
    },
    "/v1/imports": {
        "get": operation(
            "Imports of the caller, oldest first",
            answers(_200=_good("Imports", obj("imports", imports=listed(ref("Import"))))),
        ),
        "post": operation(
            "Begin to import a SQLite file as a new project",
            answers(403, 408, 409, 413, 415, 422, _201=_good("Send the file in pieces", ref("Import"))),
            ref("NewImport"),
        ),
    },
    "/v1/imports/{import_id}": {
        "parameters": path("import_id", ID),
        "get": operation("How far it is", answers(404, _200=_good("Import", ref("Import")))),
        "put": operation(
            "The next piece of the file",
            answers(404, 408, 409, 413, 415, _200=_good("It has come", ref("Import"))),
            {},
            query={"offset": WHOLE},
            kind="application/octet-stream",
        ),
        "delete": operation("Forget it, with what has come", answers(404, _204={"description": "Forgotten"})),
    },
    "/v1/imports/{import_id}/finish": {
        "parameters": path("import_id", ID),
        "post": operation(
            "All has come: make the project",
            answers(403, 404, 408, 409, 413, 415, _202=_good("It is being read; look how far it is", ref("Import"))),
            {**obj("", hash={"type": "string", "pattern": "^[0-9a-f]{64}$"}), "additionalProperties": False},
        ),
    },
    "/v1/cluster": {
        "get": operation("The cell that this server is a node of", answers(404, _200=_good("Cell", ref("Cell")))),
        "post": operation(
            "Take a node out, or have another one lead",
            answers(403, 404, 408, 409, 413, 415, _200=_good("Cell", ref("Cell"))),
            ref("CellChange"),
        ),
    },
    "/v1/contracts": {
        "get": operation(
            "Named contracts",
            answers(403, _200=_good("The newest of each", obj("contracts", contracts=listed(ref("Contract"))))),
        ),
    },
    "/v1/contracts/{name}": {
        "parameters": path("name", TEXT),
        "get": operation(
            "A contract",
            answers(404, _200=_good("Contract", ref("Contract"))),
            query={"version": {**WHOLE, "minimum": 1}},
        ),
        "put": operation(
            "The next version of a contract",
            answers(
                403, 404, 408, 413, 415, 422,
                _200=_good("As it was", ref("Contract")), _201=_good("A new version", ref("Contract")),
            ),
            OBJECT,
        ),
    },
    "/v1/contracts/{name}/migrate": {
        "parameters": path("name", TEXT),
        "post": operation(
            "Bring projects to the newest version",
            answers(
                403, 404, 408, 409, 413, 415, 422,
                _200=_good("What was or would be done", obj("projects", projects=listed(ref("Migrated")))),
            ),
            ref("Migration"),
        ),
    },
    "/healthz": {"get": operation("Alive", {"200": _good("Yes", OBJECT)})},
    "/readyz": {"get": operation("Ready", answers(_200=_good("Yes", OBJECT)))},
}  # fmt: skip
