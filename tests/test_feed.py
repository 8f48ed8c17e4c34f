"""The feed: cursors, shared frames, the bounded tail, parts and resets."""

import json

import pytest

from sharelite.errors import CursorGone
from sharelite.model import EncodedCommit
from sharelite.sync.feed import FRAME_BYTES, Feed, TailPassed, frame_of


def commit(version: int, size: int = 0) -> EncodedCommit:
    return EncodedCommit(version, json.dumps({"v": version, "changes": [], "pad": "x" * size}).encode())


def versions(text: str) -> list[int]:
    return [each["v"] for each in json.loads(text)["commits"]]


def feed_with(first: int, last: int, **limits: int) -> Feed:
    feed = Feed(first - 1, **limits)
    feed.announce([commit(version) for version in range(first, last + 1)])
    return feed


def test_a_subscriber_hears_everything_after_its_cursor_in_order() -> None:  # F1
    feed = feed_with(1, 5)
    frame = feed.frame(2)
    assert frame is not None
    assert versions(frame.texts[0]) == [3, 4, 5]
    assert frame.cursor == 5
    assert feed.frame(5) is None


def test_subscribers_at_one_cursor_share_one_encoded_text() -> None:  # F2
    feed = feed_with(1, 3)
    assert feed.frame(1) is feed.frame(1)


def test_a_new_commit_is_in_the_next_frame_of_an_old_cursor() -> None:  # F1
    feed = feed_with(1, 3)
    feed.frame(1)
    feed.announce([commit(4)])
    frame = feed.frame(1)
    assert frame is not None and frame.cursor == 4


def test_announcing_wakes_the_subscribers_that_are_there() -> None:  # F1
    feed, woken = Feed(0), []
    stays = feed.subscribe(lambda: woken.append("stays"))
    leaves = feed.subscribe(lambda: woken.append("leaves"))
    leaves.close()
    feed.announce([commit(1)])
    assert woken == ["stays"]
    stays.close()


def test_a_cursor_ahead_of_the_project_is_told_to_reset() -> None:  # F3
    with pytest.raises(CursorGone, match="ahead"):
        feed_with(1, 3).frame(9)


def test_the_tail_is_bounded_by_count_and_by_bytes() -> None:  # F4
    by_count = feed_with(1, 10, tail_commits=3)
    with pytest.raises(TailPassed):
        by_count.frame(6)
    assert by_count.frame(7) is not None
    by_bytes = Feed(0, tail_bytes=1000)
    by_bytes.announce([commit(1, 600), commit(2, 600)])
    with pytest.raises(TailPassed):
        by_bytes.frame(0)


def test_a_commit_larger_than_the_tail_leaves_it_empty_and_is_read_from_the_log() -> None:  # F4
    feed = Feed(0, tail_bytes=1000)
    feed.announce([commit(1, 5000)])
    with pytest.raises(TailPassed):
        feed.frame(0)
    assert feed.frame(1) is None


def test_a_frame_holds_no_more_than_its_limit() -> None:  # F5
    feed = Feed(0)
    feed.announce([commit(version, 200_000) for version in range(1, 6)])
    frame = feed.frame(0)
    assert frame is not None
    assert versions(frame.texts[0]) == [1, 2]
    assert len(frame.texts[0]) <= FRAME_BYTES
    assert frame.cursor == 2


def test_a_commit_above_the_frame_limit_comes_in_parts() -> None:  # F6
    pad = '"ä😀\\' * 200_000
    feed, large = Feed(0), EncodedCommit(1, json.dumps({"v": 1, "pad": pad}, ensure_ascii=False).encode())
    feed.announce([large])
    frame = feed.frame(0)
    assert frame is not None and frame.cursor == 1
    parts = [json.loads(text) for text in frame.texts]
    assert [(part["part"], part["of"]) for part in parts] == [(k, len(parts)) for k in range(1, len(parts) + 1)]
    assert "".join(part["data"] for part in parts).encode() == large.json
    assert max(len(text.encode()) for text in frame.texts) <= 1024 * 1024


def test_a_commit_above_eight_mebibytes_is_a_reset() -> None:  # F6
    with pytest.raises(CursorGone, match="too large"):
        frame_of([commit(1, 8 * 1024 * 1024)], 0)


def test_commits_from_the_log_make_the_same_frame_as_those_in_memory() -> None:  # F4
    feed = feed_with(1, 4)
    assert frame_of([commit(version) for version in range(2, 5)], 1) == feed.frame(1)


def test_a_gap_is_never_announced() -> None:  # F1
    with pytest.raises(AssertionError):
        feed_with(1, 2).announce([commit(4)])
