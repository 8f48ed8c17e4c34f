"""Names and addresses that try to be more than names."""

from __future__ import annotations

import pytest

from tests.scenarios.conftest import CONTRACT, Street

NAMES = {
    "nothing": "",
    "spaces": "   ",
    "the folder above": "..",
    "a path": "../../etc/passwd",
    "a slash": "a/b",
    "a backslash": "a\\b",
    "NUL": "a\0b",
    "a line": "a\nb",
    "an escape": "a\x1b[31mb",
    "300 bytes": "x" * 300,
    "300 bytes of 100 letters": "\u4e2d" * 100,
    "turned round": "a\u202eb",
    "invisible": "a\u200bb",
    "Cyrillic among Latin": "p\u0430ypal",
    "half a surrogate": "\ud800",
}
PATHS = (
    "/v1/projects/..",
    "/v1/projects/%2e%2e/db",
    "/v1/projects/..%2f..%2fetc%2fpasswd",
    "/v1/projects/a%00b/db",
    "/client/../../pyproject.toml",
    "/client/%2e%2e/%2e%2e/errors.py",
    "/client/..%5c..%5cerrors.py",
    "//etc/passwd",
    "/demo/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/v1/projects/ffffffffffffffffffffffffffffffff/db",
    "/v1/projects/" + "x" * 3000,
)
BODIES = {
    "nothing": b"",
    "half an object": b"{",
    "a list": b"[]",
    "null": b"null",
    "no UTF-8": b"\xff\xfe",
    "a number as name": b'{"name":7}',
    "100,000 brackets": b"[" * 100_000,
    "NaN": b'{"name":NaN}',
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_that_is_none_is_refused_with_the_reason(street: Street, case: str) -> None:
    status, answer = street.server.ask("POST", "/v1/projects", {"name": NAMES[case], "contract": CONTRACT})
    assert status in (400, 422) and answer["error"]["code"] in ("invalid", "bad_request"), answer
    assert answer["error"]["message"] and street.neighbour_is_undisturbed()


@pytest.mark.parametrize("name", ["Abused", "ABUSED", "\uff41bused", "abused"])
def test_a_name_that_looks_like_another_is_taken(street: Street, name: str) -> None:
    status, answer = street.server.ask("POST", "/v1/projects", {"name": name, "contract": CONTRACT})
    assert (status, answer["error"]["code"]) == (409, "already_exists"), answer


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_an_address_leads_nowhere_but_to_what_is_served(street: Street, path: str) -> None:
    status, answer = street.server.ask("GET", path)
    assert status in (400, 404, 405, 414), (status, answer)
    assert b"root:" not in answer if isinstance(answer, bytes) else answer["error"]["message"]


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_request_is_a_bad_request(street: Street, case: str) -> None:
    status, answer = street.server.ask("POST", "/v1/projects", BODIES[case])
    assert status in (400, 422) and answer["error"]["message"], (status, answer)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_a_server_on_loopback_answers_to_its_own_name_only(street: Street, host: str) -> None:
    status, _ = street.server.ask("GET", "/v1/projects", headers={"Host": host})
    assert status in (400, 403, 421)


def test_nothing_of_all_this_has_left_a_file(street: Street) -> None:
    folders = {path.name for path in (street.server.data / "projects").iterdir()}
    assert folders == {street.project, street.neighbour}
