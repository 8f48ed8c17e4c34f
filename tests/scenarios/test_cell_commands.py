"""`sharelite cluster` with real processes (SPEC K89): who was alone becomes a cell, with everything."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from sharelite.cluster.plan import read_plan
from tests.carrying import imported
from tests.cell_story import position
from tests.foreign_files import SAMPLE, small
from tests.ports import free_port
from tests.running import ROOT, RunningServer
from tests.serving import NOTES
from tests.spaces import network

CLIENT = "c" * 32


class Grown:
    """A server that was alone, and the plans of the cell that it becomes the first node of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = {"a": RunningServer(folder / "a")}

    def init(self) -> None:
        a = self.nodes["a"]
        ports = self.ports(a)
        run("cluster", "init", self.plans, "--data", a.data, "--node", "a=127.0.0.1", *ports)
        a._command += ["--cluster", str(self.plans / "a.toml")]
        a.start()

    def add(self, name: str) -> None:
        node = self.nodes[name] = RunningServer(self.folder / name, "--cluster", str(self.plans / f"{name}.toml"))
        run("cluster", "add", self.plans / "a.toml", f"{name}=127.0.0.1", *self.ports(node))
        node.start()

    @property
    def plans(self) -> Path:
        return self.folder / "plans"

    @staticmethod
    def ports(node: RunningServer) -> tuple[str, ...]:
        raft, peer = free_port(), free_port()
        return "--raft-port", str(raft), "--peer-port", str(peer), "--http-port", str(node.port)

    def status(self, node: str) -> str:
        return run("cluster", "--url", self.nodes[node].url, "status")


def run(*words: object) -> str:
    command = [sys.executable, "-m", "sharelite", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[Grown]:
    made = Grown(tmp_path)
    try:
        yield made
    finally:
        for node in made.nodes.values():
            node.stop()


def content(server: RunningServer) -> list[Any]:
    """What there is, as clients see it: projects, commits, images and their bytes."""
    found: list[Any] = []
    for each in server.ask("GET", "/v1/projects?level=strict")[1]["projects"]:
        path = f"/v1/projects/{each['id']}"
        image = server.ask("GET", f"{path}/image")[1]
        commits = server.ask("GET", f"{path}/commits?after=0")[1]["commits"]
        bytes_there = httpx.get(f"{server.url}{image['url']}").raise_for_status().content
        shown = {key: each[key] for key in ("id", "name", "contract", "created", "by", "version", "updated")}
        image["url"] = image["url"].split("?")[0]  # what is behind it is a signature that expires
        found.append((shown, commits, image, bytes_there))
    return found


def edit(server: RunningServer, project: str, counter: int) -> tuple[int, Any]:
    body = {"id": [CLIENT, counter], "changes": [["i", "note", [f"n{counter}"], {"text": "x"}]]}
    return server.ask("POST", f"/v1/projects/{project}/mutations", body)


def test_a_server_that_was_alone_becomes_a_cell_with_all_it_had(grown: Grown) -> None:  # K89
    alone = grown.nodes["a"]
    alone.start()
    project = alone.create("notes", NOTES)
    answers = [edit(alone, project, counter) for counter in range(1, 21)]
    with httpx.Client(base_url=alone.url) as http:
        imported(http, small(grown.folder / "sample.db", SAMPLE), "sample.db")
    before = content(alone)
    alone.stop()
    place = position(alone.data, project)
    grown.init()
    assert content(alone) == before and len(before) == 2
    assert [edit(alone, project, counter) for counter in range(1, 21)] == answers, "who asks again gets the same answer"
    grown.add("b")
    grown.add("c")
    for node in grown.nodes.values():
        assert [each[:2] for each in content(node)] == [each[:2] for each in before]
        for shown, _, _, bytes_there in before:  # an address that one node gave works at all of them
            url = alone.ask("GET", f"/v1/projects/{shown['id']}/image")[1]["url"]
            assert httpx.get(f"{node.url}{url}").raise_for_status().content == bytes_there
    assert [line.split()[:2] for line in grown.status("b").splitlines()[1:]] == [
        ["a", "leader"], ["b", "follower"], ["c", "follower"],
    ]  # fmt: skip
    alone.kill()
    assert edit(grown.nodes["c"], project, 21)[0] == 200
    for node in grown.nodes.values():
        node.stop()
    assert position(grown.nodes["b"].data, project)[0] == place[0], "the epoch is the same"


def refused(*words: object) -> str:
    command = [sys.executable, "-m", "sharelite", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_a_directory_is_made_a_node_once(grown: Grown) -> None:  # K89
    alone = grown.nodes["a"]
    alone.start()
    assert "in use" in refused("cluster", "init", grown.plans, "--data", alone.data, "--node", "a=127.0.0.1")
    alone.stop()
    grown.plans.mkdir()
    (grown.plans / "cell.key").touch()
    before = (alone.data / "node.json").read_bytes()
    assert "there already" in refused("cluster", "init", grown.plans, "--data", alone.data, "--node", "b=127.0.0.1")
    assert (alone.data / "node.json").read_bytes() == before
    (grown.plans / "cell.key").unlink()
    grown.init()
    alone.stop()
    other = grown.folder / "other"
    assert "node a of a cell" in refused("cluster", "init", other, "--data", alone.data, "--node", "b=127.0.0.1")
    assert not other.exists()


@pytest.mark.parametrize("hosts", ["ab", "abcd", "abcdef", "aab"])
def test_a_cell_begins_with_one_three_or_five_nodes(tmp_path: Path, hosts: str) -> None:  # K89
    nodes = [word for name in hosts for word in ("--node", f"{name}=10.0.0.1")]
    said = refused("cluster", "init", tmp_path / "plans", *nodes)
    assert "same name" in said if hosts == "aab" else "3 or 5" in said
    assert not (tmp_path / "plans").exists()


@pytest.mark.parametrize("which", ["raft", "peer"])
def test_a_port_of_the_cell_that_is_taken_is_told(tmp_path: Path, which: str) -> None:  # K58
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"raft": free_port(), "peer": free_port(), "http": free_port(), which: port}
        named = [word for name, number in ports.items() for word in (f"--{name}-port", str(number))]
        run("cluster", "init", tmp_path / "plans", "--node", "a=127.0.0.1", *named)
        plan = tmp_path / "plans" / "a.toml"
        said = refused("serve", tmp_path / "data", "--port", ports["http"], "--cluster", plan)
    assert f"127.0.0.1:{port}" in said and "in use" in said, said


#: A length of 2 GiB; a head without end; a websocket whose first frame is 2 GiB; nothing.
STRANGERS = (
    b"\x7f\xff\xff\xff" + bytes(1024),
    b"GET / HTTP/1.1\r\nX-A: " + b"a" * 4_000_000,
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x82\xff" + (2 << 30).to_bytes(8, "big") + bytes(1 << 20),
    b"",
)


@pytest.mark.parametrize("port", ["raft", "peer"])
def test_strangers_at_the_ports_of_a_cell_cost_no_memory(grown: Grown, port: str) -> None:  # K16, K57
    grown.nodes["a"].start()
    grown.nodes["a"].stop()
    grown.init()
    host, _, number = getattr(read_plan(grown.plans / "a.toml").me, port).rpartition(":")
    node = grown.nodes["a"]
    pids = [node.pid, *map(int, Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split())]
    owned = grown.folder / "owned"
    strangers = [*STRANGERS, f"cos\nsystem\n(S'touch {owned}'\ntR.".encode()]
    visit(host, int(number), strangers, 5)
    before = [resident(pid) for pid in pids]
    visit(host, int(number), strangers, 60)
    grew = [resident(pid) - was for pid, was in zip(pids, before, strict=True)]
    assert max(grew) < 2 << 20, grew
    assert not owned.exists()
    assert edit(node, node.create("goes on", NOTES), 1)[0] == 200


def visit(host: str, port: int, strangers: list[bytes], times: int) -> None:
    """All of them at once, so often."""
    for _ in range(times):
        with ExitStack() as open_ones:
            for what in strangers:
                stranger = open_ones.enter_context(socket.create_connection((host, port), 60))
                with suppress(OSError):
                    stranger.sendall(what)


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.long
def test_make_cluster_leaves_no_node_behind_when_it_is_told_to_end(tmp_path: Path) -> None:  # K66
    """On a machine of its own: its ports are fixed."""
    folder = tmp_path / "cell"
    with network("a") as wires, (tmp_path / "log").open("w+b") as log:
        command = [*wires.inside("a"), sys.executable, str(ROOT / "scripts" / "cluster.py"), str(folder)]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(lambda: b"Ctrl-C ends all" in (tmp_path / "log").read_bytes(), process)
            assert len(processes(folder)) == 3
        finally:
            process.terminate()
            process.wait(60)
        assert processes(folder) == []


def wait_for(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline, pause = time.monotonic() + 180, threading.Event()
    while not true():
        assert time.monotonic() < deadline and process.poll() is None
        pause.wait(0.2)


def processes(folder: Path) -> list[int]:
    """Those that serve a data directory in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"serve" in words and any(word.startswith(f"{folder}/".encode()) for word in words):
                found.append(int(path.parent.name))
    return found
