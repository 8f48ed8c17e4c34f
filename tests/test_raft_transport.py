"""The Raft port: strangers get nothing, members get everything in order, slow ones cost a bounded buffer."""

from __future__ import annotations

import pickle
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
from pysyncobj.poller import createPoller

from sharelite.cluster.port import Member
from sharelite.cluster.raft import transport as transports
from sharelite.cluster.raft.seal import FRAME, HELLO, MAGIC, Answerer, Dialer, NotOurs, Opening, Sealing, Secrets
from sharelite.cluster.raft.transport import Transport
from tests.raft_cells import KEY, RealCell

PATIENCE = 60.0
ANN, BOB = Member("ann", 1, "127.0.0.1:1"), Member("bob", 1, "127.0.0.1:2")


def greet(dialer: Dialer, answerer: Answerer) -> list[bytes]:
    """Both ends of a greeting; what the dialer said. Raises NotOurs of either."""
    said, came, back = [dialer.hello], bytearray(dialer.hello), bytearray()
    while dialer.session is None:
        back += answerer.feed(came)
        answer = dialer.feed(back)
        said.append(answer)
        came += answer
    return said


def pair(**changed: Any) -> tuple[Dialer, Answerer]:
    known: dict[str, Any] = {"key": KEY, "cluster": "c", "me": ANN} | changed
    return Dialer(Secrets(**known), BOB.id), Answerer(Secrets(KEY, "c", BOB))


def session() -> tuple[Sealing, Opening, list[bytes]]:
    dialer, answerer = pair()
    said = greet(dialer, answerer)
    assert dialer.session is not None and answerer.session is not None and answerer.guest == ANN
    return dialer.session, answerer.session, said


@pytest.mark.parametrize(
    "changed", [{"key": bytes(32)}, {"cluster": "other"}, {"me": Member("bob", 2, "127.0.0.1:3")}], ids=str
)
def test_another_key_cluster_or_a_false_name_is_refused(changed: dict[str, Any]) -> None:  # K14
    dialer, answerer = pair(**changed)
    with pytest.raises(NotOurs):
        greet(dialer, answerer)


def test_who_dials_one_node_is_not_content_with_another() -> None:  # K14
    dialer = Dialer(Secrets(KEY, "c", ANN), "bob.2")
    with pytest.raises(NotOurs):
        greet(dialer, Answerer(Secrets(KEY, "c", BOB)))


def test_a_recorded_session_opens_nowhere_again() -> None:  # K15
    sealing, _, said = session()
    recorded = b"".join([*said, sealing.seal(b"x")])
    for target in (BOB, Member("cid", 1, "127.0.0.1:3")):
        came = bytearray(recorded)
        answerer = Answerer(Secrets(KEY, "c", target))
        with pytest.raises(NotOurs):
            answerer.feed(came)
        assert answerer.guest is None


@pytest.mark.parametrize("change", ["repeat", "leave out", "turn round", "flip", "shorten"])
def test_frames_cannot_be_changed_repeated_or_left_out(change: str) -> None:  # K15
    sealing, opening, _ = session()
    frames = [sealing.seal(b"%d" % number * 10) for number in range(3)]
    changed = {
        "repeat": [frames[0], frames[0]],
        "leave out": [frames[0], frames[2]],
        "turn round": [frames[1], frames[0]],
        "flip": [frames[0][:-1] + bytes([frames[0][-1] ^ 1])],
        "shorten": [(len(frames[0]) - 5).to_bytes(4, "big") + frames[0][4:-1]],
    }[change]
    came = bytearray(b"".join(changed))
    with pytest.raises(NotOurs):
        while opening.take(came) is not None:
            pass


def test_no_frame_is_longer_than_the_limit() -> None:  # K16
    _, opening, _ = session()
    with pytest.raises(NotOurs):
        opening.take(bytearray((FRAME + 1).to_bytes(4, "big")))


class Post:
    """A transport on loopback, turned by hand, and what it heard."""

    def __init__(self, name: str, **changed: Any) -> None:
        self.poller = createPoller("auto")
        self.heard: list[tuple[str, Any]] = []
        self.up: set[str] = set()
        given: dict[str, Any] = {"key": KEY, "cluster": "c", "me": Member(name, 1, "127.0.0.1:0")} | changed
        self.transport = Transport(Secrets(**given), ("127.0.0.1", 0), self.poller, time.monotonic)
        self.member = Member(given["me"].node, given["me"].incarnation, f"127.0.0.1:{self.transport.address[1]}")
        self.transport._known = Secrets(given["key"], given["cluster"], self.member)
        self.transport.attach(lambda peer, message: self.heard.append((peer, message)), self.up.add, self.up.discard)


@pytest.fixture
def posts() -> Iterator[Callable[..., Post]]:
    made: list[Post] = []

    def post(name: str, **changed: Any) -> Post:
        made.append(Post(name, **changed))
        return made[-1]

    yield post
    for one in made:
        one.transport.close()


def turn(posts: list[Post], until: Callable[[], Any], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "it does not come"
        for post in posts:
            post.transport.tick()
            post.poller.poll(0.01)


def test_messages_arrive_whole_and_in_order(posts: Callable[..., Post]) -> None:  # K14
    ann, bob = posts("ann"), posts("bob")
    ann.transport.follow((bob.member,))
    turn([ann, bob], lambda: ann.up)
    sent = [{"type": "x", "n": number, "body": bytes(number * 37 % 90_000)} for number in range(300)]
    for message in sent:
        ann.transport.send(bob.member.id, message)
    turn([ann, bob], lambda: len(bob.heard) == len(sent))
    assert bob.heard == [(ann.member.id, message) for message in sent]


def test_a_node_nobody_knows_is_answered_while_it_speaks(
    posts: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "GUEST_SECONDS", 0.2)
    ann, bob = posts("ann"), posts("bob")
    ann.transport.follow((bob.member,))
    turn([ann, bob], lambda: ann.up and bob.up)
    ann.transport.follow(())
    turn([ann, bob], lambda: not ann.up and not bob.up)


def test_a_member_that_is_taken_out_is_answered_while_it_is_there(posts: Callable[..., Post]) -> None:
    """A list of members that has not been committed may leave out who leads and will cut it."""
    ann, bob = posts("ann"), posts("bob")
    ann.transport.follow((bob.member,))
    bob.transport.follow((ann.member,))
    turn([ann, bob], lambda: ann.up and bob.up)
    bob.transport.follow(())
    turn([ann, bob], lambda: bob.up)
    bob.transport.send(ann.member.id, {"n": 1})
    turn([ann, bob], lambda: ann.heard)


def test_a_peer_that_does_not_read_costs_a_bounded_buffer(
    posts: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
) -> None:  # K16
    monkeypatch.setattr(transports, "OVERFULL", 2 << 20)
    ann, bob = posts("ann"), posts("bob")
    ann.transport.follow((bob.member,))
    turn([ann, bob], lambda: ann.up)
    for _ in range(100):
        ann.transport.send(bob.member.id, {"body": bytes(1 << 20)})
        out = ann.transport._out.get(bob.member.id)
        assert out is None or out.line.waiting <= 4 << 20
    assert not ann.up
    turn([ann, bob], lambda: ann.up)


def test_a_member_that_talks_nonsense_is_cut_off_and_may_come_again(posts: Callable[..., Post]) -> None:
    ann, bob = posts("ann"), posts("bob")
    ann.transport.follow((bob.member,))
    turn([ann, bob], lambda: ann.up)
    out = ann.transport._out[bob.member.id]
    assert out.dialer.session is not None
    out.line.send(out.dialer.session.seal(b"\xc1 is no msgpack"))
    turn([ann, bob], lambda: bob.member.id not in ann.up)
    turn([ann, bob], lambda: ann.up)
    ann.transport.send(bob.member.id, {"n": 1})
    turn([ann, bob], lambda: bob.heard)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("executed"), "x"))


def pickled(thing: object) -> bytes:
    body = zlib.compress(pickle.dumps(thing, protocol=2))
    return len(body).to_bytes(4, "little") + body


ATTACKS = {
    "pickle": pickled(Bomb()),
    "bomb": pickled(b"\0" * (64 << 20)),
    "readonly": pickled("readonly"),
    "remove": pickled(["remove", "127.0.0.1:1"]),
    "status": pickled(["status"]),
    "two gigabytes": b"\xff\xff\xff\x7f" + bytes(4096),
    "msgpack": msgpack.packb({"type": "append_entries", "term": 99}) * 50,
    "greeting, then a long frame": MAGIC + bytes(32) + b"\x7f\xff\xff\xff" + bytes(100_000),
    "greeting, then rubbish": MAGIC + bytes(32) + b"\0\0\0\x40" + bytes(64),
    "half a greeting": MAGIC + bytes(7),
    "nothing": b"",
}


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCell]:
    with RealCell(tmp_path_factory.mktemp("lone"), nodes=1) as cell:
        cell.write(b"mine")
        knock(cell, ATTACKS["greeting, then rubbish"])  # what the first greeting of all loads is no growth
        yield cell


def knock(cell: RealCell, said: bytes) -> int:
    """Say something to the Raft port; how many bytes it answers before it hangs up."""
    host, port = cell.members[0].address.split(":")
    answered = 0
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as sock:
        with suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(said)
            while data := sock.recv(4096):
                answered += len(data)
    return answered


def memory(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.parametrize("name", ATTACKS)
def test_a_stranger_is_shown_the_door_within_a_moment(lone: RealCell, name: str) -> None:  # K16
    pid = lone.handles[0].pid
    assert pid is not None
    before, told = memory(pid), len(lone.told[0].records)
    for _ in range(1 if name in ("nothing", "half a greeting") else 10):
        assert knock(lone, ATTACKS[name]) in (0, HELLO), "a stranger hears at most 32 random bytes"
    assert memory(pid) - before < 1 << 20
    assert not Path("executed").exists()
    lone.write(b"still there")
    assert set(lone.told[0].payloads[told:]) == {b"still there"}


def test_a_crowd_of_strangers_pushes_out_its_own_oldest(lone: RealCell) -> None:  # K16
    host, port = lone.members[0].address.split(":")
    crowd = [socket.create_connection((host, int(port)), timeout=PATIENCE) for _ in range(100)]
    try:
        crowd[0].settimeout(PATIENCE)
        assert crowd[0].recv(1) == b""
        lone.write(b"undisturbed")
    finally:
        for sock in crowd:
            sock.close()


def test_the_port_listens_where_it_was_told_to_and_nowhere_else(lone: RealCell) -> None:  # K16
    _, port = lone.members[0].address.split(":")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", int(port)), timeout=PATIENCE)


def test_stock_pysyncobj_runs_what_a_stranger_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack is real: the library as it is executes it."""
    from pysyncobj import SyncObj, SyncObjConf

    from tests.ports import free_port

    monkeypatch.chdir(tmp_path)
    port = free_port()
    stock = SyncObj(f"127.0.0.1:{port}", [], SyncObjConf(autoTick=False))
    done = threading.Event()

    def attack() -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(ATTACKS["pickle"])
            done.wait(PATIENCE)

    thread = threading.Thread(target=attack)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not Path("executed").exists() and time.monotonic() < deadline:
        stock.doTick(0.05)
    done.set()
    thread.join()
    assert Path("executed").exists()
    stock.destroy()
