"""What descriptions of the HTTP interface are put together from."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]
TEXT: JSON = {"type": "string"}
WHOLE: JSON = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
BOOLEAN: JSON = {"type": "boolean"}
ID: JSON = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
OBJECT: JSON = {"type": "object"}
LIST: JSON = {"type": "array"}
PARAMS: JSON = {"anyOf": [LIST, OBJECT]}


def ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def obj(required: str, **properties: JSON) -> JSON:
    return {"type": "object", "required": required.split(), "properties": properties}


def listed(items: JSON) -> JSON:
    return {"type": "array", "items": items}


def maybe(schema: JSON) -> JSON:
    return {"anyOf": [schema, {"type": "null"}]}


def content(schema: JSON, kind: str = "application/json") -> JSON:
    return {"content": {kind: {"schema": schema}}}


def answers(*statuses: int, **good: JSON) -> JSON:
    """Good answers by status (`_200=...`), and the errors that may come instead."""
    found = {status.removeprefix("_"): answer for status, answer in good.items()}
    for status in (*statuses, 400, 401, 429, 503):
        found[str(status)] = {"description": ERRORS[status], **content(ref("Error"))}
    return found


def operation(
    summary: str, answered: JSON, body: JSON | None = None, query: JSON | None = None, kind: str = "application/json"
) -> JSON:
    made: JSON = {"summary": summary, "responses": answered}
    if body is not None:
        made["requestBody"] = {"required": True, **content(body, kind)}
    if query:
        made["parameters"] = [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
    return made


def path(name: str, schema: JSON) -> list[JSON]:
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
