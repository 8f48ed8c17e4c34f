"""Which regular expressions a contract may use: those that mean the same, and stay fast, everywhere.

What is read here is the intersection of ECMAScript's `u` patterns and Rust's `regex`. The road's engine takes linear
time with any of them; browsers backtrack, so what would make them try for ever is refused too (ambiguity.py).
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache
from typing import NoReturn

import jsonschema_rs

from .ambiguity import Alternatives, Anchor, Node, Repeat, Sequence, Set, Slow, check_speed, merged

MAX_LENGTH = 1000
MAX_TIMES = 1000
LAST = sys.maxunicode
Ranges = tuple[tuple[int, int], ...]

_SYNTAX = set("^$\\.*+?()[]{}|/")
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
_LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_SPACE: Ranges = (
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
_SHORT: dict[str, Ranges] = {"d": ((48, 57),), "w": ((48, 57), (65, 90), (95, 95), (97, 122)), "s": _SPACE}
_CATEGORY = re.compile(r"\{(L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?)\}")
_TIMES = re.compile(r"\{(\d{1,5})(,(\d{0,5}))?\}")


class Refusal(ValueError):
    """The pattern cannot be used; the sentence says why."""


def check_pattern(pattern: str) -> None:
    """Raises Refusal."""
    engine_pattern(pattern)


@lru_cache(maxsize=1000)
def engine_pattern(pattern: str) -> str:
    """The pattern in the words of the road's engine: every class spelt out. Raises Refusal."""
    if len(pattern) > MAX_LENGTH:
        raise Refusal(f"the pattern has {len(pattern):,} characters, the limit is {MAX_LENGTH:,}")
    _, text = _checked(pattern)
    try:
        jsonschema_rs.validator_for({"pattern": text}, pattern_options=jsonschema_rs.RegexOptions())
    except ValueError:
        raise Refusal(f"the pattern {pattern!r} is too large for the engine") from None
    return text


def read_pattern(pattern: str) -> Node:
    """What a pattern that may be used is made of. Raises Refusal."""
    return _checked(pattern)[0]


def _checked(pattern: str) -> tuple[Node, str]:
    tree, text = _Reader(pattern).read()
    try:
        check_speed(tree)
    except Slow as problem:
        raise Refusal(f"the pattern {pattern!r} could keep a browser busy for ever: {problem}") from None
    return tree, text


class _Reader:
    """Reads a pattern; returns what it matches and the same in the engine's words."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0

    def read(self) -> tuple[Node, str]:
        found = self._alternatives()
        if self._at < len(self._pattern):
            self._refuse("a ) without a (")
        return found

    def _refuse(self, why: str) -> NoReturn:
        raise Refusal(f"the pattern {self._pattern!r} cannot be used: {why} at character {self._at + 1}")

    def _peek(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        found = self._peek(text)
        self._at += len(text) if found else 0
        return found

    def _alternatives(self) -> tuple[Node, str]:
        nodes, texts = [], []
        while True:
            node, text = self._sequence()
            nodes.append(node)
            texts.append(text)
            if not self._take("|"):
                return (nodes[0], texts[0]) if len(nodes) == 1 else (Alternatives(tuple(nodes)), "|".join(texts))

    def _sequence(self) -> tuple[Node, str]:
        nodes, texts = [], []
        while self._at < len(self._pattern) and not (self._peek("|") or self._peek(")")):
            node, text = self._quantified()
            nodes.append(node)
            texts.append(text)
        return Sequence(tuple(nodes)), "".join(texts)

    def _quantified(self) -> tuple[Node, str]:
        node, text = self._atom()
        times = self._times()
        if times is None:
            return node, text
        if isinstance(node, Anchor):
            self._refuse("^ and $ cannot be repeated")
        low, high, said = times
        lazy = "?" if self._take("?") else ""
        if self._times() is not None:
            self._refuse("a repeat of a repeat")
        return Repeat(node, low, high), text + said + lazy

    def _times(self) -> tuple[int, int | None, str] | None:
        for sign, low, high in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._take(sign):
                return low, high, sign
        found = _TIMES.match(self._pattern, self._at)
        if found is None:
            return None
        self._at = found.end()
        low, upper = int(found[1]), found[3]
        most = low if found[2] is None else int(upper) if upper else None
        if max(low, most or 0) > MAX_TIMES or (most is not None and most < low):
            self._refuse(f"a count that is out of order or beyond {MAX_TIMES:,}")
        return low, most, found[0]

    def _atom(self) -> tuple[Node, str]:
        if self._take("("):
            return self._group()
        if self._take("["):
            return self._class()
        for anchor in "^$":
            if self._take(anchor):
                return Anchor(), anchor
        if self._take("."):
            return Set(_negated(_LINE_ENDS)), f"[^{_text(_LINE_ENDS)}]"
        if self._take("\\"):
            ranges, text = self._escape(in_class=False)
            return Set(ranges), f"[{text}]"
        letter = self._pattern[self._at]
        if letter in _SYNTAX - {"/"}:
            self._refuse(f"{letter} has no meaning here; write \\{letter} for the character itself")
        self._at += 1
        return Set(((ord(letter), ord(letter)),)), f"[{_text(((ord(letter), ord(letter)),))}]"

    def _group(self) -> tuple[Node, str]:
        if not self._take("?:") and self._peek("?"):
            ahead = self._pattern[self._at : self._at + 3]
            looks = ahead.startswith(("?=", "?!", "?<=", "?<!"))
            self._refuse("looking ahead or behind" if looks else "a named group or a flag")
        node, text = self._alternatives()
        if not self._take(")"):
            self._refuse("a ( without a )")
        return node, f"(?:{text})"

    def _class(self) -> tuple[Node, str]:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        texts = []
        while not self._take("]"):
            if self._at >= len(self._pattern):
                self._refuse("a [ without a ]")
            found, text = self._class_item()
            ranges += found
            texts.append(text)
        if not ranges:
            self._refuse("an empty class")
        whole = merged(ranges)
        return Set(_negated(whole) if negated else whole), f"[{'^' if negated else ''}{''.join(texts)}]"

    def _class_item(self) -> tuple[Ranges, str]:
        first, text = self._class_atom()
        if not self._peek("-") or self._pattern.startswith("-]", self._at):
            return first, text
        self._at += 1
        last, _ = self._class_atom()
        (low, end), (start, high) = first[0], last[-1]
        if len(first) > 1 or len(last) > 1 or low != end or start != high or high < low:
            self._refuse("a range that does not go from one character up to another")
        return ((low, high),), _text(((low, high),))

    def _class_atom(self) -> tuple[Ranges, str]:
        if self._take("\\"):
            return self._escape(in_class=True)
        if self._at >= len(self._pattern):
            self._refuse("a [ without a ]")
        code = ord(self._pattern[self._at])
        self._at += 1
        return ((code, code),), _text(((code, code),))

    def _escape(self, in_class: bool) -> tuple[Ranges, str]:
        letter = self._pattern[self._at : self._at + 1]
        self._at += 1
        if letter.lower() in _SHORT and letter:
            ranges = _SHORT[letter.lower()]
            return (ranges, _text(ranges)) if letter.islower() else (_negated(ranges), f"[^{_text(ranges)}]")
        if letter in ("p", "P"):
            return self._property(letter == "P")
        if letter in ("x", "u"):
            code = self._code(letter)
        elif letter in _SYNTAX or (letter == "-" and in_class):
            code = ord(letter)
        elif letter in _CONTROL and not (letter == "0" and self._pattern[self._at : self._at + 1].isdecimal()):
            code = ord(_CONTROL[letter])
        else:
            self._at -= 1
            self._refuse("a reference to a group" if letter.isdecimal() or letter == "k" else f"\\{letter}")
        return ((code, code),), _text(((code, code),))

    def _code(self, letter: str) -> int:
        shape = r"[0-9a-fA-F]{2}" if letter == "x" else r"[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\}"
        found = re.compile(shape).match(self._pattern, self._at)
        code = int(found[0].strip("{}"), 16) if found else LAST + 1
        if found is None or code > LAST or 0xD800 <= code <= 0xDFFF:
            self._refuse("no character has that code")
        self._at = found.end()
        return code

    def _property(self, negated: bool) -> tuple[Ranges, str]:
        found = _CATEGORY.match(self._pattern, self._at)
        if found is None:
            self._refuse("only general categories such as \\p{L} or \\p{Lu}, not this property")
        self._at = found.end()
        ranges = _category(found[1])
        return (_negated(ranges), f"\\P{found[0]}") if negated else (ranges, f"\\p{found[0]}")


@lru_cache(maxsize=64)
def _category(name: str) -> Ranges:
    """The characters of a general category, as this Python's Unicode has them; only speed is judged by them."""
    return merged([(code, code) for code in range(LAST + 1) if unicodedata.category(chr(code)).startswith(name)])


def _negated(ranges: Ranges) -> Ranges:
    found, start = [], 0
    for low, high in ranges:
        if start < low:
            found.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        found.append((start, LAST))
    return tuple(found)


def _text(ranges: Ranges) -> str:
    """Ranges as they stand inside of a class, each end by its number: nothing is left to escape."""
    return "".join(_end(low) if low == high else f"{_end(low)}-{_end(high)}" for low, high in ranges)


def _end(code: int) -> str:
    return chr(code) if chr(code).isascii() and chr(code).isalnum() else f"\\u{{{code:x}}}"
