"""Which patterns a contract may have (SPEC C5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharelite.schema.ambiguity import MAX_CHOICES, Alternatives, Node, Repeat, Sequence, Set
from sharelite.schema.patterns import Refusal, check_pattern, engine_pattern, read_pattern

GOOD = [
    "", "^#[0-9a-f]{6}$", "^[a-z]+(-[a-z]+)*$", "^(\\d{1,3}\\.){3}\\d{1,3}$", "^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$",
    "^\\p{L}+( \\p{L}+)*$", ".*", "^[A-Z]{2}\\d{4}(-\\w{0,20})?$", "^(?:a|b)*c$", "[&&a~~b-]", "\\u{1F600}|\\x41",
    "^\\[\\]$", "^[0-9a-f]{64}$", "^([0-9a-f]{2}:){5}[0-9a-f]{2}$", "([ab]*c){2,}", "^(?:[01]\\d|2[0-3]):[0-5]\\d$",
    "^[^\\P{Lu}x]+?$", "^-?\\d+(\\.\\d+)?([eE][+-]?\\d+)?$", "^(/[^/]+)+$", "a/b", "^[a-z]{1,255}$",
    "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "\\d{4}-\\d{2}-\\d{2}",
]  # fmt: skip
SLOW = [
    "^(a+)+$", "(a*)*", "^(a|a)*$", "^(a|aa)+$", "^(a|b|ab)*c", "^(\\w+\\s?)*$", "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(x+x+)+y", "(.*,)*", "^(\\d+)*$", "(a?){30}", "(a|)+", "(.*)(.*)(.*)(.*)(.*)b", "a?" * (MAX_CHOICES + 1),
    "(a{1,50}){1,50}", "^((ab)*|(a|b)*)*$", "a.{900}x", "^(?:a|b)*a.{900}x$", "[ab]*a[ab]{200}c", "(a|b)*a(a|b){30}c",
    "[0-9a-f]{64}",
]  # fmt: skip
FOREIGN = [
    "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(a)\\1", "(?<n>a)\\k<n>", "\\bfoo", "\\Bfoo", "(?i)a", "a**", "a+*", "^*",
    "{", "}", "]", "a{2,1}", "x{5000}", "[z-a]", "[a--b]", "[\\d-z]", "[]", "[^]", "[a", "(", "(a", "a)", "\\", "\\-",
    "\\ ", "\\ud83d", "\\u{110000}", "\\xg0", "\\cA", "\\01", "\\p{Script=Greek}", "\\p{Letter}", "\\pL", "*",
    "+a", "a" * 2000, "\\A", "\\z",
]  # fmt: skip


@pytest.mark.parametrize("pattern", GOOD)
def test_an_ordinary_pattern_is_taken(pattern: str) -> None:  # C5
    check_pattern(pattern)


@pytest.mark.parametrize("pattern", SLOW)
def test_a_pattern_that_could_keep_a_browser_busy_is_refused(pattern: str) -> None:  # C5
    with pytest.raises(Refusal, match="busy for ever"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", FOREIGN, ids=lambda pattern: pattern[:20])
def test_a_pattern_that_means_different_things_is_refused(pattern: str) -> None:  # C5
    with pytest.raises(Refusal, match="cannot be used|characters"):
        check_pattern(pattern)


def test_classes_are_spelt_out_for_the_engine() -> None:  # C5
    assert engine_pattern("\\d.") == "[0-9][^\\u{a}\\u{d}\\u{2028}-\\u{2029}]"


ATOMS = st.sampled_from(["a", "b", "ab", "[ab]", "[^a]", "(?:a|b)", "(?:ab|c)", "(?:a+b)", "c"])
PIECES = st.tuples(ATOMS, st.sampled_from(["", "*", "+", "?", "{2}", "{1,2}"])).map("".join)
AGAIN = st.sampled_from(["*", "+", "{2,}", "?"])
PATTERNS = st.recursive(
    st.lists(PIECES, min_size=1, max_size=3).map("".join),
    lambda inner: st.builds(lambda body, again: f"(?:{body}){again}", inner, AGAIN),
    max_leaves=3,
)


class Backtracking:
    """Matches like a browser, and counts how often it looks at a character."""

    def __init__(self, text: str, most: int) -> None:
        self.text, self.most, self.looks = text, most, 0

    def match(self, node: Node, at: int, then: Callable[[int], bool]) -> bool:
        if isinstance(node, Set):
            self.looks += 1
            assert self.looks <= self.most, f"more than {self.most} looks"
            here = ord(self.text[at]) if at < len(self.text) else -1
            return any(low <= here <= high for low, high in node.ranges) and then(at + 1)
        if isinstance(node, Alternatives):
            return any(self.match(inner, at, then) for inner in node.nodes)
        if isinstance(node, Sequence):
            if not node.nodes:
                return then(at)
            rest = Sequence(node.nodes[1:])
            return self.match(node.nodes[0], at, lambda end: self.match(rest, end, then))
        if isinstance(node, Repeat):
            return self.repeat(node, 0, at, then)
        return then(at)

    def repeat(self, node: Repeat, times: int, at: int, then: Callable[[int], bool]) -> bool:
        def again(end: int) -> bool:
            return (end > at or times < node.low) and self.repeat(node, times + 1, end, then)

        more = node.high is None or times < node.high
        return (more and self.match(node.node, at, again)) or (times >= node.low and then(at))


@given(PATTERNS)
def test_what_is_taken_is_read_in_few_steps(pattern: str) -> None:  # C5
    """A text twice as long takes at most 2^6 times the looks: that is not for ever."""
    try:
        tree = read_pattern(pattern)
    except Refusal:
        return
    for unit in ("a", "ab", "b", "abc", "c"):
        short = Backtracking((unit * 20)[:20] + "!", 300_000)
        short.match(tree, 0, lambda end: False)
        long = Backtracking((unit * 40)[:40] + "!", 64 * short.looks + 64)
        long.match(tree, 0, lambda end: False)
