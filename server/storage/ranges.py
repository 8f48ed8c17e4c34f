"""Which bytes of an image a request gets, and with which status (SPEC R). Decides; sends nothing.

RFC 9110, sections 13 and 14, for a representation with one strong tag and no date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

#: Longer ones are refused unread (attack A10).
LONGEST = 4096
SPEC = re.compile(r"([0-9]*)-([0-9]*)\Z")
#: entity-tag of RFC 9110 8.8.3; a `*` alone stands for any.
TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,|\Z)[ \t,]*')
BLANK = " \t"


class Asked(NamedTuple):
    """The headers of a request that matter here; None where one is not there."""

    range: str | None = None
    if_range: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None


class Answer(NamedTuple):
    """`status` 200, 206, 304, 412 or 416; `start` and `end` (exclusive) of the bytes to send."""

    status: int
    start: int
    end: int


NAMES = {b"range": 0, b"if-range": 1, b"if-match": 2, b"if-none-match": 3}


def asked(headers: Iterable[tuple[bytes, bytes]]) -> Asked:
    """From the raw headers of a request. Those that came twice are one list (RFC 9110 5.3)."""
    found: list[str | None] = [None, None, None, None]
    for name, value in headers:
        place = NAMES.get(name)
        if place is not None:
            text, before = value.decode("latin-1"), found[place]
            found[place] = text if before is None else f"{before}, {text}"
    return Asked(*found)


def evaluate(method: str, request: Asked, tag: str, size: int) -> Answer:
    """What a GET or HEAD gets. `tag`: without its quotes."""
    if request.if_match is not None and not matches(request.if_match, tag, weak=False):
        return Answer(412, 0, 0)
    if request.if_none_match is not None and matches(request.if_none_match, tag, weak=True):
        return Answer(304, 0, 0)
    whole = Answer(200, 0, size)
    if request.range is None or method != "GET":
        return whole
    if request.if_range is not None and request.if_range.strip(BLANK) != f'"{tag}"':
        return whole
    return _ranged(request.range, size, whole)


def matches(header: str, tag: str, weak: bool) -> bool:
    """Whether a list of tags, or `*`, names this one. A list that cannot be read names none."""
    text = header.strip(BLANK)
    if text == "*":
        return True
    found, place = False, len(text) - len(text.lstrip(BLANK + ","))
    while place < len(text):
        match = TAG.match(text, place)
        if match is None:
            return False
        found = found or (match[2] == tag and (weak or match[1] is None))
        place = match.end()
    return found


def _ranged(header: str, size: int, whole: Answer) -> Answer:
    """One range of bytes; of several, and of what is none, nothing is sent. Another unit is not ours to understand."""
    unit, equals, text = header[:LONGEST].partition("=")
    if equals and unit.strip(BLANK).lower() != "bytes":
        return whole
    unsatisfiable = Answer(416, 0, 0)
    specs = [spec for part in text.split(",") if (spec := part.strip(BLANK))]
    if not equals or len(header) > LONGEST or len(specs) != 1:
        return unsatisfiable
    match = SPEC.match(specs[0])
    if match is None or len(match[1]) > 19 or len(match[2]) > 19 or not (match[1] or match[2]):
        return unsatisfiable
    if not match[1]:
        length = min(int(match[2]), size)
        return Answer(206, size - length, size) if length else unsatisfiable
    start = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if start >= size or last < start:
        return unsatisfiable
    return Answer(206, start, min(last + 1, size))
