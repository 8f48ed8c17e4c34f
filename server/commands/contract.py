"""`sharelite contract`: check the contracts of a repository, exchange them with a server, bring projects along."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
import httpx

from ..errors import ContractInvalid
from ..schema.bundle import SUFFIX, read
from ..schema.contract import Contract
from ..schema.steps import Upgrade, plan
from ..schema.typescript import types as typescript

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TIMEOUT = httpx.Timeout(10.0, read=600.0)


@click.group()
def contract() -> None:
    """Contracts: JSON Schema files that say what projects hold."""


@contract.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
def check(files: tuple[Path, ...]) -> None:
    """Say what is wrong with contract files, or which tables they make."""
    wrong = 0
    for file in files:
        try:
            found = read(file)
        except ContractInvalid as invalid:
            click.echo(str(invalid), err=True)
            wrong += 1
            continue
        click.echo(f"{file}: {found.hash}")
        for table in found.tables.values():
            kind = "single row" if table.singleton else f"key {', '.join(table.key)}"
            click.echo(f"  {table.name}: {len(table.columns)} columns, {kind}")
        for notice in found.notices:
            click.echo(f"  note: {notice}")
    if wrong:
        raise click.exceptions.Exit(1)


def with_server(command: Command) -> Command:
    """The options of everything that talks to a server."""
    command = click.option("--token", envvar="SHARELITE_TOKEN", help="A token (or SHARELITE_TOKEN).")(command)
    return click.option(
        "--server",
        envvar="SHARELITE_SERVER",
        default="http://127.0.0.1:8080",
        show_default=True,
        help="The server (or SHARELITE_SERVER).",
    )(command)


@contract.command()
@click.argument("file", type=FILE)
@click.option("--name", help="Its name there; the file's name if not given.")
@with_server
def push(file: Path, name: str | None, server: str, token: str | None) -> None:
    """Store a contract on a server. Projects that follow it are upgraded where nothing is lost."""
    found = parsed(file)
    answer = ask(server, token, "PUT", f"/v1/contracts/{quote(name or found.name, safe='')}", found.document)
    click.echo(f"{answer['name']}: version {answer['version']}, {answer['hash']}")


@contract.command()
@click.argument("name")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help=f"Default: NAME{SUFFIX}.")
@with_server
def pull(name: str, output: Path | None, server: str, token: str | None) -> None:
    """Write a server's contract to a file, as one document."""
    answer = ask(server, token, "GET", f"/v1/contracts/{quote(name, safe='')}")
    target = output or Path(f"{Path(name).name}{SUFFIX}")
    target.write_text(json.dumps(answer["document"], indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    click.echo(f"{target}: {name} version {answer['version']}")


@contract.command()
@click.argument("old", type=FILE)
@click.argument("new", required=False, type=FILE)
@click.option("--name", help="Compare with this contract of the server; the file's name if not given.")
@with_server
def diff(old: Path, new: Path | None, name: str | None, server: str, token: str | None) -> None:
    """Show what an upgrade would do: from OLD to NEW, or from the server's version to the file."""
    if new is not None:
        show(plan(parsed(old), parsed(new)))
        return
    mine = parsed(old)
    answer = ask(server, token, "GET", f"/v1/contracts/{quote(name or mine.name, safe='')}")
    show(plan(Contract.parse(answer["document"]), mine))


@contract.command()
@click.argument("name")
@click.option("--project", "projects", multiple=True, help="Only the project with this id; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Every project that follows the contract.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--allow-destructive", is_flag=True, help="Also where something is lost.")
@with_server
def migrate(
    name: str, projects: tuple[str, ...], everything: bool, dry_run: bool, allow_destructive: bool,
    server: str, token: str | None,
) -> None:  # fmt: skip
    """Bring projects to the newest version of their contract."""
    if bool(projects) == everything:
        raise click.UsageError("say which projects: --project ID (repeated), or --all")
    wanted = {
        "projects": "all" if everything else list(projects),
        "dry_run": dry_run,
        "allow_destructive": allow_destructive,
    }
    answer = ask(server, token, "POST", f"/v1/contracts/{quote(name, safe='')}/migrate", wanted)
    for project in answer["projects"]:
        _show_project(project, dry_run)
    if any(project.get("problem") for project in answer["projects"]):
        raise click.exceptions.Exit(1)


def _show_project(project: dict[str, Any], dry_run: bool) -> None:
    problem = project.get("problem")
    done = "not done" if problem else "would be" if dry_run else "done"
    click.echo(f"{project['name']} ({project['id']}): {project['kind']}, {done}")
    for line in [*project["reasons"], *([problem] if problem else [])]:
        click.echo(f"  {line}")
    for step in project["steps"]:
        click.echo(f"  {step};")


@contract.command()
@click.argument("file", type=FILE)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Default: to the screen.")
def types(file: Path, output: Path | None) -> None:
    """Write TypeScript types of the trees that a contract describes."""
    text = typescript(parsed(file))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def parsed(file: Path) -> Contract:
    try:
        return read(file)
    except ContractInvalid as invalid:
        raise click.ClickException(str(invalid)) from None


def show(upgrade: Upgrade) -> None:
    click.echo(upgrade.kind)
    for reason in upgrade.reasons:
        click.echo(f"  {reason}")
    for name in upgrade.tightened:
        click.echo(f"  the rows of {name} must fit the new contract")
    for step in upgrade.steps:
        click.echo(f"  {step};")


def ask(server: str, token: str | None, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """A server's answer; what went wrong is told in its own words."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.request(method, server.rstrip("/") + path, json=body, headers=headers, timeout=TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise click.ClickException(f"{server} does not answer: {problem}") from None
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise click.ClickException(f"{server} answered {answer.status_code} and no JSON; is it a Sharelite server?")
    if answer.is_error:
        error = told.get("error", {})
        places = [f"  {fault.get('pointer', '')}: {fault['message']}" for fault in error.get("errors", [])]
        raise click.ClickException("\n".join([error.get("message", f"status {answer.status_code}"), *places]))
    return told
