"""The shapes of what is sent and answered."""

from __future__ import annotations

from .words import BOOLEAN, ID, JSON, LIST, OBJECT, PARAMS, TEXT, WHOLE, listed, maybe, obj, ref

SCHEMAS: JSON = {
    "Cell": obj(
        "cluster node leads term nodes trouble",
        cluster=TEXT,
        node=TEXT,
        leads=maybe(TEXT),
        term=WHOLE,
        nodes=listed(
            obj(
                "node role connected behind url",
                node=TEXT,
                role={"enum": ["leader", "follower"]},
                connected=BOOLEAN,
                behind=maybe(WHOLE),
                url=maybe(TEXT),
            )
        ),
        trouble=listed(TEXT),
    ),
    "CellChange": {
        **obj("", remove=TEXT, transfer=maybe(TEXT), choose=obj("project node", project=TEXT, node=TEXT)),
        "minProperties": 1,
        "maxProperties": 1,
    },
    "Fault": obj("message", message=TEXT, table=TEXT, key=LIST, pointer=TEXT),
    "Error": obj(
        "error",
        error=obj("code message errors", code=TEXT, message=TEXT, errors=listed(ref("Fault"))),
        version=WHOLE,
    ),
    "Project": obj(
        "id name contract public created by role connections users version size updated problem",
        id=ID,
        name=TEXT,
        contract=maybe(TEXT),
        public=BOOLEAN,
        created={**WHOLE, "description": "milliseconds since 1970"},
        by=TEXT,
        role={"enum": ["reader", "editor", "owner"]},
        connections={**WHOLE, "description": "open websockets"},
        users=listed(TEXT),
        version=maybe(WHOLE),
        size=maybe({**WHOLE, "description": "bytes"}),
        updated=maybe({**WHOLE, "description": "the last commit, milliseconds since 1970"}),
        problem={**maybe(TEXT), "description": "why it cannot be read"},
    ),
    "NewProject": {
        **obj("name", name=TEXT, contract={"anyOf": [TEXT, OBJECT]}, public=BOOLEAN),
        "additionalProperties": False,
    },
    "AlteredProject": {**obj("", name=TEXT, public=BOOLEAN), "additionalProperties": False},
    "Commit": obj(
        "v at by kind changes",
        v=WHOLE,
        id=LIST,
        at=WHOLE,
        by=TEXT,
        kind=TEXT,
        tag=TEXT,
        changes=listed(LIST),
    ),
    "Push": obj(
        "",
        id={"type": "array", "prefixItems": [ID, {**WHOLE, "minimum": 1}], "minItems": 2, "maxItems": 2},
        contract=maybe(TEXT),
        changes=listed(LIST),
        expect=listed(LIST),
        missing={"enum": ["refuse", "skip"]},
        tag=maybe({"type": "string", "maxLength": 256}),
        call=maybe(TEXT),
        args=OBJECT,
    ),
    "Statement": {
        "anyOf": [
            TEXT,
            {**obj("sql", sql=TEXT, params=PARAMS, many=listed(PARAMS)), "additionalProperties": False},
        ]
    },
    "StatementsInside": {
        **obj("statements", statements=listed(ref("Statement"))),
        "additionalProperties": False,
    },
    "Begin": {
        **obj("", mode={"enum": ["deferred", "immediate", "read_only"], "default": "deferred"}),
        "additionalProperties": False,
    },
    "Begun": obj(
        "transaction version idle total",
        transaction=ID,
        version=WHOLE,
        idle={"type": "number"},
        total={"type": "number"},
    ),
    "Finish": {
        **obj(
            "",
            id={"type": "array", "prefixItems": [ID, {**WHOLE, "minimum": 1}], "minItems": 2, "maxItems": 2},
            tag=maybe({"type": "string", "maxLength": 256}),
        ),
        "additionalProperties": False,
    },
    "Committed": obj("version changed", version=WHOLE, changed=BOOLEAN),
    "Statements": {
        **obj(
            "statements",
            statements=listed(ref("Statement")),
            transaction={**BOOLEAN, "default": True},
            id={"type": "array", "prefixItems": [ID, {**WHOLE, "minimum": 1}], "minItems": 2, "maxItems": 2},
            tag=maybe({"type": "string", "maxLength": 256}),
            level={"enum": ["any", "session", "linearizable"], "default": "any"},
            version=maybe(WHOLE),
            at=maybe(WHOLE),
        ),
        "additionalProperties": False,
    },
    "Result": {
        "anyOf": [
            obj(
                "columns types rows affected last_id ms",
                columns=listed(TEXT),
                types=listed(maybe(TEXT)),
                rows=listed(LIST),
                affected={"type": "integer"},
                last_id={"anyOf": [{"type": "integer"}, OBJECT, {"type": "null"}]},
                ms={"type": "number"},
            ),
            obj("error", error=OBJECT),
        ]
    },
    "NewImport": {
        **obj("name size", name=TEXT, size={**WHOLE, "description": "bytes of the file"}, public=BOOLEAN),
        "additionalProperties": False,
    },
    "Import": obj(
        "id name size received piece state progress project problem report",
        id=ID,
        name=TEXT,
        size=WHOLE,
        received={**WHOLE, "description": "bytes that have come: the next piece begins here"},
        piece={**WHOLE, "description": "the largest piece, in bytes"},
        state={"enum": ["receiving", "working", "ready", "failed"]},
        progress=maybe(obj("phase done of", phase=TEXT, done=WHOLE, of={**WHOLE, "description": "0: not known"})),
        project={**maybe(ID), "description": "once it is ready"},
        problem={**maybe(TEXT), "description": "why it failed"},
        report={
            **maybe(obj("rows left", rows=OBJECT, left=listed(obj("kind name reason")))),
            "description": "rows by table, and what of the file did not come along as it was",
        },
    ),
    "Contract": obj(
        "name version hash created by", name=TEXT, version=WHOLE, hash=TEXT, created=WHOLE, by=TEXT, document=OBJECT
    ),
    "Migration": {
        **obj(
            "projects",
            projects={"anyOf": [listed(TEXT), {"const": "all"}]},
            dry_run={**BOOLEAN, "default": True},
            allow_destructive={**BOOLEAN, "default": False},
        ),
        "additionalProperties": False,
    },
    "Migrated": obj(
        "id name kind steps reasons version problem",
        id=ID,
        name=TEXT,
        kind=maybe(TEXT),
        steps=listed(TEXT),
        reasons=listed(TEXT),
        version=maybe(WHOLE),
        problem=maybe(TEXT),
    ),
}
