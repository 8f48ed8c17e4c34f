"""`sharelite projects`: the projects of a running server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx
from rich.console import Console
from rich.table import Table

from ..errors import ShareliteError

ADDRESS = "http://127.0.0.1:8080"


class Remote(ShareliteError):
    """What a server answered, or that it did not."""

    code = "remote"

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


class CannotImport(ShareliteError):
    """A file that is not what it was said to be, or not for this."""

    code = "cannot_import"

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


class Download(NamedTuple):
    """An answer on its way."""

    headers: Mapping[str, str]
    pieces: Callable[[], Iterator[bytes]]


class Server:
    """A running server, by HTTP."""

    def __init__(self, url: str, token: str | None) -> None:
        """Raises Remote where this is no address."""
        self.url, self.token = url, token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if not url.startswith(("http://", "https://")):
            raise Remote(f"--url {url}: not the address of a server; write one like {ADDRESS}")
        try:
            self._client = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=60.0)
        except (httpx.InvalidURL, ValueError) as problem:
            raise Remote(f"--url {url}: not the address of a server: {problem}") from None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises Remote."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as problem:
            raise Remote(f"{self._client.base_url}: {problem}; is it running? see `sharelite serve --help`") from None
        if answer.is_error:
            raise Remote(_told(answer))
        return answer.json() if answer.content else None

    def put(self, path: str, content: bytes) -> Any:
        """Send bytes; the answer's JSON. Raises Remote."""
        try:
            answer = self._client.put(path, content=content, headers={"content-type": "application/octet-stream"})
        except httpx.HTTPError as problem:
            raise Remote(f"{self._client.base_url}: {problem}") from None
        if answer.is_error:
            raise Remote(_told(answer))
        return answer.json()

    def push(self, project: str, body: dict[str, Any], tries: int, wait: float) -> tuple[int, dict[str, Any]]:
        """A mutation with an id, sent again until it is answered: status and answer. Raises Remote."""
        for attempt in range(tries + 1):
            try:
                answer = self._client.post(f"/v1/projects/{project}/mutations", json=body)
            except httpx.HTTPError as problem:
                told = f"{self._client.base_url}: {problem}"
            else:
                if answer.status_code not in (429, 503):
                    return answer.status_code, answer.json()
                told = _told(answer)
            time.sleep(wait * (attempt + 1) if attempt < tries else 0)
        raise Remote(told)

    def sql(self, project: str, statement: str) -> tuple[int, dict[str, Any]]:
        """One statement: status and answer. Raises Remote."""
        try:
            answer = self._client.post(f"/v1/projects/{project}/sql", json={"statements": [statement]})
        except httpx.HTTPError as problem:
            raise Remote(f"{self._client.base_url}: {problem}") from None
        return answer.status_code, answer.json()

    @contextmanager
    def stream(self, path: str) -> Iterator[Download]:
        """An answer that comes in pieces. Raises Remote, also where it breaks off."""
        try:
            with self._client.stream("GET", path, timeout=600.0) as answer:
                if answer.is_error:
                    answer.read()
                    raise Remote(_told(answer))
                yield Download(answer.headers, answer.iter_bytes)
        except httpx.HTTPError as problem:
            raise Remote(f"{self._client.base_url}: {problem or type(problem).__name__}") from None

    def project(self, name: str) -> dict[str, Any]:
        """The project of this id or name. Raises Remote."""
        projects: list[dict[str, Any]] = self.ask("GET", "/v1/projects")["projects"]
        for project in projects:
            if name in (project["id"], project["name"]):
                return project
        raise Remote(f"there is no project {name!r}; `sharelite projects list` shows those there are")


def _told(answer: httpx.Response) -> str:
    try:
        error = answer.json()["error"]
        places = [f"\n  {fault.get('pointer') or '/'}: {fault['message']}" for fault in error["errors"]]
        return f"{error['message']}{''.join(places)}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url}: status {answer.status_code}, and nothing that explains it"


def says_where(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--url` and `--token`, which a command is given."""
    url = click.option(
        "--url",
        "--server",
        "url",
        default=ADDRESS,
        envvar="SHARELITE_URL",
        show_default=True,
        show_envvar=True,
        help="The server to ask.",
    )
    token = click.option(
        "--token", envvar="SHARELITE_TOKEN", show_envvar=True, help="Better in the environment than here."
    )
    return url(token(command))


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """A command of a group that is given the Server, which may be named behind its word as well as before it."""
    url = click.option("--url", "--server", "url", expose_value=False, callback=_another, help="The server to ask.")
    token = click.option("--token", expose_value=False, callback=_another, help="Better in SHARELITE_TOKEN than here.")
    return url(token(click.pass_obj(command)))


def _another(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        before: Server = context.obj
        url, token = (value, before.token) if option.name == "url" else (before.url, value)
        context.obj = context.with_resource(Server(url, token))


@click.group()
@says_where
@click.pass_context
def projects(context: click.Context, url: str, token: str | None) -> None:
    """List, make, rename and delete projects of a running server.

    \b
    Examples:
      sharelite projects list
      sharelite projects create plan --contract todo
      sharelite projects create plan --contract contracts/todo.schema.json
      sharelite projects create shop
      sharelite projects delete plan
    """
    context.obj = context.with_resource(Server(url, token))


@projects.command("list")
@click.option("--json", "as_json", is_flag=True, help="As the server tells it.")
@asks
def list_(server: Server, as_json: bool) -> None:
    """The projects that you may read."""
    found = server.ask("GET", "/v1/projects")["projects"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table("Name", "Version", "KiB", "Online", "Contract", "Id", box=None, header_style="bold")
    for each in found:
        size = "?" if each["size"] is None else f"{each['size'] // 1024:,}"
        version = each["problem"] or str(each["version"])
        table.add_row(each["name"], version, size, str(each["connections"]), each["contract"] or "", each["id"])
    Console().print(table)


@projects.command()
@click.argument("name")
@click.option("--contract", help="The name of a contract that the server has, or a file; without one SQL makes tables.")
@click.option("--public", is_flag=True, help="Everybody may read it.")
@asks
def create(server: Server, name: str, contract: str | None, public: bool) -> None:
    """Make a project and print its id."""
    wanted: dict[str, Any] = {"name": name, "public": public}
    if contract is not None:
        wanted["contract"] = contract
    if contract is not None and contract.endswith(".json"):
        from ..schema.bundle import load

        wanted["contract"] = load(Path(contract))
    made = server.ask("POST", "/v1/projects", wanted)
    click.echo(made["id"])


@projects.command()
@click.argument("project")
@click.argument("name")
@asks
def rename(server: Server, project: str, name: str) -> None:
    """Give a project (id or name) another name."""
    server.ask("PATCH", f"/v1/projects/{server.project(project)['id']}", {"name": name})


@projects.command()
@click.argument("project")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks
def delete(server: Server, project: str, yes: bool) -> None:
    """Delete a project (id or name) with its whole history."""
    found = server.project(project)
    if not yes:
        click.confirm(f"Delete {found['name']!r} at version {found['version']}, with its history?", abort=True)
    server.ask("DELETE", f"/v1/projects/{found['id']}")
