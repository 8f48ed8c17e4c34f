"""Connections that do not keep to the rules: each ends, with a reason where it can be told, and disturbs nobody."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from bench.raw import Frames, text_frame, upgrade
from tests.scenarios.conftest import Street
from tests.scenarios.window import Window

CLIENT = "c" * 32
HELLO = f'{{"type":"hello","protocol":1,"client":"{CLIENT}","cursor":null}}'
#: First messages and the code of the goodbye.
FIRST: dict[str, tuple[str | bytes, str]] = {
    "garbage": ("garbage", "bad_request"),
    "an empty message": ("", "bad_request"),
    "half a message": ('{"type":"hello"', "bad_request"),
    "a list": ("[]", "bad_request"),
    "an unknown type": ('{"type":"shutdown"}', "bad_request"),
    "a push before the hello": ('{"type":"push","id":["a",1],"changes":[]}', "bad_request"),
    "a ping before the hello": ('{"type":"ping"}', "bad_request"),
    "another protocol": (HELLO.replace('"protocol":1', '"protocol":2'), "protocol"),
    "a client that is none": (HELLO.replace(CLIENT, "../etc"), "bad_request"),
    "a cursor that is none": (HELLO.replace('"cursor":null', '"cursor":"1 OR 1"'), "bad_request"),
    "100,000 brackets": ('{"type":' + "[" * 100_000, "bad_request"),
    "bytes": (HELLO.encode(), "not_text"),
}
LATER = {
    "a second hello": (HELLO, "bad_request"),
    "garbage": ("\0" * 1000, "bad_request"),
    "too large a presence": ('{"type":"presence","state":"' + "x" * 5000 + '"}', "too_large"),
    "too large a signal": ('{"type":"signal","topic":"t","data":"' + "x" * 20_000 + '"}', "too_large"),
    "a signal that is no JSON": ('{"type":"signal","topic":"t","data":{]}', "bad_request"),
}
#: Raw bytes after the upgrade; the server has to hang up.
RAW = {
    "an unmasked frame": b"\x81\x02{}",
    "reserved bits": b"\xf1\x80\0\0\0\0",
    "an unknown opcode": b"\x83\x80\0\0\0\0",
    "a ping of 200 bytes": b"\x89\xfe\0\xc8\0\0\0\0" + b"x" * 200,
    "a frame of 2^62 bytes": b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"\0\0\0\0",
    "a text that is not UTF-8": b"\x81\x82\0\0\0\0\xff\xfe",
    "noise": bytes(range(256)) * 16,
    "a continuation of nothing": b"\x80\x80\0\0\0\0",
}


def url(street: Street) -> str:
    return f"ws://127.0.0.1:{street.server.port}/v1/projects/{street.project}/live"


def upgraded(street: Street) -> socket.socket:
    """A socket on which the websocket has been opened and nothing said."""
    raw = socket.create_connection(("127.0.0.1", street.server.port), timeout=30)
    raw.sendall(upgrade(street.server.port, street.project))
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += raw.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return raw


def hung_up(raw: socket.socket) -> bool:
    """Whether the other side closes, now that it has been sent what it was sent."""
    try:
        while raw.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("case", FIRST)
def test_a_first_message_that_is_no_greeting_is_answered_with_goodbye(street: Street, case: str) -> None:
    message, code = FIRST[case]
    with connect(url(street), max_size=None) as raw:
        raw.send(message)
        answer = raw.recv(30)
        assert f'"type":"goodbye","code":"{code}"' in str(answer), answer
    assert street.neighbour_is_undisturbed()


@pytest.mark.parametrize("case", LATER)
def test_a_message_that_breaks_the_rules_ends_the_connection(street: Street, case: str) -> None:
    message, code = LATER[case]
    with street.window() as window:
        window.say(message)
        answer = window.hear()
        assert (answer["type"], answer["code"]) == ("goodbye", code), answer
    assert street.neighbour_is_undisturbed()


@pytest.mark.parametrize("case", RAW)
def test_bytes_that_are_no_websocket_are_hung_up_on(street: Street, case: str) -> None:
    with upgraded(street) as raw:
        raw.sendall(RAW[case])
        assert hung_up(raw)
    assert street.neighbour_is_undisturbed()


def test_fragments_without_end_are_cut_off_at_a_mebibyte(street: Street) -> None:
    with upgraded(street) as raw:
        fragment = b"\xfe" + (60_000).to_bytes(2, "big") + b"\0\0\0\0" + b" " * 60_000
        sent = 0
        with pytest.raises(ConnectionError):
            for number in range(2000):
                raw.sendall((b"\x01" if number == 0 else b"\x00") + fragment)
                sent += 60_000
        assert sent < 30_000_000
    assert street.neighbour_is_undisturbed()


def test_whoever_does_not_say_hello_is_sent_away(street: Street) -> None:
    with connect(url(street)) as raw:
        assert '"code":"no_hello"' in str(raw.recv(30))


def test_a_flood_of_messages_is_stopped(street: Street) -> None:
    with upgraded(street) as raw:
        raw.sendall(text_frame(HELLO.encode()))
        ping = text_frame(b'{"type":"ping"}') * 1000
        frames, said = Frames(), b""
        frames.feed(b"HTTP/1.1 101\r\n\r\n")
        try:
            for _ in range(20):
                raw.sendall(ping)
            while data := raw.recv(65536):
                said += b"".join(payload for _, payload in frames.feed(data))
        except ConnectionError:
            pass
        assert b'"code":"rate_limited"' in said
    assert street.neighbour_is_undisturbed()


def test_one_who_never_reads_costs_the_server_nothing(street: Street) -> None:
    before = memory_mib(street)
    with socket.socket() as deaf, street.window() as writer:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", street.server.port))
        deaf.sendall(upgrade(street.server.port, street.project) + text_frame(HELLO.encode()))
        for number in range(100, 200):
            answer = writer.push([["s", "node", ["long"], {"name": "x", "note": f"{number}" * 50_000}]])
            assert answer["type"] == "commits"
        assert memory_mib(street) - before < 60
    assert street.neighbour_is_undisturbed()


def test_500_connections_that_say_nothing_are_no_burden(street: Street) -> None:
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(socket.create_connection(("127.0.0.1", street.server.port), timeout=30))
        assert street.neighbour_is_undisturbed()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example", "file://"])
def test_a_page_from_elsewhere_may_not_connect(street: Street, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(url(street), additional_headers={"Origin": origin}):
        pass
    assert refused.value.response.status_code == 403


def test_our_own_pages_may_connect(street: Street) -> None:
    with connect(url(street), additional_headers={"Origin": street.server.url}) as raw:
        raw.send(HELLO)
        assert '"type":"welcome"' in str(raw.recv(30))


@pytest.mark.parametrize("project", ["0" * 32, "..", "%2e%2e%2fetc", "a%00b", "x" * 300])
def test_a_project_that_is_not_there_has_no_door(street: Street, project: str) -> None:
    with pytest.raises((InvalidStatus, AssertionError)) as refused:
        with Window(street.server, project) as window:
            assert window.welcome["type"] == "welcome", window.welcome
    assert any(word in str(refused.value) for word in ("404", "403", "not_found"))


def test_headers_of_8_mib_are_refused(street: Street) -> None:
    with socket.create_connection(("127.0.0.1", street.server.port), timeout=30) as raw:
        answer = b""
        try:
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Large: " + b"x" * (8 << 20) + b"\r\n\r\n")
            answer = raw.recv(4096)
        except ConnectionError:
            pass
        assert b" 200 " not in answer.split(b"\r\n")[0]
    assert street.neighbour_is_undisturbed()


def memory_mib(street: Street) -> int:
    ps = subprocess.run(["ps", "-o", "rss=", "-p", str(street.server.pid)], capture_output=True, check=True)
    return int(ps.stdout) // 1024
