"""Links between nodes: who may speak, and what becomes of a question (SPEC K57)."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from sharelite.cluster import codec, links
from sharelite.cluster.links import Links, Told, Unreachable
from sharelite.cluster.seal import Called, Caller, Stranger
from sharelite.errors import BadRequest, Unavailable
from sharelite.model import Edit, Fault, Mutation, MutationId, Operation, Outcome, Refusal, Sql, Statement
from tests.ports import free_port

KEY, OTHER = bytes(32), bytes([1]) * 32


def introduced(caller: Caller, called: Called) -> None:
    called.check(caller.prove(called.answer(caller.greeting)))


def test_two_nodes_with_the_key_understand_each_other() -> None:  # K57
    caller, called = Caller(KEY, "cell", "a", "b"), Called(KEY, "cell", "b")
    introduced(caller, called)
    here, there = caller.sealed(), called.sealed()
    assert [there.open(here.seal(word)) for word in (b"one", b"two")] == [b"one", b"two"]
    assert here.open(there.seal(b"three")) == b"three" and called.caller == "a"


@pytest.mark.parametrize(
    ("caller", "called"),
    [
        (Caller(OTHER, "cell", "a", "b"), Called(KEY, "cell", "b")),
        (Caller(KEY, "other", "a", "b"), Called(KEY, "cell", "b")),
        (Caller(KEY, "cell", "a", "c"), Called(KEY, "cell", "b")),
    ],
    ids=["another key", "another cell", "meant for another node"],
)
def test_a_stranger_is_turned_away(caller: Caller, called: Called) -> None:  # K57
    with pytest.raises(Stranger):
        introduced(caller, called)


def test_a_recorded_session_is_of_no_use_a_second_time() -> None:  # K57
    caller, called = Caller(KEY, "cell", "a", "b"), Called(KEY, "cell", "b")
    proof = caller.prove(called.answer(caller.greeting))
    again = Called(KEY, "cell", "b")
    again.answer(caller.greeting)
    with pytest.raises(Stranger):
        again.check(proof)


@pytest.mark.parametrize("spoil", ["repeat", "flip", "swap"])
def test_a_frame_that_was_touched_ends_the_link(spoil: str) -> None:  # K57
    caller, called = Caller(KEY, "cell", "a", "b"), Called(KEY, "cell", "b")
    introduced(caller, called)
    here, there = caller.sealed(), called.sealed()
    first, second = here.seal(b"first"), here.seal(b"second")
    frames = {"repeat": [first, first], "flip": [bytes([first[0] ^ 1]) + first[1:]], "swap": [second, first]}[spoil]
    with pytest.raises(Stranger):
        for frame in frames:
            there.open(frame)


def story(told: Callable[[Links, Links], Awaitable[None]]) -> None:
    async def run() -> None:
        ports = {"a": free_port(), "b": free_port()}
        pair = {name: Links(KEY, "cell", name) for name in ports}
        try:
            for name, port in ports.items():
                await pair[name].start("127.0.0.1", port)
                pair[name].know({other: f"127.0.0.1:{ports[other]}" for other in ports})
            await asyncio.wait_for(told(pair["a"], pair["b"]), 30)
        finally:
            for each in pair.values():
                await each.close()

    asyncio.run(run())


async def _echo(node: str, content: Any) -> Any:
    return [node, content]


async def _refuse(node: str, content: Any) -> Any:
    raise Unavailable("not now", 3.0)


async def _forever(node: str, content: Any) -> Any:
    await asyncio.Event().wait()


def test_a_question_is_answered_or_its_problem_told() -> None:  # K57
    async def told(a: Links, b: Links) -> None:
        b.answer("echo", _echo)
        b.answer("refuse", _refuse)
        assert await a.ask("b", "echo", {"x": [b"1", None, 2.5]}) == ["a", {"x": [b"1", None, 2.5]}]
        with pytest.raises(Told, match="not now") as problem:
            await a.ask("b", "refuse", None)
        assert (problem.value.code, problem.value.retry_after) == ("unavailable", 3.0)

    story(told)


def test_who_asks_learns_whether_the_question_may_have_arrived() -> None:  # K57
    async def told(a: Links, b: Links) -> None:
        b.answer("forever", _forever)
        with pytest.raises(Unreachable) as unknown:
            await a.ask("z", "echo", None)
        assert not unknown.value.asked
        asking = asyncio.create_task(a.ask("b", "forever", None))
        while not a.reachable():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await b.close()
        with pytest.raises(Unreachable) as lost:
            await asking
        assert lost.value.asked

    story(told)


def test_a_question_does_not_wait_for_a_node_that_is_given_up() -> None:  # K57
    async def told(a: Links, b: Links) -> None:
        await b.close()
        while a.reachable():
            await asyncio.sleep(0)
        asking = asyncio.create_task(a.ask("b", "echo", 1, 600))
        await asyncio.sleep(0)
        a.abandon("b")
        with pytest.raises(Unreachable) as lost:
            await asking
        assert not lost.value.asked

    story(told)


def test_questions_wait_for_a_link_and_arrive_in_order() -> None:  # K57
    async def told(a: Links, b: Links) -> None:
        b.answer("echo", _echo)
        assert not a.reachable()
        answers = await asyncio.gather(*[a.ask("b", "echo", number) for number in range(50)])
        assert answers == [["a", number] for number in range(50)]

    story(told)


def test_a_link_comes_back_by_itself() -> None:  # K57
    async def told(a: Links, b: Links) -> None:
        b.answer("echo", _echo)
        await a.ask("b", "echo", 1)
        assert b._server is not None
        port = b._server.sockets[0].getsockname()[1]
        b._server.close()
        await b._server.wait_closed()
        await b.start("127.0.0.1", port)
        assert await a.ask("b", "echo", 2, 20) == ["a", 2]

    story(told)


class Bomb:
    def __reduce__(self) -> Any:
        return os.abort, ()


@pytest.mark.parametrize("first", [pickle.dumps(Bomb()), b"\x80" * 900, "readonly", bytes(1 << 20)])
def test_whoever_cannot_greet_is_cut_off_and_nothing_is_executed(first: bytes | str) -> None:  # K57
    async def told(a: Links, b: Links) -> None:
        assert a._server is not None
        port = a._server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionClosed):
            async with connect(f"ws://127.0.0.1:{port}/") as stranger:
                await stranger.send(first)
                await stranger.recv()

    story(told)


@pytest.mark.parametrize(
    "value",
    [
        Outcome("refused", 3, Refusal("invalid", "no", (Fault("bad", "note", ["n", {"$b": "eA=="}], "/x"),))),
        Mutation(
            "ann",
            Edit((Operation("i", "note", ("n", 1, 2.0, b"x"), {"a": None, "b": -0.5, "c": 2**63 - 1}),), (), "skip"),
            MutationId("c" * 32, 7),
            "hash",
            "tag",
            b"body",
        ),
        Mutation("ben", Sql((Statement("SELECT ?", (b"x", "y")), Statement("SELECT :a", {"a": 1.0})))),
    ],
)
def test_what_travels_between_nodes_keeps_its_types(value: Any) -> None:  # K57
    again = codec.decode(codec.encode(value))
    assert again == value and repr(again) == repr(value)


def test_nothing_else_travels() -> None:  # K57
    with pytest.raises(BadRequest):
        codec.encode(Bomb())
    with pytest.raises(KeyError):
        codec.decode(msgpack.packb(msgpack.ExtType(codec.VALUE, msgpack.packb(["Popen", {}]))))


def test_a_frame_has_room_for_the_largest_mutation() -> None:  # K57
    assert links.MOST_FRAME > 32 << 20
