"""The application as a whole: who may do what, whose pages may call, mounting, functions, start and end."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from sharelite.app import NoContracts, create_app
from sharelite.auth import Identity, Role
from sharelite.logs import JsonLines
from sharelite.storage.lock import DirectoryInUse
from sharelite.tokens import issue, load_keys
from tests.serving import NOTES, Serving, Talk

SECRET = base64.urlsafe_b64encode(b"k" * 32).decode()


def key_file(folder: Path) -> Path:
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": [{"kid": "main", "alg": "HS256", "secret": SECRET}]}))
    return path


class Locked(Serving):
    """A server with keys; `token` makes one, `status` asks with it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self._ring = load_keys(key_file(folder))
        super().__init__(folder / "data", token=self.make("root", {"*": "owner"}), keys=folder / "keys.json", **options)

    def make(self, user: str, projects: Mapping[str, Role], seconds: int = 600) -> str:
        return issue(self._ring.keys["main"], "main", user, projects, seconds)

    def status(self, method: str, path: str, token: str | None, **more: Any) -> int:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.request(method, self.url + path, headers=headers, **more).status_code


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with Locked(tmp_path_factory.mktemp("locked")) as server:
        yield server


EDIT = {"json": {"changes": [["s", "note", ["n"], {"text": "x"}]]}}
#: What is asked for, and the least role for it. No role: as if the project were not there.
RIGHTS: list[tuple[str, str, dict[str, Any], list[int]]] = [
    # no token, another project's, reader, editor, owner
    ("GET", "", {}, [401, 404, 200, 200, 200]),
    ("GET", "/db", {}, [401, 404, 200, 200, 200]),
    ("GET", "/commits", {}, [401, 404, 200, 200, 200]),
    ("GET", "/contract", {}, [401, 404, 200, 200, 200]),
    ("GET", "/image", {}, [401, 404, 200, 200, 200]),
    ("POST", "/mutations", EDIT, [401, 404, 403, 200, 200]),
    ("PATCH", "", {"json": {}}, [401, 404, 403, 403, 200]),
    ("DELETE", "", {}, [401, 404, 403, 403, 204]),
]


@pytest.mark.parametrize(("method", "path", "more", "expected"), RIGHTS, ids=[f"{r[0]} {r[1]}" for r in RIGHTS])
def test_each_role_may_do_just_what_it_is_for(
    locked: Locked, method: str, path: str, more: dict[str, Any], expected: list[int]
) -> None:  # P6
    project = locked.project()
    roles: list[Role] = ["reader", "editor", "owner"]
    tokens = [None, locked.make("eve", {"other": "owner"}), *(locked.make("ada", {project: role}) for role in roles)]
    assert [locked.status(method, f"/v1/projects/{project}{path}", token, **more) for token in tokens] == expected


def test_whether_a_project_is_there_is_not_to_be_told_from_the_answers(locked: Locked) -> None:  # P6
    eve = locked.make("eve", {"other": "owner"})
    there, not_there = locked.project(), "0" * 32
    for token in (eve, None):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answers = {
            httpx.get(f"{locked.url}/v1/projects/{id}/db", headers=headers).text.replace(id, "ID")
            for id in (there, not_there)
        }
        assert len(answers) == 1


def test_a_list_has_what_the_caller_may_read(locked: Locked) -> None:  # P6
    locked.project("team-red"), locked.project("team-blue")
    token = locked.make("ada", {"team-r*": "reader"})
    found = httpx.get(f"{locked.url}/v1/projects", headers={"authorization": f"Bearer {token}"}).json()["projects"]
    assert [(each["name"], each["role"]) for each in found] == [("team-red", "reader")]
    assert locked.status("GET", "/v1/projects", None) == 401


def test_projects_are_made_and_renamed_within_what_one_owns(locked: Locked) -> None:  # P6
    ada = locked.make("ada", {"ada-*": "owner"})
    body = {"contract": NOTES}
    assert locked.status("POST", "/v1/projects", ada, json={**body, "name": "ada-1"}) == 201
    assert locked.status("POST", "/v1/projects", ada, json={**body, "name": "bob-1"}) == 403
    found = locked.http.get("/v1/projects", params={"name": "ada-1"}).json()["projects"][0]["id"]
    assert locked.status("PATCH", f"/v1/projects/{found}", ada, json={"name": "bob-1"}) == 403
    assert locked.status("PATCH", f"/v1/projects/{found}", ada, json={"name": "ada-2"}) == 200


def test_contracts_and_figures_are_for_owners_of_everything(locked: Locked) -> None:  # P6
    ada = locked.make("ada", {"ada-*": "owner"})
    assert locked.status("PUT", "/v1/contracts/notes", ada, json=NOTES) == 403
    assert locked.status("GET", "/v1/contracts", ada) == 200
    assert [locked.status("GET", "/metrics", token) for token in (None, ada, locked.token)] == [401, 403, 200]


@pytest.mark.parametrize("header", ["Bearer", "Bearer x.y.z", "Basic YTpi", "bearer " + "a" * 9000, "x"])
def test_every_bad_token_gets_the_same_answer(locked: Locked, header: str) -> None:  # P2
    answer = httpx.get(f"{locked.url}/v1/projects", headers={"authorization": header})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["message"] == "a valid token is needed"


def test_a_token_in_the_address_is_no_token(locked: Locked) -> None:  # P7
    for name in ("token", "access_token", "authorization"):
        assert locked.status("GET", f"/v1/projects?{name}={locked.token}", None) == 401


def test_no_token_is_ever_logged_or_counted(locked: Locked, caplog: pytest.LogCaptureFixture) -> None:  # P7
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel("WARNING")
    bad = "eyJ0b2tlbiI6ImNhbmFyeSJ9.Y2FuYXJ5Y2FuYXJ5.Y2FuYXJ5"
    project = locked.project()
    for token in (locked.token, bad):
        locked.status("GET", f"/v1/projects?token={token}", token)
        locked.status("POST", f"/v1/projects/{project}/mutations?token={token}", token, json={})
        with connect(f"{locked.address(project)}?token={token}", compression=None) as socket:
            socket.send(json.dumps({"type": "hello", "protocol": 1, "client": "a" * 32, "token": token}))
            socket.recv()
    lines = "\n".join(JsonLines().format(record) for record in caplog.records if record.name.startswith("sharelite"))
    assert '"status": 401' in lines
    secrets = [part for token in (locked.token, bad) for part in token.split(".")[1:]]
    assert [part for part in secrets if part in lines or part in locked.http.get("/metrics").text] == []


def test_a_websocket_is_for_those_whose_token_says_so(locked: Locked) -> None:  # P6
    project = locked.project()
    eve = locked.make("eve", {"other": "owner"})
    for token, code in ((None, "unauthenticated"), ("x.y.z", "unauthenticated"), (eve, "not_found")):
        with connect(locked.address(project), compression=None) as socket:
            hello = {"type": "hello", "protocol": 1, "client": "a" * 32, **({"token": token} if token else {})}
            socket.send(json.dumps(hello))
            assert json.loads(socket.recv())["code"] == code


def test_a_readers_push_is_refused_for_good_and_a_renewed_token_lets_him_write(locked: Locked) -> None:  # P4
    project = locked.project()
    with locked.open(project, locked.make("ada", {project: "reader"})) as talk:
        assert talk.welcome["role"] == "reader"
        talk.push("a", text="x")
        assert (talk.hear()["code"], talk.counter) == ("forbidden", 1)
        talk.say("auth", token=locked.make("ada", {project: "editor"}))
        talk.push("a", text="x")
        assert talk.hear()["commits"][0]["by"] == "ada"


def test_a_token_that_lost_the_project_ends_the_stay(locked: Locked) -> None:  # P5
    project = locked.project()
    with locked.open(project, locked.make("ada", {project: "editor"})) as talk:
        talk.say("auth", token=locked.make("ada", {"other": "editor"}))
        assert (talk.hear()["code"], talk.closed()) == ("not_found", 1008)


def test_another_user_cannot_take_over_a_connected_client(locked: Locked) -> None:  # P8
    project = locked.project()
    with locked.open(project) as talk:
        with locked.open(project, locked.make("eve", {project: "editor"}), client=talk.client) as other:
            assert other.welcome["code"] == "foreign_client"


def test_public_projects_can_be_read_by_everybody_and_written_by_nobody_else(tmp_path: Path) -> None:  # P9
    with Locked(tmp_path, public=["show-*"]) as server:
        shown, hidden = server.project("show-1"), server.project("hidden")
        assert server.status("GET", f"/v1/projects/{shown}/db", None) == 200
        assert server.status("GET", f"/v1/projects/{hidden}/db", None) == 401
        assert server.status("POST", f"/v1/projects/{shown}/mutations", None, **EDIT) == 401
        server.http.patch(f"/v1/projects/{hidden}", json={"public": True})
        assert server.status("GET", f"/v1/projects/{hidden}/db", None) == 200
        assert len(httpx.get(f"{server.url}/v1/projects").json()["projects"]) == 2


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("site") / "data", origins=["https://app.example"]) as server:
        yield server


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://app.example.evil", "http://app.example", "file://"]
)
def test_a_page_of_another_site_can_neither_write_nor_connect(site: Serving, origin: str) -> None:  # P10
    answer = site.http.post("/v1/projects", json={"name": "x", "contract": NOTES}, headers={"origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in site.http.get("/v1/projects", headers={"origin": origin}).headers
    with pytest.raises(InvalidStatus) as refused, connect(site.address("0" * 32), origin=Origin(origin)):
        pass
    assert refused.value.response.status_code == 403


def test_a_page_of_a_listed_site_can(site: Serving) -> None:  # P10
    origin = {"origin": "https://app.example"}
    answer = site.http.get("/v1/projects", headers=origin)
    assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == ("https://app.example", "Origin")
    assert "sharelite-version" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    asks = {**origin, "access-control-request-method": "PUT"}
    preflight = site.http.options("/v1/contracts/x", headers=asks)
    assert preflight.status_code == 204 and "PUT" in preflight.headers["access-control-allow-methods"]
    with connect(site.address(site.project()), origin=Origin("https://app.example")):
        pass


def test_a_page_of_our_own_can(site: Serving) -> None:  # P10
    assert site.http.put("/v1/contracts/own", json=NOTES, headers={"origin": site.url}).status_code == 201


def test_an_error_can_be_read_by_the_page_it_is_for(site: Serving) -> None:  # P10
    answer = site.http.get("/v1/projects/nowhere", headers={"origin": "https://app.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (404, "https://app.example")


STRANGE_HOSTS = ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.example", ""]


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_without_keys_only_the_names_of_this_machine_are_answered(site: Serving, host: str) -> None:  # P11
    answer = site.http.get("/v1/projects", headers={"host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "misdirected")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "[::1]:8080"])
def test_the_names_of_this_machine_are(site: Serving, host: str) -> None:  # P11
    assert site.http.get("/healthz", headers={"host": host}).status_code == 200


async def by_cookie(token: str | None, connection: HTTPConnection) -> Identity | None:
    """Somebody's own login."""
    user = connection.cookies.get("user")
    return Identity(user, (("*", "editor"),)) if user else None


def test_ones_own_login_decides_who_comes_in(tmp_path: Path) -> None:  # P12
    with Serving(tmp_path / "data", authenticate=by_cookie) as server:
        assert server.http.get("/v1/projects").status_code == 401
        answer = server.http.get("/v1/projects", headers={"cookie": "user=ada"})
        assert answer.json() == {"projects": []}
        made = server.http.post("/v1/projects", json={"name": "x", "contract": NOTES}, headers={"cookie": "user=ada"})
        assert made.status_code == 403


def test_the_application_can_be_part_of_another(tmp_path: Path) -> None:  # W19
    inner = create_app(tmp_path / "data", hosts=["outer.example"])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with inner.running():
            yield

    outer = Starlette(routes=[Mount("/sharelite", inner)], lifespan=lifespan)

    async def ask() -> tuple[Any, Any, str]:
        inside = httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://outer.example/sharelite")
        async with lifespan(outer), inside as http:
            made = await http.post("/v1/projects", json={"name": "x", "contract": NOTES})
            listed = await http.get("/v1/projects")
            return made, listed.json(), (await http.get("/")).text

    made, listed, console = asyncio.run(ask())
    assert made.headers["location"] == f"/sharelite/v1/projects/{made.json()['id']}"
    assert [each["name"] for each in listed["projects"]] == ["x"]
    assert 'href="console/console.css"' in console


def test_an_application_that_does_not_run_says_so(tmp_path: Path) -> None:  # W19
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(tmp_path))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get("/readyz")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


def test_a_project_that_stopped_makes_the_server_unready_until_it_is_open_again(tmp_path: Path) -> None:  # L18
    async def ask() -> list[httpx.Response]:
        app = create_app(tmp_path)
        inside = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        async with app.running(), inside as http:
            made = (await http.post("/v1/projects", json={"name": "x", "contract": NOTES})).json()["id"]
            async with app.state.house.catalog.hold(made) as project:
                asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
                project._road._log._connection.close()
                push = {"id": ["a" * 32, 1], "changes": [["i", "note", ["a"], {}]]}
                written = await http.post(f"/v1/projects/{made}/mutations", json=push)
                unready, figures = await http.get("/readyz"), await http.get("/metrics")
            again = await http.post(f"/v1/projects/{made}/mutations", json=push)
            return [written, unready, figures, again, await http.get("/readyz")]

    written, unready, figures, again, ready = asyncio.run(ask())
    assert (written.status_code, written.json()["error"]["code"]) == (503, "unknown")
    assert unready.status_code == 503 and "opened anew" in unready.json()["error"]["message"]
    assert "sharelite_projects_stopped_total 1.0" in figures.text
    assert 'sharelite_projects{state="closing"} 1.0' in figures.text
    assert again.json() == {"version": 2} and ready.status_code == 200


def test_a_server_function_is_called_by_its_name(tmp_path: Path) -> None:  # W20
    app = create_app(tmp_path / "data")

    @app.function("stamp")
    def stamp(transaction: Any, args: Mapping[str, Any]) -> None:
        transaction.execute("INSERT INTO note(id, text) VALUES(?, ?)", (args["id"], "stamped"))

    with pytest.raises(ValueError, match="already"):
        app.function("stamp")(stamp)
    with Serving(tmp_path / "data", app) as server:
        project = server.project()
        body = {"call": "stamp", "args": {"id": "a"}}
        assert server.http.post(f"/v1/projects/{project}/mutations", json=body).json() == {"version": 2}
        commit = server.http.get(f"/v1/projects/{project}/commits?after=1").json()["commits"][0]
        assert (commit["kind"], commit["changes"]) == ("call", [["i", "note", ["a"], {"text": "stamped"}]])
        unknown = server.http.post(f"/v1/projects/{project}/mutations", json={"call": "nothing", "args": {}})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_function")


def test_contracts_of_a_folder_are_there_at_the_start(tmp_path: Path) -> None:  # W21
    (tmp_path / "contracts").mkdir()
    with pytest.raises(NoContracts), Serving(tmp_path / "data", contracts=tmp_path / "contracts"):
        pass
    (tmp_path / "contracts" / "notes.schema.json").write_text(json.dumps(NOTES))
    with Serving(tmp_path / "data", contracts=tmp_path / "contracts") as server:
        made = server.http.post("/v1/projects", json={"name": "x", "contract": "notes"})
        assert (made.status_code, made.json()["contract"]) == (201, "notes")


def test_a_data_directory_serves_one_process_at_a_time(tmp_path: Path) -> None:  # W22
    with Serving(tmp_path / "data"):
        with pytest.raises(DirectoryInUse, match=f"{tmp_path}/data is in use"), Serving(tmp_path / "data"):
            pass


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:  # W22
    with Serving(tmp_path / "data") as server:
        project = server.project("kept")
        with server.open(project) as talk:
            talk.push("a", text="kept")
            assert talk.hear()["type"] == "commits"
    with Serving(tmp_path / "data") as server:
        with server.open(project, cursor=1, epoch=talk.welcome["epoch"]) as talk:
            assert talk.hear()["commits"][0]["changes"][0][2] == ["a"]


def test_at_the_end_everybody_hears_goodbye_and_when_to_come_back(tmp_path: Path) -> None:  # W9
    with Serving(tmp_path / "data") as server:
        project = server.project()
        with (
            server.open(project) as talk,
            server.http.stream(
                "GET", f"/v1/projects/{project}/commits", headers={"accept": "text/event-stream"}
            ) as stream,
        ):
            lines = stream.iter_lines()
            assert next(lines) == "id: 1"
            server._server.should_exit = True
            message = talk.hear()
            assert (message["code"], talk.closed()) == ("restart", 1012)
            assert 0 < message["retry_after"] < 60
            assert [line for line in lines if line.startswith("id")] == []


@pytest.mark.parametrize("change", [{"public": False}, {"name": "hidden"}])
def test_who_may_read_a_project_no_more_hears_no_more_of_it(tmp_path: Path, change: dict[str, Any]) -> None:  # P13
    with Locked(tmp_path, public=["show-*"] if "name" in change else []) as server:
        project = server.project("show-1")
        server.http.patch(f"/v1/projects/{project}", json={"public": "public" in change})
        events = httpx.stream(
            "GET", f"{server.url}/v1/projects/{project}/commits", headers={"accept": "text/event-stream"}
        )
        with anonymous(server, project) as talk, server.open(project) as owner, events as stream:
            lines = stream.iter_lines()
            assert next(lines) == "id: 1"
            server.http.patch(f"/v1/projects/{project}", json=change)
            assert (talk.hear()["code"], talk.closed()) == ("unauthenticated", 1008)
            owner.push("n1", text="a secret")
            assert owner.hear()["type"] == "commits"
            rest = list(lines)
            assert "data: unauthenticated" in rest and not any("secret" in line for line in rest)


@contextmanager
def anonymous(server: Locked, project: str) -> Iterator[Talk]:
    """A socket of nobody in particular, who has been let in."""
    with connect(server.address(project), compression=None) as socket:
        talk = Talk(socket)
        talk.say("hello", protocol=1, client=talk.client, cursor=None)
        assert talk.hear()["role"] == "reader"
        yield talk
