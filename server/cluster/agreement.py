"""Which nodes of a cell have a project right: decided by the digests that they had after the same entry, or by the
images that they made of it (SPEC K70, K76)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

#: By seq: the log digest and the row digest that a node had there. What it had long ago is not in it. By the negative
#: seq of an entry that asked for an image: the build of SQLite and the hash of what the node made.
Marks = Mapping[int, bytes]
#: Of a mark of an image, what says the build.
BUILD_BYTES = 8

Word = Literal["agrees", "differs", "nobody", "undecided"]


class Judgement(Struct, frozen=True):
    """Of one node's replica. `right`: the nodes that have it as most do; empty where that is not known."""

    word: Word
    right: frozenset[str] = frozenset()


def judge(me: str, told: Mapping[str, Marks | None], members: int, seq: int | None = None) -> Judgement:
    """`told`: what each node has, this one among them; None where it cannot tell because its replica is out of order.
    Nodes that did not answer are not in it. `members`: how many there are. `seq`: where somebody saw a difference;
    negative: between images. Those are compared where they were made last, and only while all nodes that say how it is
    there have the same build of SQLite; else the rows count.

    `nobody`: all have answered, and no majority has the same; or most replicas are out of order. `undecided`: ask
    again, when more answer.
    """
    mine = told.get(me)
    if seq is not None and seq < 0:
        seq = _image(told, members)
    forgotten = seq is None or (mine is not None and seq not in mine and _passed(mine, seq))
    at = _common(told, members) if forgotten or not _known(told, seq, members) else seq
    if at is None:
        lost = sum(marks is None for marks in told.values())
        return Judgement("nobody" if 2 * lost > members else "undecided")
    values = {node: marks[at] for node, marks in told.items() if marks is not None and at in marks}
    ranked = Counter(values.values()).most_common(1)
    value, votes = ranked[0]
    if 2 * votes > members:
        right = frozenset(node for node, told_value in values.items() if told_value == value)
        passed = mine is not None and at not in mine and _passed(mine, at)
        return Judgement("agrees" if me in right else "undecided" if passed else "differs", right)
    return Judgement("nobody" if len(values) == members else "undecided")


def _passed(mine: Marks, seq: int) -> bool:
    return any(known > seq for known in mine)


def _image(told: Mapping[str, Marks | None], members: int) -> int | None:
    """The last image that a majority made; None: none, or not with the same build."""
    at = _common({node: marks and {-seq: mark for seq, mark in marks.items()} for node, marks in told.items()}, members)
    builds = {marks[-at][:BUILD_BYTES] for marks in told.values() if marks and at and -at in marks}
    return -at if at and len(builds) == 1 else None


def _known(told: Mapping[str, Marks | None], seq: int | None, members: int) -> bool:
    return 2 * sum(marks is not None and seq in marks for marks in told.values()) > members


def _common(told: Mapping[str, Marks | None], members: int) -> int | None:
    """The newest seq that a majority knows; of those that more know the newest, since all should be heard."""
    known = Counter(seq for marks in told.values() if marks is not None for seq in marks if seq > 0)
    many = [(count, seq) for seq, count in known.items() if 2 * count > members]
    return max(many)[1] if many else None
