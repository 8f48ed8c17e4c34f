"""The description of the HTTP interface: complete, and kept by every answer (thousands of made-up requests)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from sharelite.app import create_app
from sharelite.openapi import document
from tests.serving import NOTES, Serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document())


def test_every_address_under_v1_is_described(tmp_path: Path) -> None:  # W23
    routes = [route for route in create_app(tmp_path).routes if isinstance(route, Route)]
    served = {(r.path, method) for r in routes if r.path.startswith("/v1") for method in (r.methods or set())}
    described = {(path, method.upper()) for path, methods in document()["paths"].items() for method in methods}
    missing = {(path, method) for path, method in served - described if method != "HEAD"}
    assert missing == set()


def test_every_schema_is_one() -> None:  # W23
    for schema in document()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("openapi") / "data") as serving:
        serving.http.put("/v1/contracts/notes", json=NOTES)
        yield serving


@pytest.fixture(scope="module")
def project(server: Serving) -> str:
    return server.project()


@SCHEMA.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(case: Any, server: Serving, project: str) -> None:  # W23
    """Half of the requests go to a project and a contract that are there."""
    if case.path_parameters and case.path_parameters.get("project", "8")[0] < "8" and case.method != "DELETE":
        case.path_parameters["project"] = project
    if case.path_parameters and len(case.path_parameters.get("name", "")) % 2:
        case.path_parameters["name"] = "notes"
    try:
        response = case.call(base_url=server.url, timeout=30)
        case.validate_response(response, checks=CHECKS)
    except Failure as failure:
        raise AssertionError(str(failure)) from failure
