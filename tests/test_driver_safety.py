"""The driver over TLS, and with tokens that are wrong, late, or changed for others (SPEC D19, D20)."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import sharelite
from sharelite.sql.lease import Terms
from sharelite.tokens import LEEWAY, issue, load_keys
from tests.roads import SCENE
from tests.serving import PATIENCE, Serving
from tests.test_app import key_file

INSERT = "INSERT INTO note(id, text) VALUES (?, ?)"
FORKS = """
import os, sys
import sharelite

free, busy = sharelite.connect(sys.argv[1], autocommit=True), sharelite.connect(sys.argv[1])
free.execute("INSERT INTO note(id) VALUES ('before')")
busy.execute("INSERT INTO note(id) VALUES ('open')")
child = os.fork()
if child == 0:
    free.execute("SELECT id FROM note").fetchall()
    try:
        busy.execute("SELECT 1")
    except sharelite.OperationalError as problem:
        print("child:", problem)
    busy.rollback()
    print("child:", busy.execute("SELECT 7").fetchone(), flush=True)
    os._exit(0)
print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
busy.commit()
for name in ("parent", "child"):
    if name == "parent" or (child := os.fork()) == 0:
        free.execute("INSERT INTO note(id) VALUES (?)", (name,))
    if name == "child" and child == 0:
        os._exit(0)
print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(sorted(row[0] for row in free.execute("SELECT id FROM note")))
"""


def certificate(path: Path, host: str = "127.0.0.1") -> Path:
    """A certificate that nobody signed but its own key, and the key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def behind_tls(port: int, pem: Path) -> Iterator[int]:
    """A proxy that speaks TLS on the port that is given, and hands everything on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    at: list[int] = []
    ready, stop = threading.Event(), threading.Event()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, back), pipe(there, writer), return_exceptions=True)

    async def front() -> None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
        at.append(server.sockets[0].getsockname()[1])
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports close in the next rounds of the loop

    thread = threading.Thread(target=asyncio.run, args=(front(),))
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield at[0]
    finally:
        stop.set()
        thread.join(PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("safety") / "data") as serving:
        assert serving.http.post("/v1/projects", json={"name": "plan", "contract": SCENE}).status_code == 201
        yield serving


def test_a_certificate_that_is_trusted_by_name_is_enough_for_everything(server: Serving, tmp_path: Path) -> None:  # D19
    pem = certificate(tmp_path / "ca file.pem")
    with behind_tls(server.port, pem) as port:
        url = f"sharelites://127.0.0.1:{port}/plan?ca={str(pem).replace(' ', '%20')}"
        with sharelite.connect(url, timeout=PATIENCE) as ann:
            ann.execute(INSERT, ("tls", "x"))
        assert ann.execute("SELECT text FROM note WHERE id='tls'").fetchall() == [("x",)]
        assert ann.contract()["properties"]

        async def first() -> int:
            async with aclosing(sharelite.feed(url, after=1)) as commits:
                return (await anext(commits)).version

        assert asyncio.run(first()) == 2
        ann.close()


def test_the_dialect_takes_the_same_certificate(server: Serving, tmp_path: Path) -> None:  # D12, D19
    pem = certificate(tmp_path / "ca.pem")
    with behind_tls(server.port, pem) as port:
        engine = sqlalchemy.create_engine(f"sharelites://127.0.0.1:{port}/plan?ca={pem}")
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 7")).scalar() == 7
        engine.dispose()


def test_a_host_that_cannot_prove_itself_is_refused_at_once(server: Serving, tmp_path: Path) -> None:  # D19
    mine, other = certificate(tmp_path / "mine.pem"), certificate(tmp_path / "other.pem", "127.0.0.9")
    with behind_tls(server.port, mine) as port, behind_tls(server.port, other) as misnamed:
        for address in (
            f"127.0.0.1:{port}/plan",
            f"127.0.0.1:{port}/plan?ca={other}",
            f"127.0.0.1:{misnamed}/plan?ca={other}",
            f"127.0.0.1:{server.port}/plan",
        ):
            began = time.monotonic()
            with pytest.raises(sharelite.Untrusted) as found:
                sharelite.connect(f"sharelites://token@{address}", timeout=10 * PATIENCE)
            assert time.monotonic() - began < PATIENCE and found.value.code == "untrusted"
            assert "token@" not in str(found.value) and "127.0.0.1" in str(found.value)

        async def follow() -> None:
            await anext(sharelite.feed(f"sharelites://127.0.0.1:{port}/plan", after=1))

        with pytest.raises(sharelite.Untrusted):
            asyncio.run(follow())
    with pytest.raises(sharelite.InterfaceError, match="no file of certificates"):
        sharelite.connect(f"sharelites://127.0.0.1:1/plan?ca={tmp_path / 'none.pem'}")


def test_a_token_that_is_wrong_or_too_weak_is_told_at_once(tmp_path: Path) -> None:  # D20
    path = key_file(tmp_path)
    key = load_keys(path).keys["main"]
    with Serving(tmp_path / "data", keys=path) as guarded:
        host = f"127.0.0.1:{guarded.port}"
        owner = issue(key, "main", "root", {"*": "owner"}, 600)
        made = {"name": "plan", "contract": SCENE}
        headers = {"authorization": f"Bearer {owner}"}
        assert guarded.http.post("/v1/projects", json=made, headers=headers).status_code == 201
        late = issue(key, "main", "ann", {"plan": "editor"}, -LEEWAY - 5)
        began = time.monotonic()
        for token in (f"{late}@", f"{owner[:-3]}abc@", ""):
            with pytest.raises(sharelite.OperationalError) as found:
                sharelite.connect(f"sharelite://{token}{host}/plan", timeout=10 * PATIENCE)
            assert found.value.code == "unauthenticated"
        reader = sharelite.connect(f"sharelite://{issue(key, 'main', 'bob', {'plan': 'reader'}, 600)}@{host}/plan")
        with pytest.raises(sharelite.OperationalError) as refused:
            reader.execute(INSERT, ("a", "x"))
        assert refused.value.code == "forbidden"
        reader.rollback()
        assert reader.execute("SELECT count(*) FROM note").fetchone() == (0,)
        assert time.monotonic() - began < PATIENCE
        reader.close()


def test_a_token_that_is_over_is_renewed_by_whoever_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # D21
    path = key_file(tmp_path)
    key = load_keys(path).keys["main"]

    def made(seconds: int) -> str:
        return issue(key, "main", "ann", {"*": "owner"}, seconds)

    with Serving(tmp_path / "data", keys=path, token=made(600)) as guarded:
        assert guarded.http.post("/v1/projects", json={"name": "plan", "contract": SCENE}).status_code == 201
        url = f"sharelite://old@127.0.0.1:{guarded.port}/plan"
        present = [made(300)]
        ann = sharelite.connect(url, timeout=PATIENCE, token=lambda: present[-1])
        bob = sharelite.connect(url, timeout=PATIENCE, token=present[-1])
        ann.execute(INSERT, ("a", "lost"))
        for module in ("sockets.desk", "routes.commits"):  # what is over in 300 s is over now
            monkeypatch.setattr(f"sharelite.{module}.LEEWAY", -400)
        present.append(made(600))
        with pytest.raises(sharelite.OperationalError) as over:
            ann.execute(INSERT, ("b", "lost"))
        assert over.value.code == "unauthenticated"
        ann.rollback()
        with ann:
            ann.execute(INSERT, ("c", "kept"))
        assert ann.execute("SELECT id FROM note").fetchall() == [("c",)]
        ann.execute("HA CREATE DB ?", ("other",))
        with pytest.raises(sharelite.OperationalError) as told:
            bob.execute("SELECT id FROM note")
        assert told.value.code == "unauthenticated"

        async def first() -> int:
            given = [present[1], present[0]]
            async with aclosing(sharelite.feed(url, after=1, token=lambda: given.pop() if given else "")) as commits:
                return (await asyncio.wait_for(anext(commits), PATIENCE)).version

        assert asyncio.run(first()) == 2
        engine = sqlalchemy.create_engine(url, connect_args={"token": lambda: present[-1]})
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT count(*) FROM note")).scalar() == 1
        engine.dispose()
        ann.close()
        bob.close()


def test_after_a_fork_each_process_has_a_connection_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # D22
    monkeypatch.setattr("sharelite.transactions.WRITING", Terms(PATIENCE, PATIENCE))
    with Serving(tmp_path / "data") as server:
        project = server.http.post("/v1/projects", json={"name": "plan", "contract": SCENE}).json()["id"]
        words = [sys.executable, "-c", FORKS, f"sharelite://127.0.0.1:{server.port}/{project}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.splitlines() == [
        "child: the transaction is over (it is that of the process which forked); roll it back",
        "child: (7,)",
        "exit 0",
        "exit 0",
        "['before', 'child', 'open', 'parent']",
    ], done.stderr
