"""Websockets on a real server: what several clients see of each other, and what somebody who means no good achieves."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.raw import Frames, hello, push, text_frame, upgrade
from sharelite.commands import listening
from sharelite.config import Limits
from tests.serving import PATIENCE, Serving, Talk


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("sockets") / "data") as serving:
        yield serving


@pytest.fixture
def project(server: Serving) -> str:
    return server.project()


def versions(talk: Talk, until: int) -> list[int]:
    """The versions of the commits that come, up to one."""
    found: list[int] = []
    while not found or found[-1] < until:
        message = talk.hear()
        assert message["type"] == "commits", message
        found += [commit["v"] for commit in message["commits"]]
    return found


def store(server: Serving, project: str, text: str) -> int:
    body = {"changes": [["s", "note", [secrets.token_hex(8)], {"text": text}]]}
    return int(server.http.post(f"/v1/projects/{project}/mutations", json=body).json()["version"])


def raw(server: Serving) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def opened(server: Serving, project: str) -> socket.socket:
    """A socket on which hello was said right behind the handshake."""
    wire = raw(server)
    wire.sendall(upgrade(server.port, project) + hello(secrets.token_hex(16)))
    return wire


def everything(wire: socket.socket, until: bytes = b"\0none") -> bytes:
    """What comes until the other side hangs up or has said something."""
    said = b""
    try:
        while until not in said and (data := wire.recv(65536)):
            said += data
    except ConnectionError:
        pass
    return said


def count(server: Serving, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(server.http.get("/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.name == name and s.labels == labels)


def test_what_one_writes_everybody_hears_in_order(server: Serving, project: str) -> None:  # F1
    with ExitStack() as stack:
        talks = [stack.enter_context(server.open(project)) for _ in range(4)]
        for number in range(20):
            talks[number % 4].push(f"n{number}", text="x")
        assert [versions(talk, 21) for talk in talks] == [list(range(2, 22))] * 4


def test_many_pushes_in_flight_get_one_answer_each(server: Serving, project: str) -> None:  # W4
    with server.open(project) as talk:
        for number in range(600):
            if number % 3 == 2:
                talk.counter += 1
                talk.say("push", id=[talk.client, talk.counter], changes=[["u", "note", ["nobody"], {"text": "x"}]])
            else:
                talk.push(f"n{number % 3}", text=str(number))
        answers: list[int] = []
        while len(answers) < 600:
            message = talk.hear()
            ids = [commit["id"] for commit in message["commits"]] if message["type"] == "commits" else [message["id"]]
            answers += [counter for _, counter in ids]
        assert sorted(answers) == list(range(1, 601))


def test_a_client_that_pushes_without_reading_is_read_no_further(server: Serving, project: str) -> None:  # W7
    client = secrets.token_hex(16)
    with closing(raw(server)) as wire:
        wire.sendall(upgrade(server.port, project) + hello(client))
        wire.sendall(b"".join(push(client, n, f'[["s","note",["a"],{{"text":"{n}"}}]]') for n in range(1, 3001)))
        frames, last = Frames(), 0
        while last < 3000:
            for _, payload in frames.feed(wire.recv(65536)):
                message = json.loads(payload)
                last = message["commits"][-1]["id"][1] if message["type"] == "commits" else last
    assert server.http.get(f"/v1/projects/{project}").json()["version"] == 3001


def test_presence_and_signals_reach_the_others(server: Serving, project: str) -> None:  # W8
    with server.open(project) as ada:
        with server.open(project) as bob:
            bob.say("presence", state={"cursor": [1, 2]})
            assert ada.hear() == {
                "type": "presence", "peers": {bob.client: {"cursor": [1, 2]}}, "users": {bob.client: "local"},
            }  # fmt: skip
            bob.say("signal", topic="ping", data=7)
            assert ada.hear() == {"type": "signal", "from": bob.client, "topic": "ping", "data": 7}
        assert ada.hear()["peers"] == {bob.client: None}
    assert server.http.get(f"/v1/projects/{project}/commits").json()["version"] == 1


def test_a_client_that_comes_again_replaces_its_older_socket(server: Serving, project: str) -> None:  # W2
    with server.open(project) as older:
        with server.open(project, client=older.client) as newer:
            assert (older.hear()["code"], older.closed()) == ("replaced", 1008)
            newer.push("a", text="x")
            assert newer.hear()["type"] == "commits"


def test_a_reset_names_the_image_to_go_on_from(server: Serving, project: str) -> None:  # W3, I10
    image = server.http.get(f"/v1/projects/{project}/image").json()
    with server.open(project, cursor=99) as talk:
        named = talk.hear()["image"]
        assert (named["version"], named["hash"]) == (image["version"], image["hash"])
        content = server.http.get(named["url"]).content
        assert len(content) == image["size"]


def test_after_a_reset_the_socket_goes_on_with_another_hello(server: Serving, project: str) -> None:  # W3
    with server.open(project, cursor=1, epoch="f" * 32) as talk:
        assert talk.hear()["type"] == "reset"
        talk.push("a", text="x")
        assert talk.hear()["type"] == "settled"
        talk.say("hello", protocol=1, client=talk.client, cursor=1, epoch=talk.welcome["epoch"])
        assert talk.hear()["type"] == "welcome"
        assert versions(talk, 2) == [2]


def test_a_large_commit_comes_in_parts(server: Serving, project: str) -> None:  # F6
    with server.open(project) as talk:
        store(server, project, "ä" * 700_000)
        first = talk.hear()
        rest = [talk.hear() for _ in range(first["of"] - 1)]
        commit = json.loads("".join(part["data"] for part in [first, *rest]))
        assert (commit["v"], len(commit["changes"][0][3]["text"])) == (2, 700_000)
        talk.push("a", text="goes on")
        assert versions(talk, 3) == [3]


def test_whoever_is_behind_the_tail_is_served_from_the_log(server: Serving, project: str) -> None:  # F4
    last = [store(server, project, str(number % 10) * 300_000) for number in range(20)][-1]
    with server.open(project, cursor=1) as talk:
        assert versions(talk, last) == list(range(2, last + 1))


def test_sockets_of_one_user_are_limited(tmp_path: Path) -> None:  # W7
    with Serving(tmp_path / "data", limits=Limits(sockets_of_user=2)) as server:
        project = server.project()
        with server.open(project), server.open(project):
            with server.open(project) as third:
                assert third.welcome["code"] == "rate_limited"
        with server.open(project) as again:
            assert again.welcome["type"] == "welcome"


def test_one_who_never_reads_is_dropped_and_delays_nobody(tmp_path: Path) -> None:  # W24
    with Serving(tmp_path / "data", limits=Limits(slow_seconds=1.0)) as server, closing(raw(server)) as deaf:
        project = server.project()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(upgrade(server.port, project) + hello(secrets.token_hex(16)))
        with server.open(project) as talk:
            for number in range(40):
                last = store(server, project, str(number % 10) * 200_000)
            assert versions(talk, last) == list(range(2, last + 1))
            while count(server, "sharelite_goodbyes_total", code="slow") == 0:
                pass
            talk.say("ping")
            assert talk.hear()["type"] == "pong"


def test_no_hello_no_stay(tmp_path: Path) -> None:  # W2
    with Serving(tmp_path / "data", limits=Limits(hello_seconds=0.2)) as server, closing(raw(server)) as wire:
        wire.sendall(upgrade(server.port, server.project()))
        assert b"no_hello" in everything(wire, b"no_hello")


def fragment(opcode: int, payload: bytes = b"", final: bool = False) -> bytes:
    return bytes((opcode | (0x80 if final else 0), 0x80 | len(payload))) + b"\0\0\0\0" + payload


FLOODS: dict[str, tuple[bytes, int]] = {
    "fragments of nothing": (fragment(1) + fragment(0) * 400_000, 1009),
    "fragments of one byte": (fragment(1) + fragment(0, b"x") * 400_000, 1009),
    "pings": (fragment(9, b"x", True) * 400_000, 1008),
    "messages": (text_frame(b'{"type":"ping"}') * 100_000, 1013),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_cut_off_and_others_do_not_notice(server: Serving, project: str, flood: str) -> None:  # W24
    bytes_, code = FLOODS[flood]
    with closing(opened(server, project)) as wire, server.open(project) as talk:
        try:
            wire.sendall(bytes_)
        except ConnectionError:
            pass
        said = everything(wire, code.to_bytes(2, "big"))
        talk.push("a", text="x")
        assert talk.hear()["type"] == "commits"
        assert said == b"" or code.to_bytes(2, "big") in said


def test_a_head_of_8_mib_is_refused_after_32_kib(server: Serving) -> None:  # W24
    with closing(raw(server)) as wire:
        wire.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 32 * 1024)
        answer = everything(wire)
        assert answer.startswith(b"HTTP/1.1 431 ") and b'"code":"too_large"' in answer


def test_many_headers_are_as_bad_as_a_long_one(server: Serving) -> None:  # W24
    with closing(raw(server)) as wire:
        wire.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 6000 + b"\r\n")
        assert everything(wire).startswith(b"HTTP/1.1 431 ")


def test_what_is_not_http_is_told_so(server: Serving) -> None:  # W15
    with closing(raw(server)) as wire:
        wire.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        answer = everything(wire)
        assert answer.startswith(b"HTTP/1.1 400 ") and b'"code":"bad_request"' in answer


def test_a_head_that_does_not_come_is_not_waited_for(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:  # W24
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.2)
    with closing(raw(server)) as silent, closing(raw(server)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nhost:")
        assert (everything(silent), everything(slow)) == (b"", b"")


def test_a_body_that_drips_is_cut_off(tmp_path: Path) -> None:  # W16
    with Serving(tmp_path / "data", limits=Limits(body_seconds=0.3)) as server, closing(raw(server)) as wire:
        head = b"POST /v1/projects HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        wire.sendall(head + b"content-length: 1000\r\n\r\n{")
        answer = everything(wire)
        assert answer.startswith(b"HTTP/1.1 408 ") and b'"code":"timeout"' in answer


def test_a_door_that_leads_nowhere_is_no_websocket(server: Serving) -> None:  # W15
    with closing(raw(server)) as wire:
        wire.sendall(upgrade(server.port, "a/b"))
        assert everything(wire).startswith(b"HTTP/1.1 404 ")


def test_idle_sockets_are_counted_and_forgotten(server: Serving, project: str) -> None:  # W17
    before = count(server, "sharelite_sockets")
    with server.open(project), server.open(project):
        assert count(server, "sharelite_sockets") == before + 2
    while count(server, "sharelite_sockets") > before:
        pass
    assert server.http.get(f"/v1/projects/{project}").json()["users"] == []


def test_a_project_stays_open_while_somebody_is_on_it_and_is_closed_when_nobody_is(tmp_path: Path) -> None:  # L19
    with Serving(tmp_path / "data", limits=Limits(idle_seconds=0.05)) as server:
        project = server.project()
        address = f"/v1/projects/{project}/commits"
        with server.open(project) as talk:
            with server.http.stream("GET", address, headers={"accept": "text/event-stream"}) as events:
                assert next(events.iter_lines()) == "id: 1"
            time.sleep(0.3)  # what must not happen has no event
            assert count(server, "sharelite_projects", state="open") == 1
            talk.push("a", text="x")
            assert versions(talk, 2) == [2]
        while count(server, "sharelite_projects", state="open"):
            time.sleep(0.01)
        assert server.http.get("/v1/projects").json()["projects"][0]["version"] == 2
        with server.open(project, cursor=1, epoch=talk.welcome["epoch"]) as talk:
            assert versions(talk, 2) == [2]


def test_no_more_projects_are_opened_than_may_be_while_people_are_on_them(tmp_path: Path) -> None:  # L20
    with Serving(tmp_path / "data", limits=Limits(open_projects=1)) as server:
        one, two = server.project(), server.project()
        with server.open(one):
            answer = server.http.get(f"/v1/projects/{two}/commits")
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
            with server.open(two) as talk:
                assert (talk.welcome["type"], talk.welcome["code"], talk.closed()) == ("goodbye", "unavailable", 1013)
        with server.open(two) as talk:
            assert talk.welcome["type"] == "welcome"


def test_who_is_on_a_project_that_stops_is_sent_away_and_goes_on_after_coming_back(tmp_path: Path) -> None:  # L22
    with Serving(tmp_path / "data") as server:
        project = server.project()
        with server.open(project) as talk, server.open(project) as other:
            talk.push("a", text="x")
            assert versions(talk, 2) == versions(other, 2) == [2]
            (opened,) = server.app.state.house.catalog._openings.opened()
            opened._road._log._connection.close()
            talk.push("b", text="y")
            for each in (talk, other):
                while (message := each.hear())["type"] != "goodbye":
                    assert message["code"] == "unknown"
                assert (message["code"], each.closed()) == ("unavailable", 1013) and message["retry_after"] > 0
        hello = {"client": talk.client, "cursor": 2, "epoch": talk.welcome["epoch"]}
        with server.open(project, **hello) as again:
            again.counter = 1
            again.push("b", text="y")
            assert versions(again, 3) == [3]
