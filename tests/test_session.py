"""One connection as a state machine: greetings, answers, resets, presence, limits. No socket, no clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from sharelite.config import Limits
from sharelite.errors import CursorGone, OutOfOrder, Unavailable
from sharelite.model import EncodedCommit, MutationId, Outcome, Refusal
from sharelite.sync.actions import Admit, Authenticate, Close, Greeting, News, ReadLog
from sharelite.sync.audience import Audience
from sharelite.sync.feed import Feed
from sharelite.sync.session import Session

ADA, BOB = "a" * 32, "b" * 32
EPOCH = "e" * 32


def commit(version: int, id: list[Any] | None = None) -> EncodedCommit:
    return EncodedCommit(version, json.dumps({"v": version, "id": id, "changes": []}).encode())


class Room:
    """A project with a feed and an audience, and what one session said and heard."""

    def __init__(self, versions: int = 3, **limits: Any) -> None:
        self.feed, self.audience = Feed(0), Audience()
        self.limits = Limits(**limits)
        self.commit(versions)

    def commit(self, count: int = 1, id: list[Any] | None = None) -> None:
        self.feed.announce([commit(self.feed.version + n, id) for n in range(1, count + 1)])

    def join(self, client: str = ADA, role: str = "editor", expires: float | None = None, **hello: Any) -> Session:
        session = Session(self.limits, 0.0)
        assert isinstance(say(session, "hello", protocol=1, client=client, **hello), Authenticate)
        self.greet(session, role, expires)
        return session

    def greet(self, session: Session, role: str = "editor", expires: float | None = None) -> None:
        user = "ada" if session.client == ADA else "bob"
        greeting = Greeting("p", EPOCH, Raw(b"{}"), "hash", self.feed, self.audience, user, role, expires)
        session.greet(greeting)
        self.audience.enter(session)


def say(session: Session, type: str, now: float = 1.0, **members: Any) -> Any:
    return session.receive(json.dumps({"type": type, **members}, separators=(",", ":")), now)


def push(session: Session, counter: int = 1, now: float = 1.0) -> Admit:
    action = say(session, "push", now, id=[ADA, counter], changes=[["i", "t", [1], {}]])
    assert isinstance(action, Admit)
    return action


def heard(session: Session) -> list[dict[str, Any]]:
    """Everything the session has to tell now; a close comes as its code."""
    out: list[dict[str, Any]] = []
    while (item := session.take()) is not None:
        if isinstance(item, Close):
            return [*out, {"type": "close", "code": item.code}]
        assert isinstance(item, str)
        out.append(json.loads(item))
    return out


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def goodbye(session: Session) -> tuple[str, int]:
    last, close = heard(session)[-2:]
    assert (last["type"], close["type"]) == ("goodbye", "close")
    return last["code"], close["code"]


def test_a_greeted_client_is_welcomed_and_hears_what_it_missed() -> None:  # W1
    welcome, commits = heard(Room(3).join(cursor=1, epoch=EPOCH))
    assert (welcome["type"], welcome["version"], welcome["epoch"]) == ("welcome", 3, EPOCH)
    assert (welcome["user"], welcome["role"], welcome["client"]) == ("ada", "editor", ADA)
    assert [each["v"] for each in commits["commits"]] == [2, 3]


def test_a_client_without_a_cursor_hears_what_comes_from_now_on() -> None:  # W1
    room = Room(3)
    session = room.join()
    assert kinds(heard(session)) == ["welcome"]
    room.commit()
    assert [each["v"] for each in heard(session)[0]["commits"]] == [4]


def test_hello_is_awaited_for_ten_seconds() -> None:  # W2
    session = Session(Limits(), 100.0)
    session.tick(109.9)
    assert session.take() is None
    session.tick(110.1)
    assert goodbye(session) == ("no_hello", 1008)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("garbage", ("bad_request", 1008)),
        ("[]", ("bad_request", 1008)),
        ("[" * 100_000, ("bad_request", 1008)),
        ('{"type":"nonsense"}', ("bad_request", 1008)),
        ('{"type":"ping"}', ("bad_request", 1008)),
        ('{"type":"push","id":["' + ADA + '",1],"changes":[]}', ("bad_request", 1008)),
        ('{"type":"hello","protocol":1,"client":"short"}', ("bad_request", 1008)),
        ('{"type":"hello","protocol":1,"client":"' + "A" * 32 + '"}', ("bad_request", 1008)),
        ('{"type":"hello","protocol":1,"client":"' + ADA + '","cursor":"1"}', ("bad_request", 1008)),
        ('{"type":"hello","protocol":2,"client":"' + ADA + '"}', ("protocol", 1008)),
        ('"' + "x" * 1024 * 1024 + '"', ("too_large", 1009)),
    ],
)
def test_whatever_is_not_a_hello_ends_the_session_with_a_reason(text: str, code: tuple[str, int]) -> None:  # W2
    session = Session(Limits(), 0.0)
    assert session.receive(text, 1.0) is None
    assert goodbye(session) == code


def test_nothing_counts_after_the_goodbye() -> None:  # W2
    session = Room().join()
    session.receive("garbage", 1.0)
    assert say(session, "push", id=[ADA, 1], changes=[]) is None
    assert kinds(heard(session))[-2:] == ["goodbye", "close"]
    assert say(session, "ping") is None


def test_binary_messages_are_not_understood() -> None:  # W2
    session = Room().join()
    session.receive_bytes()
    assert goodbye(session) == ("not_text", 1003)


def test_hello_twice_is_refused() -> None:  # W2
    session = Room().join()
    say(session, "hello", protocol=1, client=ADA)
    assert goodbye(session)[0] == "bad_request"


@pytest.mark.parametrize("hello", [{"cursor": 9}, {"cursor": -1}, {"cursor": 1, "epoch": "f" * 32}])
def test_a_cursor_ahead_or_of_another_epoch_is_reset(hello: dict[str, Any]) -> None:  # W3
    assert kinds(heard(Room(3).join(**hello))) == ["welcome", "reset"]


def test_a_cursor_older_than_memory_is_served_from_the_log() -> None:  # F4
    room = Room(3)
    room.feed = Feed(3)
    session = room.join(cursor=1)
    assert json.loads(str(session.take()))["type"] == "welcome"
    assert session.take() == ReadLog(1)
    session.log_read([commit(2), commit(3)])
    assert [each["v"] for each in heard(session)[0]["commits"]] == [2, 3]
    assert session.cursor == 3


def test_after_a_reset_the_same_socket_may_say_hello_again() -> None:  # W3
    room = Room(3)
    session = room.join(cursor=9)
    heard(session)
    assert isinstance(say(session, "hello", protocol=1, client=ADA, cursor=2), Authenticate)
    room.greet(session)
    assert kinds(heard(session)) == ["welcome", "commits"]


def test_the_own_commit_in_the_feed_is_the_answer() -> None:  # W4
    room = Room(3)
    session = room.join(cursor=3)
    admit = push(session)
    room.commit(id=[ADA, 1])
    session.answer(admit.id, admit.seen, Outcome("committed", 4))
    messages = heard(session)
    assert kinds(messages) == ["welcome", "commits"]
    assert messages[1]["commits"][0]["id"] == [ADA, 1]
    assert session.in_flight == 0


def test_an_own_commit_already_sent_when_its_outcome_comes_is_not_answered_twice() -> None:  # W4
    room = Room(3)
    session = room.join(cursor=3)
    admit = push(session)
    room.commit(id=[ADA, 1])
    assert kinds(heard(session)) == ["welcome", "commits"]
    session.answer(admit.id, admit.seen, Outcome("committed", 4))
    assert heard(session) == []


def test_a_repeat_that_the_feed_has_passed_is_settled_with_its_version() -> None:  # W4
    session = Room(3).join(cursor=3)
    admit = push(session)
    session.answer(admit.id, admit.seen, Outcome("committed", 2))
    assert heard(session)[1] == {"type": "settled", "id": [ADA, 1], "version": 2}


def test_a_refusal_comes_after_the_commits_it_was_judged_upon() -> None:  # W5
    room = Room(3)
    session = room.join(cursor=3)
    admit = push(session)
    room.commit(2)
    session.answer(admit.id, admit.seen, Outcome("refused", 5, Refusal("conflict", "no")))
    welcome, commits, refused = heard(session)
    assert [each["v"] for each in commits["commits"]] == [4, 5]
    assert (refused["type"], refused["code"], refused["version"]) == ("refused", "conflict", 5)


@pytest.mark.parametrize("problem", [OutOfOrder(1, 3), Unavailable("full")])
def test_what_was_not_judged_is_told_so_that_it_is_sent_again(problem: Any) -> None:  # W4
    session = Room().join()
    admit = push(session)
    session.answer(admit.id, admit.seen, problem)
    message = heard(session)[1]
    assert (message["code"], message.get("retry_after")) == (problem.code, getattr(problem, "retry_after", None))
    assert session.state == "live"


def test_after_a_reset_the_unanswered_are_settled_or_refused() -> None:  # W6
    room = Room(3)
    session = room.join(cursor=3)
    before, during = push(session, 1), push(session, 2)
    heard(session)
    room.commit(id=[ADA, 1])
    session.answer(before.id, before.seen, Outcome("committed", 4))
    room.feed.announce([EncodedCommit(5, b'{"v":5,"pad":"' + b"x" * 9_000_000 + b'"}')])
    assert isinstance(session.take(), ReadLog)
    session.log_read([EncodedCommit(4, b'{"pad":"' + b"x" * 9_000_000 + b'"}')])
    session.answer(during.id, during.seen, Outcome("refused", 5, Refusal("invalid", "no")))
    reset, settled, refused = heard(session)
    assert (reset["type"], settled["type"], refused["type"]) == ("reset", "settled", "refused")
    assert (settled["id"], refused["id"]) == ([ADA, 1], [ADA, 2])


def test_a_push_answered_after_the_hello_that_followed_a_reset_is_settled() -> None:  # W6
    room = Room(3)
    session = room.join(cursor=3)
    admit = push(session)
    room.commit(2)
    session.lost(CursorGone("test"))
    say(session, "hello", protocol=1, client=ADA, cursor=5)
    room.greet(session)
    session.answer(admit.id, admit.seen, Outcome("committed", 4))
    assert heard(session)[-1] == {"type": "settled", "id": [ADA, 1], "version": 4}


def test_a_readers_push_is_a_recorded_refusal() -> None:  # P4
    session = Room().join(role="reader")
    refusal = push(session).mutation.faulty
    assert refusal is not None and refusal.code == "forbidden"


def test_a_push_without_an_id_could_not_be_answered() -> None:  # W4
    session = Room().join()
    assert say(session, "push", changes=[]) is None
    assert goodbye(session)[0] == "bad_request"


def test_the_type_of_a_push_need_not_come_first() -> None:  # W4
    session = Room().join()
    text = json.dumps({"id": [ADA, 1], "changes": [], "type": "push"})
    action = session.receive(text, 1.0)
    assert isinstance(action, Admit) and action.id == MutationId(ADA, 1)


def test_too_many_unanswered_pushes_stop_the_reading() -> None:  # W7
    session = Room(in_flight=2).join()
    first = push(session, 1)
    assert not session.full
    push(session, 2)
    assert session.full
    session.answer(first.id, first.seen, Outcome("settled", 3))
    assert not session.full


def test_pushes_above_the_rate_are_refused_and_a_flood_ends_the_session() -> None:  # W7
    session = Room(messages=10, messages_burst=3).join()
    for counter in (1, 2, 3):
        push(session, counter)
    assert say(session, "push", id=[ADA, 4], changes=[]) is None
    assert heard(session)[-1]["code"] == "rate_limited"
    push(session, 4, now=2.0)
    for counter in range(5, 20):
        say(session, "push", 2.0, id=[ADA, counter], changes=[])
    assert goodbye(session) == ("rate_limited", 1013)


def test_pushes_are_not_counted_among_the_other_messages() -> None:  # W7
    session = Room(signals_burst=5).join()
    for counter in range(1, 50):
        text = json.dumps({"id": [ADA, counter], "changes": [], "type": "push"})
        assert isinstance(session.receive(text, 1.0), Admit)


def test_a_flood_of_other_messages_ends_the_session() -> None:  # W7
    session = Room(signals_burst=5).join()
    for _ in range(20):
        say(session, "ping")
    assert goodbye(session) == ("rate_limited", 1013)


def test_a_ping_is_answered() -> None:  # W2
    session = Room().join()
    say(session, "ping")
    assert kinds(heard(session)) == ["welcome", "pong"]


def test_presence_goes_to_the_others_newest_state_only() -> None:  # W8
    room = Room()
    ada, bob = room.join(ADA), room.join(BOB)
    heard(ada), heard(bob)
    for x in range(5):
        assert isinstance(say(ada, "presence", state={"x": x}), News)
    assert heard(ada) == []
    assert heard(bob) == [{"type": "presence", "peers": {ADA: {"x": 4}}, "users": {ADA: "ada"}}]
    assert heard(bob) == []


def test_whoever_comes_later_hears_who_is_there_and_whoever_stays_who_left() -> None:  # W8
    room = Room()
    ada = room.join(ADA)
    say(ada, "presence", state=[1, None, {"__proto__": "é"}])
    bob = room.join(BOB)
    assert heard(bob)[-1]["peers"] == {ADA: [1, None, {"__proto__": "é"}]}
    assert room.audience.leave(ada)
    assert heard(bob) == [{"type": "presence", "peers": {ADA: None}, "users": {}}]
    assert kinds(heard(room.join("c" * 32))) == ["welcome"]


def test_the_older_socket_of_a_client_does_not_end_the_presence_of_the_newer() -> None:  # W8
    room = Room()
    older, bob = room.join(ADA), room.join(BOB)
    newer = room.join(ADA)
    say(newer, "presence", state=1)
    heard(bob)
    assert not room.audience.leave(older)
    assert heard(bob) == []


def test_those_who_left_are_forgotten_once_everybody_has_heard() -> None:  # W8
    room = Room()
    bob = room.join(BOB)
    for number in range(300):
        guest = room.join(f"{number:032x}")
        say(guest, "presence", state=number)
        heard(bob)
        room.audience.leave(guest)
    assert len(room.audience._seen) < 130


def test_a_signal_goes_to_the_others_and_is_not_kept() -> None:  # W8
    room = Room()
    ada, bob = room.join(ADA), room.join(BOB)
    heard(ada), heard(bob)
    assert isinstance(say(ada, "signal", topic="look", data={"at": [1, 2]}), News)
    assert heard(bob) == [{"type": "signal", "from": ADA, "topic": "look", "data": {"at": [1, 2]}}]
    assert heard(ada) == []
    assert kinds(heard(room.join("c" * 32))) == ["welcome"]


def test_signals_to_somebody_who_does_not_read_are_bounded() -> None:  # W8
    room = Room(signals_burst=10_000)
    ada, bob = room.join(ADA), room.join(BOB)
    for number in range(1000):
        say(ada, "signal", topic="n", data=number)
    assert [message["data"] for message in heard(bob)[1:]] == list(range(744, 1000))


@pytest.mark.parametrize(
    ("type", "members"),
    [
        ("presence", {"state": "x" * 5000}),
        ("signal", {"topic": "t", "data": "x" * 20_000}),
        ("signal", {"topic": "t" * 20_000}),
    ],
)
def test_presence_and_signals_are_small(type: str, members: dict[str, Any]) -> None:  # W8
    session = Room().join()
    say(session, type, **members)
    assert goodbye(session) == ("too_large", 1009)


def test_what_is_relayed_is_proper_json() -> None:  # W8
    session = Room().join()
    session.receive('{"type":"presence","state":"\\ud800"}', 1.0)
    assert goodbye(session)[0] == "bad_request"


def test_an_expired_token_ends_the_session_and_a_renewed_one_keeps_it() -> None:  # P5
    session = Room().join(expires=100.0)
    assert say(session, "auth", token="new") == Authenticate("new")
    session.renew("ada", "reader", 200.0)
    session.tick(150.0)
    assert session.state == "live"
    assert push(session).mutation.faulty is not None
    session.tick(200.1)
    assert goodbye(session) == ("unauthenticated", 1008)


def test_a_token_of_another_user_does_not_renew() -> None:  # P5
    session = Room().join(expires=100.0)
    session.renew("mallory", "owner", None)
    assert goodbye(session) == ("forbidden", 1008)


def test_at_shutdown_the_client_is_told_when_to_come_back() -> None:  # W9
    session = Room().join()
    session.farewell(2.5)
    message, close = heard(session)[-2:]
    assert (message["code"], message["retry_after"], close["code"]) == ("restart", 2.5, 1012)


def test_nobody_else_takes_over_a_socket_by_another_hello() -> None:  # P8
    room = Room(3)
    session = room.join(cursor=9)
    heard(session)
    say(session, "hello", protocol=1, client=ADA, cursor=2)
    session.greet(Greeting("p", EPOCH, Raw(b"{}"), "hash", room.feed, room.audience, "eve", "owner", None))
    assert goodbye(session) == ("forbidden", 1008) and (session.user, session.role) == ("ada", "editor")


def test_a_hello_that_takes_long_to_answer_has_come_all_the_same() -> None:  # W2
    room, session = Room(3), Session(Limits(), 0.0)
    say(session, "hello", protocol=1, client=ADA)
    session.tick(60.0)
    room.greet(session)
    assert kinds(heard(session)) == ["welcome"]


def test_who_was_sent_away_while_being_greeted_stays_away() -> None:  # W9
    room, session = Room(3), Session(Limits(), 0.0)
    say(session, "hello", protocol=1, client=ADA)
    session.farewell(2.0)
    room.greet(session)
    assert goodbye(session) == ("restart", 1012) and session.state == "closed"
