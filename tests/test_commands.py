"""The command line: what it prints, what it refuses, and that a real process comes up and goes down."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from sharelite.__main__ import COMMANDS, sharelite
from sharelite.commands.serve import open_many_files
from sharelite.errors import ShareliteError
from tests.ports import free_port
from tests.running import RunningServer
from tests.serving import NOTES, Serving


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(sharelite, arguments, env=environment, catch_exceptions=True)


def trouble(*arguments: str) -> str:
    """The one sentence with which a command ends that cannot do its work."""
    done = subprocess.run([sys.executable, "-m", "sharelite", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command: str) -> None:  # W25
    shown = run(command, "--help")
    assert shown.exit_code == 0 and "Examples:" in shown.output and f"sharelite {command}" in shown.output


def test_help_names_every_command() -> None:  # W25
    shown = run("--help").output
    assert [command for command in COMMANDS if f"  {command} " not in shown] == []


def test_a_server_comes_up_where_it_says_and_goes_down_clean(tmp_path: Path) -> None:  # W25
    with RunningServer(tmp_path / "data") as server:
        assert f"at {server.url}" in server.log.read_text()
        assert server.process
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "no keys: whoever can reach this address owns every project" in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [line["path"] for line in lines if line["message"] == "request"] == []


def test_a_taken_port_is_told(tmp_path: Path) -> None:  # W25
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = trouble("serve", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert "Address already in use" in said and "--port" in said


def test_a_data_directory_in_use_is_told_with_its_process(tmp_path: Path) -> None:  # W22
    with RunningServer(tmp_path / "data") as server:
        said = trouble("serve", str(tmp_path / "data"), "--port", "0")
    assert f"is in use by another server (process {server.pid})" in said


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:  # W25
    (tmp_path / "file").write_text("")
    assert "Not a directory" in trouble("serve", str(tmp_path / "file" / "data"), "--port", "0")


def test_without_keys_nobody_else_can_reach_it(tmp_path: Path) -> None:  # P11
    assert "needs --keys" in trouble("serve", str(tmp_path), "--host", "0.0.0.0", "--port", "0")


def test_a_broken_key_file_is_told(tmp_path: Path) -> None:  # W25
    (tmp_path / "keys.json").write_text('{"keys": [{"kid": "k", "alg": "HS256", "secret": "c2hvcnQ"}]}')
    said = trouble("serve", str(tmp_path / "data"), "--keys", str(tmp_path / "keys.json"), "--port", "0")
    assert "32 bytes" in said and "c2hvcnQ" not in said
    (tmp_path / "keys.json").write_bytes(b"\xff secret")
    said = trouble("serve", str(tmp_path / "data"), "--keys", str(tmp_path / "keys.json"), "--port", "0")
    assert "keys.json: not a JSON text" in said and "sharelite token --help" in said


def test_a_broken_contract_is_told_with_file_and_pointer(tmp_path: Path) -> None:  # W21
    (tmp_path / "bad.schema.json").write_text('{"type": "object", "properties": {"_t": {"type": "array"}}}')
    said = trouble("serve", str(tmp_path / "data"), "--contracts", str(tmp_path), "--port", "0")
    assert "bad.schema.json" in said and "/properties/_t" in said


def test_a_token_made_here_is_good_there(tmp_path: Path) -> None:  # P1
    keys = tmp_path / "keys.json"
    rights = ("--user", "ada", "--project", "a-*", "--role", "reader", "--expires", "5m")
    made = run("token", "--key", str(keys), "--create", *rights)
    assert made.exit_code == 0, made.output
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    token = made.stdout.strip()
    with RunningServer(tmp_path / "data", "--keys", str(keys)) as server:
        headers = {"authorization": f"Bearer {token}"}
        assert server.ask("GET", "/v1/projects", headers=headers) == (200, {"projects": []})
        assert server.ask("GET", "/v1/projects")[0] == 401
        body = {"name": "a-1", "contract": NOTES}
        assert server.ask("POST", "/v1/projects", body, headers)[0] == 403
    assert token.split(".")[1] not in server.log.read_text()


@pytest.mark.parametrize("expires", ["0m", "5", "1y", "-1h", "1.5h"])
def test_a_span_that_is_none_is_told(tmp_path: Path, expires: str) -> None:  # W25
    shown = run("token", "--key", str(tmp_path / "k.json"), "--create", "--user", "a", "--expires", expires)
    assert shown.exit_code == 2 and "write 30m, 8h or 7d" in shown.output


def test_a_missing_key_file_is_told(tmp_path: Path) -> None:  # W25
    failed = run("token", "--key", str(tmp_path / "k.json"), "--user", "a")
    assert isinstance(failed.exception, ShareliteError) and "--create" in str(failed.exception)


def test_projects_are_made_listed_renamed_and_deleted(tmp_path: Path) -> None:  # W25
    (tmp_path / "notes.json").write_text(json.dumps(NOTES))
    with Serving(tmp_path / "data") as server:
        at = ("projects", "--url", server.url)
        id = run(*at, "create", "plan", "--contract", str(tmp_path / "notes.json")).stdout.strip()
        listed = run(*at, "list").stdout
        assert "plan" in listed and id in listed
        assert run(*at, "rename", "plan", "plan B").exit_code == 0
        (found,) = json.loads(run(*at, "list", "--json").stdout)
        assert (found["id"], found["name"]) == (id, "plan B")
        assert run(*at, "delete", id, "--yes").exit_code == 0
        assert json.loads(run(*at, "list", "--json").stdout) == []
        missing = run(*at, "delete", "plan", "--yes")
        assert "there is no project 'plan'" in str(missing.exception)
        bad = run(*at, "create", "a/b", "--contract", str(tmp_path / "notes.json"))
        assert "/name" in str(bad.exception)


def test_a_server_that_is_not_there_is_told() -> None:  # W25
    failed = run("projects", "--url", f"http://127.0.0.1:{free_port()}", "list")
    assert "is it running?" in str(failed.exception)


@pytest.mark.parametrize("url", ["nonsense", "127.0.0.1:8080", "http://[::1", "ftp://host"])
def test_what_is_no_address_is_told(url: str) -> None:  # W25
    failed = run("projects", "list", "--url", url)
    assert isinstance(failed.exception, ShareliteError) and f"--url {url}: not the address" in str(failed.exception)


def test_the_server_may_be_named_behind_the_word_of_a_command(tmp_path: Path) -> None:  # W25
    nowhere = ("projects", "--url", f"http://127.0.0.1:{free_port()}", "--token", "t")
    with Serving(tmp_path / "data") as server:
        made = run(*nowhere, "create", "shop", "--url", server.url, "--token", "u")
        assert made.exit_code == 0, made.output
        assert "shop" in run("projects", "list", "--server", server.url).stdout


def test_a_project_without_a_contract_takes_tables_from_sql(tmp_path: Path) -> None:  # W25, Q17
    with Serving(tmp_path / "data") as server:
        at = ("--url", server.url)
        assert run("projects", "create", "shop", *at).exit_code == 0
        script = "CREATE TABLE item(id INTEGER PRIMARY KEY); INSERT INTO item DEFAULT VALUES; SELECT id FROM item"
        done = run("sql", "shop", *at, "--mode", "csv", "-c", script)
        assert done.output.split() == ["1", "row", "id", "1"], done.output


def test_an_export_is_not_called_what_it_is_not(tmp_path: Path) -> None:  # W25
    with Serving(tmp_path / "data") as server:
        server.project("plan")
        at = ("--url", server.url)
        shown = run("export", "plan", "-o", str(tmp_path / "plan.geojson"), *at)
        assert shown.exit_code == 2 and ".geojson" in shown.output and not (tmp_path / "plan.geojson").exists()
        for ending in ("sqlite", "db3", "SQLITE3"):
            assert run("export", "plan", "-o", str(tmp_path / f"p.{ending}"), *at).exit_code == 0
            assert (tmp_path / f"p.{ending}").read_bytes().startswith(b"SQLite format 3")
        assert run("export", "plan", "-o", str(tmp_path / "p.txt"), "--format", "sql", *at).exit_code == 0


@pytest.mark.parametrize("port", ["-1", "65536", "many"])
def test_a_port_that_is_none_is_told(tmp_path: Path, port: str) -> None:  # W25
    for command in (("serve", str(tmp_path / "data")), ("demo", str(tmp_path / "data"), "--no-browser")):
        shown = run(*command, "--port", port)
        assert shown.exit_code == 2 and "--port" in shown.output and not (tmp_path / "data").exists()


def test_a_killed_server_leaves_no_lock(tmp_path: Path) -> None:  # W22
    with RunningServer(tmp_path / "data") as server:
        project = server.create("kept", NOTES)
        os.kill(server.pid, signal.SIGKILL)
        assert server.process and server.process.wait(10)
        server.start()
        assert httpx.get(f"{server.url}/v1/projects/{project}").json()["name"] == "kept"


def test_a_server_opens_as_many_files_as_it_may() -> None:  # W40
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        open_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(hard % 2**63, 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
