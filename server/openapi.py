"""The description of the HTTP interface that /openapi.json gives out (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from . import __version__

JSON = dict[str, Any]
TEXT: JSON = {"type": "string"}
WHOLE: JSON = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
BOOLEAN: JSON = {"type": "boolean"}
ID: JSON = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
OBJECT: JSON = {"type": "object"}
LIST: JSON = {"type": "array"}
PARAMS: JSON = {"anyOf": [LIST, OBJECT]}


def document(root: str = "") -> JSON:
    """The whole description, for a server that is reached below `root`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sharelite",
            "version": __version__,
            "description": "One project is one SQLite database. Live: a websocket at /v1/projects/{project}/live.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": root or "/"}],
        "security": [{"bearer": []}, {}],
        "paths": PATHS,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: str, **properties: JSON) -> JSON:
    return {"type": "object", "required": required.split(), "properties": properties}


def _list(items: JSON) -> JSON:
    return {"type": "array", "items": items}


def _maybe(schema: JSON) -> JSON:
    return {"anyOf": [schema, {"type": "null"}]}


def _content(schema: JSON, kind: str = "application/json") -> JSON:
    return {"content": {kind: {"schema": schema}}}


def _answers(*statuses: int, **good: JSON) -> JSON:
    """Good answers by status (`_200=...`), and the errors that may come instead."""
    answers = {status.removeprefix("_"): answer for status, answer in good.items()}
    for status in (*statuses, 400, 401, 429, 503):
        answers[str(status)] = {"description": ERRORS[status], **_content(_ref("Error"))}
    return answers


def _operation(
    summary: str, answers: JSON, body: JSON | None = None, query: JSON | None = None, kind: str = "application/json"
) -> JSON:
    operation: JSON = {"summary": summary, "responses": answers}
    if body is not None:
        operation["requestBody"] = {"required": True, **_content(body, kind)}
    if query:
        operation["parameters"] = [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
    return operation


def _path(name: str, schema: JSON) -> list[JSON]:
    return [{"name": name, "in": "path", "required": True, "schema": schema}]


ERRORS = {
    400: "The request cannot be read",
    401: "A valid token is needed",
    403: "The token does not give this role",
    404: "It is not there, or not to be seen with this token",
    408: "The body came too slowly",
    409: "It collides with what is there",
    410: "The version is ahead of the project, or no longer there",
    412: "The database is another one by now",
    413: "The body is too large",
    415: "The body is not application/json",
    416: "No single range of bytes within it",
    422: "It can be read, but not be done",
    429: "Too many at once",
    503: "Not now; try again",
}
SCHEMAS: JSON = {
    "Cell": _object(
        "cluster node leads term nodes trouble",
        cluster=TEXT,
        node=TEXT,
        leads=_maybe(TEXT),
        term=WHOLE,
        nodes=_list(
            _object(
                "node role connected behind url",
                node=TEXT,
                role={"enum": ["leader", "follower"]},
                connected=BOOLEAN,
                behind=_maybe(WHOLE),
                url=_maybe(TEXT),
            )
        ),
        trouble=_list(TEXT),
    ),
    "CellChange": {**_object("", remove=TEXT, transfer=_maybe(TEXT)), "minProperties": 1, "maxProperties": 1},
    "Fault": _object("message", message=TEXT, table=TEXT, key=LIST, pointer=TEXT),
    "Error": _object(
        "error",
        error=_object("code message errors", code=TEXT, message=TEXT, errors=_list(_ref("Fault"))),
        version=WHOLE,
    ),
    "Project": _object(
        "id name contract public created by role connections users version size problem",
        id=ID,
        name=TEXT,
        contract=_maybe(TEXT),
        public=BOOLEAN,
        created={**WHOLE, "description": "milliseconds since 1970"},
        by=TEXT,
        role={"enum": ["reader", "editor", "owner"]},
        connections={**WHOLE, "description": "open websockets"},
        users=_list(TEXT),
        version=_maybe(WHOLE),
        size=_maybe({**WHOLE, "description": "bytes"}),
        problem={**_maybe(TEXT), "description": "why it cannot be read"},
    ),
    "NewProject": {
        **_object("name", name=TEXT, contract={"anyOf": [TEXT, OBJECT]}, public=BOOLEAN),
        "additionalProperties": False,
    },
    "AlteredProject": {**_object("", name=TEXT, public=BOOLEAN), "additionalProperties": False},
    "Commit": _object(
        "v at by kind changes",
        v=WHOLE,
        id=LIST,
        at=WHOLE,
        by=TEXT,
        kind=TEXT,
        tag=TEXT,
        changes=_list(LIST),
    ),
    "Push": _object(
        "",
        id={"type": "array", "prefixItems": [ID, {**WHOLE, "minimum": 1}], "minItems": 2, "maxItems": 2},
        contract=_maybe(TEXT),
        changes=_list(LIST),
        expect=_list(LIST),
        missing={"enum": ["refuse", "skip"]},
        tag=_maybe({"type": "string", "maxLength": 256}),
        call=_maybe(TEXT),
        args=OBJECT,
    ),
    "Statement": {
        "anyOf": [
            TEXT,
            {**_object("sql", sql=TEXT, params=PARAMS, many=_list(PARAMS)), "additionalProperties": False},
        ]
    },
    "StatementsInside": {
        **_object("statements", statements=_list(_ref("Statement"))),
        "additionalProperties": False,
    },
    "Begin": {
        **_object("", mode={"enum": ["deferred", "immediate", "read_only"], "default": "deferred"}),
        "additionalProperties": False,
    },
    "Begun": _object(
        "transaction version idle total",
        transaction=ID,
        version=WHOLE,
        idle={"type": "number"},
        total={"type": "number"},
    ),
    "Finish": {
        **_object(
            "",
            id={"type": "array", "prefixItems": [ID, {**WHOLE, "minimum": 1}], "minItems": 2, "maxItems": 2},
            tag=_maybe({"type": "string", "maxLength": 256}),
        ),
        "additionalProperties": False,
    },
    "Committed": _object("version changed", version=WHOLE, changed=BOOLEAN),
    "Statements": {
        **_object(
            "statements",
            statements=_list(_ref("Statement")),
            transaction={**BOOLEAN, "default": True},
            id={"type": "array", "prefixItems": [ID, {**WHOLE, "minimum": 1}], "minItems": 2, "maxItems": 2},
            tag=_maybe({"type": "string", "maxLength": 256}),
            level={"enum": ["any", "session", "linearizable"], "default": "any"},
            version=_maybe(WHOLE),
            at=_maybe(WHOLE),
        ),
        "additionalProperties": False,
    },
    "Result": {
        "anyOf": [
            _object(
                "columns types rows affected last_id ms",
                columns=_list(TEXT),
                types=_list(_maybe(TEXT)),
                rows=_list(LIST),
                affected={"type": "integer"},
                last_id={"anyOf": [{"type": "integer"}, OBJECT, {"type": "null"}]},
                ms={"type": "number"},
            ),
            _object("error", error=OBJECT),
        ]
    },
    "NewImport": {
        **_object("name size", name=TEXT, size={**WHOLE, "description": "bytes of the file"}, public=BOOLEAN),
        "additionalProperties": False,
    },
    "Import": _object(
        "id name size received piece state progress project problem report",
        id=ID,
        name=TEXT,
        size=WHOLE,
        received={**WHOLE, "description": "bytes that have come: the next piece begins here"},
        piece={**WHOLE, "description": "the largest piece, in bytes"},
        state={"enum": ["receiving", "working", "ready", "failed"]},
        progress=_maybe(_object("phase done of", phase=TEXT, done=WHOLE, of={**WHOLE, "description": "0: not known"})),
        project={**_maybe(ID), "description": "once it is ready"},
        problem={**_maybe(TEXT), "description": "why it failed"},
        report={
            **_maybe(_object("rows left", rows=OBJECT, left=_list(_object("kind name reason")))),
            "description": "rows by table, and what of the file did not come along as it was",
        },
    ),
    "Contract": _object(
        "name version hash created by", name=TEXT, version=WHOLE, hash=TEXT, created=WHOLE, by=TEXT, document=OBJECT
    ),
    "Migration": {
        **_object(
            "projects",
            projects={"anyOf": [_list(TEXT), {"const": "all"}]},
            dry_run={**BOOLEAN, "default": True},
            allow_destructive={**BOOLEAN, "default": False},
        ),
        "additionalProperties": False,
    },
    "Migrated": _object(
        "id name kind steps reasons version problem",
        id=ID,
        name=TEXT,
        kind=_maybe(TEXT),
        steps=_list(TEXT),
        reasons=_list(TEXT),
        version=_maybe(WHOLE),
        problem=_maybe(TEXT),
    ),
}
IMAGE_HEADERS: JSON = {"ETag": {"schema": TEXT}, "Accept-Ranges": {"schema": {"const": "bytes"}}}
FILE_HEADERS: JSON = {
    **IMAGE_HEADERS,
    "Sharelite-Version": {"schema": TEXT, "description": "the feed goes on from here"},
    "Sharelite-Epoch": {"schema": TEXT},
}


def _good(description: str, schema: JSON) -> JSON:
    return {"description": description, **_content(schema)}


def _file(headers: JSON, *errors: int) -> JSON:
    """A SQLite database, whole, in part or unchanged."""
    binary = _content({}, "application/vnd.sqlite3")
    ranged = {**headers, "Content-Range": {"schema": TEXT}}
    return _answers(
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
    return {"description": "The export", "headers": headers, "content": content}


def _pages() -> JSON:
    page = _content(_object("commits version", commits=_list(_ref("Commit")), version=WHOLE))
    page["content"] |= {"text/event-stream": {"schema": TEXT}, "application/x-ndjson": {"schema": TEXT}}
    return {"description": "A page; live, as events; or all of them, one per line", **page}


def _rows() -> JSON:
    results = _object("version results", version=WHOLE, results=_list(_ref("Result")), repeated=BOOLEAN)
    answer = _content(results)
    answer["content"] |= {"application/x-ndjson": {"schema": TEXT}}
    return {"description": "What each statement gave; or rows, one per line", **answer}


def _head(headers: JSON, *errors: int) -> JSON:
    good = {"description": "As GET, without the body", "headers": headers}
    return {"200": good, **{str(error): {"description": ERRORS[error]} for error in (401, 404, 503, *errors)}}


IMAGE = _object(
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
PAGES = _object("from to pages", **{"from": WHOLE}, to=WHOLE, pages=_list(WHOLE))
ITS_CONTRACT = _object("name hash document", name=_maybe(TEXT), hash=TEXT, document=OBJECT)
PATHS: JSON = {
    "/v1/projects": {
        "get": _operation(
            "The projects that the caller may read",
            _answers(_200=_good("Projects", _object("projects", projects=_list(_ref("Project"))))),
            query={"name": TEXT},
        ),
        "post": _operation(
            "Make a project",
            _answers(403, 404, 408, 409, 413, 415, 422, _201=_good("Made", _ref("Project"))),
            _ref("NewProject"),
        ),
    },
    "/v1/projects/{project}": {
        "parameters": _path("project", ID),
        "get": _operation("One project", _answers(404, _200=_good("Project", _ref("Project")))),
        "patch": _operation(
            "Rename, publish",
            _answers(403, 404, 408, 409, 413, 415, 422, _200=_good("Altered", _ref("Project"))),
            _ref("AlteredProject"),
        ),
        "delete": _operation("Delete, with its files", _answers(403, 404, _204={"description": "Deleted"})),
    },
    "/v1/projects/{project}/db": {
        "parameters": _path("project", ID),
        "get": _operation("The database now", _file(FILE_HEADERS)),
        "head": _operation("Its version", _head(FILE_HEADERS)),
    },
    "/v1/projects/{project}/image": {
        "parameters": _path("project", ID),
        "get": _operation("The newest image", _answers(404, _200=_good("Where it is", IMAGE))),
    },
    "/v1/projects/{project}/pages": {
        "parameters": _path("project", ID),
        "get": _operation(
            "Pages that may differ between two images",
            _answers(404, 410, _200=_good("Page numbers, counted from 1", PAGES)),
            query={"from": {**WHOLE, "minimum": 1}, "to": {**WHOLE, "minimum": 1}},
        ),
    },
    "/v1/images/{project}/{file}": {
        "parameters": [*_path("project", ID), *_path("file", TEXT)],
        "get": _operation("An image, whole or one range of it", _file(IMAGE_HEADERS, 403, 410), query={"s": TEXT}),
        "head": _operation("Its size", _head(IMAGE_HEADERS, 403, 410)),
    },
    "/v1/projects/{project}/commits": {
        "parameters": _path("project", ID),
        "get": _operation(
            "Commits after a version",
            _answers(404, 410, _200=_pages()),
            query={"after": WHOLE, "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
        ),
    },
    "/v1/projects/{project}/mutations": {
        "parameters": _path("project", ID),
        "post": _operation(
            "A mutation; with an id it can be sent again",
            _answers(
                403, 404, 408, 409, 410, 413, 415, 422, _200=_good("Its version", _object("version", version=WHOLE))
            ),
            _ref("Push"),
        ),
    },
    "/v1/projects/{project}/sql": {
        "parameters": _path("project", ID),
        "post": _operation(
            "SQL statements, as one transaction or each alone",
            _answers(403, 404, 408, 409, 410, 413, 415, 422, _200=_rows()),
            _ref("Statements"),
        ),
    },
    "/v1/projects/{project}/transactions": {
        "parameters": _path("project", ID),
        "post": _operation(
            "Begin an interactive transaction",
            _answers(403, 404, 408, 413, 415, _201=_good("Begun", _ref("Begun"))),
            _ref("Begin"),
        ),
    },
    "/v1/projects/{project}/transactions/{transaction}": {
        "parameters": [*_path("project", ID), *_path("transaction", ID)],
        "delete": _operation("Roll it back", _answers(404, 410, _204={"description": "Nothing of it happened"})),
    },
    "/v1/projects/{project}/transactions/{transaction}/sql": {
        "parameters": [*_path("project", ID), *_path("transaction", ID)],
        "post": _operation(
            "Statements of an open transaction",
            _answers(403, 404, 408, 409, 410, 413, 415, 422, _200=_rows()),
            _ref("StatementsInside"),
        ),
    },
    "/v1/projects/{project}/transactions/{transaction}/commit": {
        "parameters": [*_path("project", ID), *_path("transaction", ID)],
        "post": _operation(
            "Commit; with an id it can be asked again",
            _answers(403, 404, 408, 409, 410, 413, 415, 422, _200=_good("Its version", _ref("Committed"))),
            _ref("Finish"),
        ),
    },
    "/v1/projects/{project}/contract": {
        "parameters": _path("project", ID),
        "get": _operation("The contract it has", _answers(404, _200=_good("Contract", ITS_CONTRACT))),
    },
    "/v1/projects/{project}/export": {
        "parameters": _path("project", ID),
        "get": _operation(
            "The project as a clean database, SQL text, a JSON tree, CSV (a ZIP of several), or its log line by line",
            _answers(404, _200=_export()),
            query={"format": {"enum": ["db", "sql", "json", "csv", "ndjson"], "default": "db"}},
        ),
    },
    "/v1/imports": {
        "get": _operation(
            "Imports of the caller, oldest first",
            _answers(_200=_good("Imports", _object("imports", imports=_list(_ref("Import"))))),
        ),
        "post": _operation(
            "Begin to import a SQLite file as a new project",
            _answers(403, 408, 409, 413, 415, 422, _201=_good("Send the file in pieces", _ref("Import"))),
            _ref("NewImport"),
        ),
    },
    "/v1/imports/{import_id}": {
        "parameters": _path("import_id", ID),
        "get": _operation("How far it is", _answers(404, _200=_good("Import", _ref("Import")))),
        "put": _operation(
            "The next piece of the file",
            _answers(404, 408, 409, 413, 415, _200=_good("It has come", _ref("Import"))),
            {},
            query={"offset": WHOLE},
            kind="application/octet-stream",
        ),
        "delete": _operation("Forget it, with what has come", _answers(404, _204={"description": "Forgotten"})),
    },
    "/v1/imports/{import_id}/finish": {
        "parameters": _path("import_id", ID),
        "post": _operation(
            "All has come: make the project",
            _answers(403, 404, 408, 409, 413, 415, _202=_good("It is being read; look how far it is", _ref("Import"))),
            {**_object("", hash={"type": "string", "pattern": "^[0-9a-f]{64}$"}), "additionalProperties": False},
        ),
    },
    "/v1/cluster": {
        "get": _operation("The cell that this server is a node of", _answers(404, _200=_good("Cell", _ref("Cell")))),
        "post": _operation(
            "Take a node out, or have another one lead",
            _answers(403, 404, 408, 409, 413, 415, _200=_good("Cell", _ref("Cell"))),
            _ref("CellChange"),
        ),
    },
    "/v1/contracts": {
        "get": _operation(
            "Named contracts",
            _answers(403, _200=_good("The newest of each", _object("contracts", contracts=_list(_ref("Contract"))))),
        ),
    },
    "/v1/contracts/{name}": {
        "parameters": _path("name", TEXT),
        "get": _operation(
            "A contract",
            _answers(404, _200=_good("Contract", _ref("Contract"))),
            query={"version": {**WHOLE, "minimum": 1}},
        ),
        "put": _operation(
            "The next version of a contract",
            _answers(
                403, 404, 408, 413, 415, 422,
                _200=_good("As it was", _ref("Contract")), _201=_good("A new version", _ref("Contract")),
            ),
            OBJECT,
        ),
    },
    "/v1/contracts/{name}/migrate": {
        "parameters": _path("name", TEXT),
        "post": _operation(
            "Bring projects to the newest version",
            _answers(
                403, 404, 408, 409, 413, 415, 422,
                _200=_good("What was or would be done", _object("projects", projects=_list(_ref("Migrated")))),
            ),
            _ref("Migration"),
        ),
    },
    "/healthz": {"get": _operation("Alive", {"200": _good("Yes", OBJECT)})},
    "/readyz": {"get": _operation("Ready", _answers(_200=_good("Yes", OBJECT)))},
}  # fmt: skip
