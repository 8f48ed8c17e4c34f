"""`sharelite cluster`: make the plan of a cell, look at a running one, change its members and its leader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..cluster.plan import Address, Plan, new_key, read_plan, text
from ..errors import ShareliteError
from ..storage.files import Files
from ..storage.lock import Lock
from ..storage.node import identity, renamed
from .projects import Server, asks, says_where

KEY_FILE = "cell.key"
COUNTS = (1, 3, 5)
NODE = re.compile(r"[A-Za-z0-9_-]{1,32}=\S+\Z")


class CannotPlan(ShareliteError):
    code = "cannot_plan"

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


@click.group()
@says_where
@click.pass_context
def cluster(context: click.Context, url: str, token: str | None) -> None:
    """Make a cell of three or five nodes, look at it, and change who belongs to it.

    \b
    Examples:
      sharelite cluster init plans --node a=10.0.0.1 --node b=10.0.0.2 --node c=10.0.0.3
      sharelite cluster init plans --data data --node a=10.0.0.1
      sharelite serve data --host 0.0.0.0 --keys keys.json --cluster plans/a.toml
      sharelite cluster add plans/a.toml d=10.0.0.4
      sharelite cluster --url http://10.0.0.1:8080 status
    """
    context.obj = context.with_resource(Server(url, token))


@cluster.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--node", "nodes", multiple=True, required=True, help="NAME=HOST of each node; 3 or 5, or 1 to begin with."
)
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A data directory to go on."
)
@click.option("--raft-port", default=7400, show_default=True)
@click.option("--peer-port", default=7500, show_default=True)
@click.option("--http-port", default=8080, show_default=True)
def init(
    folder: Path, nodes: tuple[str, ...], data: Path | None, raft_port: int, peer_port: int, http_port: int
) -> None:
    """Write the plan of a new cell into FOLDER: one file for each node, and the key that all of them share.

    Take NAME.toml and cell.key to each node. With --data a server that has been alone becomes the first node of a cell
    and keeps its projects, ids and addresses; give one --node then, and `cluster add` the others while it runs.
    """
    addresses = _planned(nodes, raft_port, peer_port, http_port)
    if data is not None and len(addresses) != 1:
        raise CannotPlan("--data makes the first node of a cell: give one --node, and add the others while it runs")
    for path in (folder / KEY_FILE, *(folder / f"{node}.toml" for node in addresses)):
        _free(path)
    name = new_key()[:32] if data is None else _first(data, next(iter(addresses)))
    _write(folder / KEY_FILE, new_key() + "\n", secret=True)
    for node in addresses:
        _write(folder / f"{node}.toml", text(Plan(name, node, b"", addresses), KEY_FILE))
        click.echo(f"sharelite serve DATA --cluster {folder / f'{node}.toml'}")


def _planned(nodes: tuple[str, ...], raft_port: int, peer_port: int, http_port: int) -> dict[str, Address]:
    """Raises CannotPlan."""
    named = [_named(node) for node in nodes]
    if len(dict(named)) != len(named):
        raise CannotPlan("two nodes have the same name")
    if len(named) not in COUNTS:
        raise CannotPlan(f"a cell begins with 3 or 5 nodes, or with 1 and more are added; {len(named)} are named")
    one_machine = len({host for _, host in named}) < len(named)
    addresses = {}
    for place, (name, host) in enumerate(named):
        shift = place if one_machine else 0
        addresses[name] = _address(host, raft_port + shift, peer_port + shift, http_port + shift)
    return addresses


def _first(data: Path, node: str) -> str:
    """Make a data directory that of a node; the name of its cell. Raises CannotPlan, Locked."""
    with Lock(data):
        if (data / "raft").exists():
            known = identity(Files(), data)
            raise CannotPlan(f"{data} is that of node {known.node} of a cell already; start it with its own plan")
        return renamed(Files(), data, node).cluster


@cluster.command()
@click.argument("plan", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("node")
@click.option("--raft-port", default=7400, show_default=True)
@click.option("--peer-port", default=7500, show_default=True)
@click.option("--http-port", default=8080, show_default=True)
def add(plan: Path, node: str, raft_port: int, peer_port: int, http_port: int) -> None:
    """Write the plan of one more NODE (NAME=HOST) beside the PLAN of another one of its cell.

    Start the new node with it: it fetches everything, and becomes a member as soon as it is level.
    """
    known = read_plan(plan)
    name, host = _named(node)
    if name in known.nodes:
        raise CannotPlan(f"there is a node {name} already; a new one needs a new name")
    addresses = {**known.nodes, name: _address(host, raft_port, peer_port, http_port)}
    made = Plan(known.cluster, name, b"", addresses, joins=True)
    _write(plan.parent / f"{name}.toml", text(made, KEY_FILE))
    click.echo(f"sharelite serve DATA --cluster {plan.parent / f'{name}.toml'}")


@cluster.command()
@click.option("--json", "as_json", is_flag=True, help="As the server tells it.")
@asks
def status(server: Server, as_json: bool) -> None:
    """Who belongs to the cell, who leads, and how far each of them is."""
    found = server.ask("GET", "/v1/cluster")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table("Node", "Role", "Connected", "Behind", "Url", box=None, header_style="bold")
    for each in found["nodes"]:
        behind = "?" if each["behind"] is None else f"{each['behind']:,}"
        table.add_row(each["node"], each["role"], "yes" if each["connected"] else "no", behind, each["url"])
    Console().print(table)
    for trouble in found["trouble"]:
        click.echo(trouble)


@cluster.command()
@click.argument("node")
@asks
def remove(server: Server, node: str) -> None:
    """Take a node out of the cell; stop it before or afterwards. Its data stays where it is."""
    server.ask("POST", "/v1/cluster", {"remove": node})


@cluster.command()
@click.argument("node", required=False)
@asks
def transfer(server: Server, node: str | None) -> None:
    """Have another NODE lead (none named: the one that is most level)."""
    answer: Any = server.ask("POST", "/v1/cluster", {"transfer": node})
    click.echo(answer["leader"])


@cluster.command()
@click.argument("project")
@click.argument("node")
@asks
def choose(server: Server, project: str, node: str) -> None:
    """Say that the copy of PROJECT (its id) on NODE counts, where no two nodes have the same.

    `/readyz` and `cluster status` name such projects, which no node serves. The other nodes fetch that copy; what they
    had stays beside it in their data directories, as `log.db.differed` and `data.db.differed`.
    """
    server.ask("POST", "/v1/cluster", {"choose": {"project": project, "node": node}})


def _named(node: str) -> tuple[str, str]:
    """Raises CannotPlan."""
    if not NODE.match(node):
        raise CannotPlan(f"--node {node}: needs NAME=HOST, the name of letters, digits, - and _")
    name, _, host = node.partition("=")
    return name, f"[{host}]" if ":" in host and not host.startswith("[") else host


def _address(host: str, raft: int, peer: int, http: int) -> Address:
    return Address(f"{host}:{raft}", f"{host}:{peer}", f"http://{host}:{http}")


def _write(path: Path, content: str, secret: bool = False) -> None:
    """A file that must not be there yet: another key, or another plan, would be lost. Raises CannotPlan."""
    _free(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600 if secret else 0o644, exist_ok=False)
    path.write_text(content)


def _free(path: Path) -> None:
    """Raises CannotPlan."""
    if path.exists():
        raise CannotPlan(f"{path} is there already; choose another folder, or remove it")
