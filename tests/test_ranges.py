"""Which bytes a request gets (SPEC R): the table of a range server, decided without a socket."""

from __future__ import annotations

import pytest

from sharelite.storage.ranges import Answer, Asked, asked, evaluate

SIZE = 10_000
TAG = "ab" * 32
WHOLE = Answer(200, 0, SIZE)
REFUSED = Answer(416, 0, 0)


def ranged(text: str, **more: str) -> Answer:
    return evaluate("GET", Asked(range=text, **more), TAG, SIZE)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-4095", 0, 4096),
        ("bytes=9999-9999", 9999, SIZE),
        ("bytes=5000-", 5000, SIZE),
        ("bytes=0-", 0, SIZE),
        ("bytes=9000-99999", 9000, SIZE),
        ("bytes=0-9223372036854775807", 0, SIZE),
        ("bytes=-1", 9999, SIZE),
        ("bytes=-10000", 0, SIZE),
        ("bytes=-99999", 0, SIZE),
        ("BYTES=1-2", 1, 3),
        ("bytes = 1-2", 1, 3),
        ("bytes= 1-2 ", 1, 3),
        ("bytes=,1-2,", 1, 3),
        ("bytes=0001-0002", 1, 3),
    ],
)
def test_one_range_gets_exactly_its_bytes(text: str, start: int, end: int) -> None:  # R1
    assert ranged(text) == Answer(206, start, end)


@pytest.mark.parametrize(
    "text",
    [
        "bytes=10000-",
        "bytes=10000-10001",
        "bytes=99999999999999999999-",
        "bytes=-0",
        "bytes=-",
        "bytes=",
        "bytes",
        "",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=1-b",
        "bytes=0x1-2",
        "bytes=1.0-2",
        "bytes=+1-2",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=1",
        "bytes=1 - 2",
        "bytes=\u0661-\u0662",
        "bytes=\xb2-\xb3",
        "bytes=\uff11-\uff12",
        "bytes=0-0\x00",
        "bytes=0-0;1-1",
        "bytes==0-0",
        "bytes=*/10",
    ],
)
def test_what_is_no_range_within_the_file_gets_nothing_of_it(text: str) -> None:  # R2
    assert ranged(text) == REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "bytes=0-1,5-6",
        "bytes=0-1,0-1",
        "bytes=0-,0-",
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 9999, 99)),
        "bytes=" + ",".join(["0-1"] * 20_000),
        "bytes=0-9999," + " " * 5000,
        "bytes=" + "0" * 5000 + "-1",
        "bytes=0-1, bytes=2-3",
    ],
)
def test_several_ranges_and_long_headers_are_refused_and_cost_nothing(text: str) -> None:  # R2
    assert ranged(text) == REFUSED


def test_a_range_in_another_unit_is_ignored() -> None:  # R3
    assert ranged("items=0-5") == WHOLE


def test_head_has_no_ranges() -> None:  # R3
    assert evaluate("HEAD", Asked(range="bytes=0-5"), TAG, SIZE) == WHOLE


@pytest.mark.parametrize("tags", [f'"{TAG}"', "*", f'"x", "{TAG}"', f'"a,b","{TAG}"', f' , "{TAG}" , '])
def test_a_tag_that_is_named_is_let_through(tags: str) -> None:  # R4
    assert ranged("bytes=0-5", if_match=tags) == Answer(206, 0, 6)


@pytest.mark.parametrize(
    "tags", ['"x"', f'W/"{TAG}"', TAG, f'"{TAG}', "", f'"a" "{TAG}"', f'"{TAG[:-1]}"', f'"a,{TAG}"']
)
def test_another_tag_is_412_and_nothing_of_the_file(tags: str) -> None:  # R4
    assert ranged("bytes=0-5", if_match=tags) == Answer(412, 0, 0)


@pytest.mark.parametrize("tags", [f'"{TAG}"', f'W/"{TAG}"', "*", f'"x", W/"{TAG}"'])
def test_who_has_it_is_told_so(tags: str) -> None:  # R5
    assert ranged("bytes=0-5", if_none_match=tags) == Answer(304, 0, 0)
    assert ranged("bytes=0-5", if_none_match='"x"') == Answer(206, 0, 6)


def test_a_range_on_condition_is_that_range_or_the_whole() -> None:  # R6
    assert ranged("bytes=0-5", if_range=f'"{TAG}"') == Answer(206, 0, 6)
    for other in ('"x"', f'W/"{TAG}"', "Wed, 21 Oct 2015 07:28:00 GMT", TAG, ""):
        assert ranged("bytes=0-5", if_range=other) == WHOLE


def test_a_header_that_came_twice_is_one_list() -> None:  # R2
    twice = asked([(b"range", b"bytes=0-1"), (b"host", b"x"), (b"range", b"bytes=2-3")])
    assert evaluate("GET", twice, TAG, SIZE) == REFUSED
    assert asked([(b"if-match", b'"a"'), (b"if-match", b'"b"')]).if_match == '"a", "b"'
