"""`sharelite serve`: a server on a data directory."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.markup import escape

from .. import logs
from ..app import InCell, Sharelite, create_app
from ..cluster.plan import Plan, read_plan
from ..cluster.port import Member, Port
from ..config import Limits
from ..errors import ShareliteError
from ..memory import few_arenas
from ..storage.node import Node
from .listening import Server, configured

logger = logging.getLogger(__name__)
SWITCH_SECONDS = 0.0005
MOST_FILES = 65_536
USUAL = Limits()
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class CannotServe(ShareliteError):
    code = "cannot_serve"

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


class NodeEnded(ShareliteError):
    """A node of a cell that cannot trust or write its files ends; the others go on without it."""

    code = "node_ended"

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return f"this node of the cell has ended: {self.why}"


PORT = click.IntRange(0, 65535)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, file_okay=False))
@click.option("--port", default=8080, show_default=True, type=PORT, help="0: any free one; the address is printed.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--contracts",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of *.schema.json: the newest versions of the contracts of these names.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A key file (see `sharelite token --help`): who comes needs a token.",
)
@click.option("--origin", "origins", multiple=True, help="Another site whose pages may call, e.g. https://app.example.")
@click.option("--name", "names", multiple=True, help="A host name this server goes by; others are turned away.")
@click.option("--public", multiple=True, help="A pattern of projects that everybody may read, e.g. 'demo-*'.")
@click.option(
    "--cluster",
    "plan",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="SHARELITE_CLUSTER",
    show_envvar=True,
    help="The plan of the cell that this is a node of (see `sharelite cluster --help`).",
)
@click.option(
    "--open-projects",
    default=USUAL.open_projects,
    show_default=True,
    type=click.IntRange(1),
    help="Projects that are open at once, with nine files each; idle ones make room.",
)
@click.option(
    "--idle-seconds",
    default=USUAL.idle_seconds,
    show_default=True,
    type=click.FloatRange(0.1),
    help="A project that nobody has used for so long is closed.",
)
@click.option("--log", "form", type=click.Choice(["rich", "json"]), help="Default: rich at a terminal, else json.")
@click.option("--log-level", default="INFO", type=click.Choice(LEVELS), show_default=True)
def serve(
    data: Path,
    port: int,
    host: str,
    contracts: Path | None,
    keys: Path | None,
    origins: tuple[str, ...],
    names: tuple[str, ...],
    public: tuple[str, ...],
    plan: Path | None,
    open_projects: int,
    idle_seconds: float,
    form: logs.Form | None,
    log_level: str,
) -> None:
    """Serve the data directory DATA, which is made if it is not there.

    Without --keys everybody who reaches the server owns everything, so it listens on this machine only.

    \b
    Examples:
      sharelite serve data
      sharelite serve data --port 0 --contracts contracts
      sharelite serve data --cluster plans/a.toml
      sharelite serve data --host 0.0.0.0 --keys keys.json --origin https://app.example
    """
    if keys is None and not is_loopback(host):
        raise CannotServe(f"--host {host} can be reached by others, so it needs --keys; see `sharelite token --help`")
    logs.set_up(form or ("rich" if sys.stderr.isatty() else "json"), log_level)
    cell = None if plan is None else InCell(read_plan(plan), raft_port)
    limits = Limits(open_projects=open_projects, idle_seconds=idle_seconds)
    app = create_app(
        data,
        contracts=contracts,
        keys=keys,
        origins=origins,
        hosts=names or None,
        public=public,
        limits=limits,
        cell=cell,
    )
    run(app, host, port, "" if keys else "no keys: whoever can reach this address owns every project")


def raft_port(plan: Plan, node: Node, data: Path, joins: bool) -> Port:
    """This node's end of the replicated log: a Raft process of its own. Raises SetupInvalid."""
    from ..cluster.raft.handle import Handle
    from ..cluster.raft.setup import Setup

    members = {name: Member(name, 1, address.raft) for name, address in plan.nodes.items()}
    me = Member(node.node, node.incarnation, plan.me.raft)
    founders = () if joins else tuple(members.values())
    return Handle(Setup(data / "raft", plan.cluster, me, founders, plan.key))


def run(app: Sharelite, host: str, port: int, note: str = "") -> None:
    """Serve until a signal comes. Raises what stands in the way, as one sentence."""
    listener = bound(host, port)
    address = f"http://{'[' + host + ']' if ':' in host else host}:{listener.getsockname()[1]}"

    def ready() -> None:
        out = Console(stderr=True, highlight=False, soft_wrap=True)
        out.print(f"Sharelite serves [bold]{escape(str(app.settings.data))}[/] at [bold]{address}[/]")
        if note:
            out.print(note, style="dim")
        logger.info("ready", extra={"address": address})

    tune()
    with trouble_told(app.settings.data), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, listener, ready))


def tune() -> None:
    """Settings of the whole process, so only for one that is ours.

    The loop and the workers take turns with the interpreter. With the usual 5 ms a sequential commit could wait that
    long for each of its turns (measured beside a busy thread: 26 ms a commit, with 0.5 ms 5.5 ms).
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    few_arenas()
    open_many_files()
    gc.collect()
    gc.freeze()


def open_many_files() -> None:
    """Allow this process as many files as it may allow itself.

    An open project has nine, a socket one; the usual 1,024 were used up by 111 projects (measured).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as problem:  # macOS has a second limit, which nothing tells
            logger.warning("at most %d open files: %s", soft, problem)


async def _serve(app: Sharelite, listener: socket.socket, ready: Callable[[], None]) -> None:
    """The life of the data directory is around that of the listener, so that its errors are ours to tell.

    Raises NodeEnded where a node of a cell could not go on.
    """
    why: list[str] = []
    task = asyncio.current_task()
    server = Server(configured(app, lifespan="off"), ready, app.farewell)

    def ended(reason: str) -> None:
        why.append(reason)
        server.should_exit = True
        if not server.started and task is not None:
            task.cancel()

    app.ended = ended
    try:
        async with app.running():
            await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        if not why:
            raise
    if why:
        raise NodeEnded(why[0])


def bound(host: str, port: int) -> socket.socket:
    """A listening socket, before anything else is begun. Raises CannotServe."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        why = os.strerror(problem.errno) if problem.errno else str(problem)
        raise CannotServe(f"cannot listen at {host} port {port}: {why}; another --port may be free (0: any)") from None
    listener.set_inheritable(True)
    return listener


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def trouble_told(data: Path) -> Iterator[None]:
    """What the operating system refuses, as a sentence about the data directory."""
    try:
        yield
    except OSError as problem:
        raise CannotServe(f"{problem.filename or data}: {problem.strerror or problem}") from problem
    except KeyboardInterrupt:
        pass
