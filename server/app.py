"""Builds a server out of its rooms: the only place that does.

`create_app` gives an ASGI application. Alone it runs under any ASGI server; inside another application it is mounted,
and that application's lifespan has to enter `app.running()`, because ASGI tells only the outermost about its start:

    sharelite = create_app("data", authenticate=mine)
    app = FastAPI(lifespan=lambda app: sharelite.running())
    app.mount("/sharelite", sharelite)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from . import inside
from .auth import Authenticate, Gate, local
from .catalog import Catalog
from .cellnode import CellNode
from .cluster.alone import Alone
from .cluster.cell import Cell
from .cluster.links import Links
from .cluster.plan import Plan
from .cluster.port import Port
from .config import LOOPBACK_HOSTS, ImagePolicy, Limits, Settings
from .curator import Curator
from .errors import NotFound, ShareliteError, Unavailable
from .introduction import introduced
from .metrics import Metrics
from .model import Commit, Result, Statement
from .project import Workers
from .records import NodeRecord
from .routes import cell, commits, contracts, exports, faults, images, imports, pages, projects, sql
from .routes.away import Away, answers
from .routes.guard import Guard
from .routes.house import House
from .routes.swift import Swift
from .schema.bundle import SUFFIX, read
from .schema.contract import Contract
from .sockets.hall import Hall
from .sockets.halls import OtherHalls
from .storage.darkroom import Darkroom
from .storage.files import Files
from .storage.images import Gallery
from .storage.lock import Lock
from .storage.node import Node, identity
from .storage.signatures import Signer, signer
from .sync.actions import TRY_LATER
from .tokens import load_keys
from .transfer.exports import Exports
from .transfer.imports import Imports

if TYPE_CHECKING:
    from .sync.statements import Function

logger = logging.getLogger(__name__)
#: Threads for the turns of projects and for readers; what they do is mostly waiting for the disk.
TURN_THREADS = 8
CELL_TURN_THREADS = 64
READ_THREADS = 8


def create_app(
    data: str | Path,
    *,
    contracts: str | Path | None = None,
    authenticate: Authenticate | None = None,
    keys: str | Path | None = None,
    origins: Iterable[str] = (),
    hosts: Iterable[str] | None = None,
    public: Iterable[str] = (),
    limits: Limits | None = None,
    images: ImagePolicy | None = None,
    cell: InCell | None = None,
) -> Sharelite:
    """A server on a data directory.

    Who may do what comes from `keys` (a key file for tokens) or `authenticate` (one's own login: the bearer token or
    None, and the request, to an `Identity` or None); without either everybody is the owner, so such a server answers
    to the names of the loopback address only. `origins`: other sites whose pages may call; `hosts`: names that this
    server goes by (default: any, with a login); `public`: patterns of projects that everybody may read; `cell`: this
    is a node of one; `images`: when images are published, and how long they stay. Raises KeysInvalid.
    """
    if authenticate is None:
        authenticate = load_keys(Path(keys)) if keys is not None else local
    if hosts is None and authenticate is local:
        hosts = LOOPBACK_HOSTS
    settings = Settings(
        data=Path(data),
        contracts=None if contracts is None else Path(contracts),
        origins=frozenset(origin.rstrip("/") for origin in origins),
        hosts=None if hosts is None else frozenset(host.lower() for host in hosts),
        public=tuple(public),
        limits=limits or Limits(),
        images=images or ImagePolicy(),
    )
    return Sharelite(settings, authenticate, cell)


class InCell(Struct, frozen=True):
    """The plan of the cell that a server is a node of, and what opens its end of the replicated log (the last argument:
    it joins a cell that is there already)."""

    plan: Plan
    port: Callable[[Plan, Node, Path, bool], Port]


class NoContracts(ShareliteError):
    """A folder that was named for its contracts and has none is a mistake in the name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return f"{self.folder}: there is no file *{SUFFIX} in it"


def contract_files(folder: Path) -> list[Path]:
    """The contracts of a folder; what they refer to may lie in folders below. Raises NoContracts."""
    found = sorted(folder.glob(f"*{SUFFIX}"))
    if not found:
        raise NoContracts(folder)
    return found


class Sharelite(Starlette):
    """The application. `running` is its life: everything between opening the data directory and closing it."""

    def __init__(self, settings: Settings, authenticate: Authenticate, cell: InCell | None = None) -> None:
        self.settings, self.metrics = settings, Metrics()
        self._cell = cell
        #: Called with a reason when this node of a cell has to end; the process that runs it decides how.
        self.ended: Callable[[str], None] = lambda why: logger.critical("this node has to end: %s", why)
        self._gate = Gate(authenticate, settings.public)
        self._functions: dict[str, Function] = {}
        super().__init__(
            routes=self._routes(),
            middleware=[Middleware(Guard, settings=settings, metrics=self.metrics), Middleware(Away)],
            exception_handlers={ShareliteError: faults.on_error, HTTPException: faults.on_http_error},
            lifespan=lambda app: self.running(),
        )
        self.state.house = None
        self.swift = Swift(settings, self.metrics, lambda: self.state.house)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not await self.swift.answer(scope, receive, send):
            await super().__call__(scope, receive, send)

    def function(self, name: str) -> Callable[[Function], Function]:
        """Register a server function, before the start: `call` mutations run it inside the rehearsal."""

        def register(function: Function) -> Function:
            if name in self._functions:
                raise ValueError(f"there is a server function {name!r} already")
            self._functions[name] = function
            return function

        return register

    def feed(self, project: str, after: int | None = None) -> AsyncGenerator[Commit]:
        """Follow a project, by name or id: `async for commit in app.feed("Plan A", after=41)`. Every commit after a
        version, or from now on, without end, on the event loop of the server. Raises NotFound, CursorGone."""
        return inside.follow(self._house_now(), project, after)

    async def sql(
        self, project: str, *statements: str | Statement, user: str = "application", tag: str | None = None
    ) -> tuple[int, tuple[Result, ...]]:
        """Run SQL on a project, by name or id, as one mutation or one read, on the event loop of the server.

        The version and what each statement gave. Raises NotFound, NotJudged, and `statements.Judged` with the code
        and the places of a refusal.
        """
        run = [Statement(each) if isinstance(each, str) else each for each in statements]
        return await inside.run(self._house_now().catalog, project, tuple(run), user, tag)

    def _house_now(self) -> House:
        house: House | None = self.state.house
        if house is None:
            raise Unavailable("the server does not run")
        return house

    def running(self) -> AbstractAsyncContextManager[None]:
        """Open the data directory, serve, close it again. Raises DirectoryInUse, OSError, ContractInvalid."""
        return self._running()

    async def farewell(self) -> None:
        """Say goodbye to every websocket, and end the answers that would go on for ever."""
        house: House | None = self.state.house
        if house is not None:
            house.stop()
            await house.desks.stop()
            await house.transactions.close()
            await house.hall.stop()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        data, cell = self.settings.data, self._cell
        with Lock(data), _pools(cell is not None) as workers, closing(Darkroom(data / "chunks")) as darkroom:
            gallery = Gallery(Files(in_cell=cell is not None), data, darkroom)
            living = self._alone(workers, gallery) if cell is None else self._in_cell(cell, workers, gallery)
            async with living as house:
                async with self._carrying(house, workers), self._curating(house, workers):
                    house.hall.start()
                    self.state.house = house
                    try:
                        yield
                    finally:
                        await self.farewell()
                        self.state.house = None

    @asynccontextmanager
    async def _carrying(self, house: House, workers: Workers) -> AsyncIterator[None]:
        """What carries files in and out; its work ends before the catalog is closed."""
        files, data = Files(), self.settings.data
        house.imports = Imports(house.catalog, files, data, workers, self.settings.limits)
        house.exports = Exports(files, data)
        for start in (house.imports.start, house.exports.start):
            await asyncio.get_running_loop().run_in_executor(workers.reads, start)
        try:
            yield
        finally:
            await house.imports.close()
            await house.exports.close()

    @asynccontextmanager
    async def _curating(self, house: House, workers: Workers) -> AsyncIterator[None]:
        curator = Curator(house.catalog, self.settings.images, workers.reads)
        curator.start()
        try:
            yield
        finally:
            await curator.close()

    @asynccontextmanager
    async def _alone(self, workers: Workers, gallery: Gallery) -> AsyncIterator[House]:
        files = Files()
        logger.info("node", extra={"node": identity(files, self.settings.data).node})
        data, limits = self.settings.data, self.settings.limits
        catalog = Catalog(files, data, workers, Alone(), self._functions, gallery, limits=limits)
        try:
            await catalog.start()
            await self._put_contracts(catalog, self._contracts())
            yield self._house(catalog, signer(files, self.settings.data))
        finally:
            await catalog.close()

    @asynccontextmanager
    async def _in_cell(self, within: InCell, workers: Workers, gallery: Gallery) -> AsyncIterator[House]:
        """A node of a cell. Leadership is handed over before anything is closed."""
        contracts = self._contracts()
        files, data = Files(in_cell=True), self.settings.data
        known = identity(files, data, within.plan.cluster, within.plan.node)
        logger.info("node", extra={"node": known.node, "incarnation": known.incarnation})
        plan = within.plan
        links = Links(plan.key, plan.cluster, known.node)
        try:
            await links.listen(plan.me.peer)
            links.know({name: address.peer for name, address in plan.nodes.items()})
            known, joins = await introduced(plan, known, files, data, links)
        except BaseException:
            await links.close()
            raise
        me = NodeRecord(known.node, known.incarnation, plan.me.raft, plan.me.peer, plan.me.url)
        cell = Cell(within.port(plan, known, data, joins))
        node = CellNode(plan, cell, links, files, data, self._end)
        limits = self.settings.limits
        catalog = Catalog(files, data, workers, cell, self._functions, gallery, cell, node.forwarding, limits=limits)
        links.answer("http", answers(self, self, lambda: cell.answered))
        node.led = lambda: self._put_contracts(catalog, contracts)
        try:
            await node.start(catalog, me if joins else None)
            node.run(node.register(me))
            house = self._house(catalog, Signer.of(plan.key), node)
            node.following.altered = house.hall.review
            node.accord.dismissed = house.dismiss
            node.following.gone = lambda project: house.hall.dismiss(project, NotFound("project", project))
            yield house
        finally:
            await node.hand_over()
            await node.following.close()
            await node.accord.close()
            await catalog.close()
            await node.close()

    def _house(self, catalog: Catalog, keys: Signer, node: CellNode | None = None) -> House:
        halls = None if node is None else OtherHalls(node.links)
        hall = Hall(catalog, self._gate, self.settings, self.metrics, keys, halls)
        if halls is not None:
            halls.hall = hall
        house = House(catalog, self._gate, hall, self.settings, self.metrics, keys, node)
        catalog.when_stopped(house.stopped)
        return house

    def _end(self, why: str) -> None:
        self.ended(why)

    def _contracts(self) -> list[Contract]:
        """Those of a repository. Raises NoContracts, ContractInvalid."""
        folder = self.settings.contracts
        return [] if folder is None else [read(path) for path in contract_files(folder)]

    async def _put_contracts(self, catalog: Catalog, contracts: Iterable[Contract]) -> None:
        """As the newest versions of their names."""
        for contract in contracts:
            record = await catalog.put_contract(contract.name, contract.document, "contracts")
            logger.info("contract", extra={"contract": record.name, "version": record.version})

    def _routes(self) -> list[BaseRoute]:
        project = "/v1/projects/{project}"
        return [
            # Routes are tried in order, and nothing is asked for as often as images.
            Route("/v1/images/{project}/{file}", images.ImageFile(), methods=["GET"]),
            Route("/v1/projects", projects.listed, methods=["GET"]),
            Route("/v1/projects", projects.create, methods=["POST"]),
            Route(project, projects.look, methods=["GET"]),
            Route(project, projects.alter, methods=["PATCH"]),
            Route(project, projects.delete, methods=["DELETE"]),
            Route(project + "/db", images.Database(), methods=["GET"]),
            Route(project + "/image", images.newest, methods=["GET"]),
            Route(project + "/pages", images.pages, methods=["GET"]),
            Route(project + "/commits", commits.commits, methods=["GET"]),
            Route(project + "/mutations", projects.mutate, methods=["POST"]),
            Route(project + "/contract", projects.contract, methods=["GET"]),
            Route(project + "/sql", sql.run, methods=["POST"]),
            WebSocketRoute(project + "/sql", self._desk),
            Route(project + "/transactions", sql.begin, methods=["POST"]),
            Route(project + "/transactions/{transaction}", sql.rollback, methods=["DELETE"]),
            Route(project + "/transactions/{transaction}/sql", sql.run_in, methods=["POST"]),
            Route(project + "/transactions/{transaction}/commit", sql.commit, methods=["POST"]),
            Route(project + "/export", exports.export, methods=["GET"]),
            WebSocketRoute(project + "/live", self._live),
            Route("/v1/imports", imports.listed, methods=["GET"]),
            Route("/v1/imports", imports.begin, methods=["POST"]),
            Route("/v1/imports/{import_id}", imports.look, methods=["GET"]),
            Route("/v1/imports/{import_id}", imports.put, methods=["PUT"]),
            Route("/v1/imports/{import_id}", imports.abandon, methods=["DELETE"]),
            Route("/v1/imports/{import_id}/finish", imports.finish, methods=["POST"]),
            Route("/v1/contracts", contracts.listed, methods=["GET"]),
            Route("/v1/contracts/{name}", contracts.look, methods=["GET"]),
            Route("/v1/contracts/{name}", contracts.put, methods=["PUT"]),
            Route("/v1/contracts/{name}/migrate", contracts.migrate, methods=["POST"]),
            Route("/v1/cluster", cell.look, methods=["GET"]),
            Route("/v1/cluster", cell.change, methods=["POST"]),
            Route("/", pages.console, methods=["GET"]),
            Route("/healthz", pages.healthz, methods=["GET"]),
            Route("/readyz", pages.readyz, methods=["GET"]),
            Route("/metrics", pages.metrics, methods=["GET"]),
            Route("/openapi.json", pages.openapi, methods=["GET"]),
            Mount("/console", pages.Files("console", "the console")),
            Mount("/client", pages.Files("client", "the browser client")),
            Mount("/demo", pages.Files("demo", "the demo", html=True)),
        ]

    async def _desk(self, websocket: WebSocket) -> None:
        house: House | None = self.state.house
        if house is None or house.stopping:
            await websocket.close(TRY_LATER)
        else:
            await house.desks.serve(websocket)

    async def _live(self, websocket: WebSocket) -> None:
        house: House | None = self.state.house
        if house is None or house.stopping:
            await websocket.close(TRY_LATER)
        else:
            await house.hall.live(websocket)


class _pools:
    """The thread pools, for as long as the server runs. In a cell a turn sleeps while Raft works, so it has more."""

    def __init__(self, in_cell: bool) -> None:
        self._in_cell = in_cell

    def __enter__(self) -> Workers:
        self._turns = ThreadPoolExecutor(CELL_TURN_THREADS if self._in_cell else TURN_THREADS, "turn")
        self._reads = ThreadPoolExecutor(READ_THREADS, "read")
        return Workers.of(self._turns, self._reads, in_cell=self._in_cell)

    def __exit__(self, *_: object) -> None:
        self._turns.shutdown()
        self._reads.shutdown()
