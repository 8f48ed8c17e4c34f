"""`sharelite contract`: check the contracts of a repository, exchange them with a server, bring projects along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from ..errors import ContractInvalid
from ..schema.bundle import SUFFIX, read
from ..schema.contract import Contract
from ..schema.steps import Upgrade, plan
from ..schema.typescript import types as typescript
from .projects import Server, asks, says_where

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
@says_where
@click.pass_context
def contract(context: click.Context, url: str, token: str | None) -> None:
    """Check the contracts of a repository, exchange them with a server, bring projects along.

    \b
    Examples:
      sharelite contract check contracts/*.schema.json
      sharelite contract types contracts/todo.schema.json -o src/todo.ts
      sharelite contract infer places.db -o contracts/places.schema.json
      sharelite contract push contracts/todo.schema.json
      sharelite contract diff contracts/todo.schema.json
      sharelite contract migrate todo --all --dry-run
    """
    context.obj = context.with_resource(Server(url, token))


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


@contract.command()
@click.argument("file", type=FILE)
@click.option("--name", help="Its name there; the file's name if not given.")
@asks
def push(server: Server, file: Path, name: str | None) -> None:
    """Store a contract on a server. Projects that follow it are upgraded where nothing is lost."""
    found = read(file)
    answer = server.ask("PUT", f"/v1/contracts/{quote(name or found.name, safe='')}", found.document)
    click.echo(f"{answer['name']}: version {answer['version']}, {answer['hash']}")


@contract.command()
@click.argument("name")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help=f"Default: NAME{SUFFIX}.")
@asks
def pull(server: Server, name: str, output: Path | None) -> None:
    """Write a server's contract to a file, as one document."""
    answer = server.ask("GET", f"/v1/contracts/{quote(name, safe='')}")
    target = output or Path(f"{Path(name).name}{SUFFIX}")
    target.write_text(json.dumps(answer["document"], indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    click.echo(f"{target}: {name} version {answer['version']}")


@contract.command()
@click.argument("old", type=FILE)
@click.argument("new", required=False, type=FILE)
@click.option("--name", help="Compare with this contract of the server; the file's name if not given.")
@asks
def diff(server: Server, old: Path, new: Path | None, name: str | None) -> None:
    """Show what an upgrade would do: from OLD to NEW, or from the server's version to the file."""
    if new is not None:
        show(plan(read(old), read(new)))
        return
    mine = read(old)
    answer = server.ask("GET", f"/v1/contracts/{quote(name or mine.name, safe='')}")
    show(plan(Contract.parse(answer["document"]), mine))


@contract.command()
@click.argument("name")
@click.option("--project", "projects", multiple=True, help="Only the project with this id; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Every project that follows the contract.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--allow-destructive", is_flag=True, help="Also where something is lost.")
@asks
def migrate(
    server: Server, name: str, projects: tuple[str, ...], everything: bool, dry_run: bool, allow_destructive: bool
) -> None:
    """Bring projects to the newest version of their contract."""
    if bool(projects) == everything:
        raise click.UsageError("say which projects: --project ID (repeated), or --all")
    wanted = {
        "projects": "all" if everything else list(projects),
        "dry_run": dry_run,
        "allow_destructive": allow_destructive,
    }
    answer = server.ask("POST", f"/v1/contracts/{quote(name, safe='')}/migrate", wanted)
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
def infer(file: Path, output: Path | None) -> None:
    """Make a contract that a SQLite file fits: what `sharelite import` would give it. What would not come along is
    told beside it."""
    from ..transfer.process import inferred

    found = inferred(file)
    text = json.dumps(found["contract"], indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
    for each in found["left"]:
        click.echo(f"{each['kind']} {each['name']}: {each['reason']}", err=True)


@contract.command()
@click.argument("file", type=FILE)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Default: to the screen.")
def types(file: Path, output: Path | None) -> None:
    """Write TypeScript types of the trees that a contract describes."""
    text = typescript(read(file))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def show(upgrade: Upgrade) -> None:
    click.echo(upgrade.kind)
    for reason in upgrade.reasons:
        click.echo(f"  {reason}")
    for name in upgrade.tightened:
        click.echo(f"  the rows of {name} must fit the new contract")
    for step in upgrade.steps:
        click.echo(f"  {step};")
