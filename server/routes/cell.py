"""The cell that this server is a node of: who belongs to it, who leads, and changing that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ..errors import BadRequest, ShareliteError
from . import bodies
from .answers import told
from .house import House, house

if TYPE_CHECKING:
    from ..cellnode import CellNode


class Alone(ShareliteError):
    """It was asked about its cell."""

    code = "not_found"

    def __str__(self) -> str:
        return "this server is alone: it is in no cell"


class Choice(Struct, forbid_unknown_fields=True):
    """Whose replica of a project counts."""

    project: str
    node: str


class Change(Struct, forbid_unknown_fields=True):
    """One of them. `transfer`: to whom; null: to whoever is most level."""

    remove: str | UnsetType = UNSET
    transfer: str | None | UnsetType = UNSET
    choose: Choice | UnsetType = UNSET


async def look(request: Request) -> Response:
    here = house(request)
    here.gate.known(await here.identity(request))
    return told(await _node(here).described())


async def change(request: Request) -> Response:
    """Take a node out, have another one lead, or say whose replica counts. It is done wherever this arrives."""
    here = house(request)
    identity = await here.identity(request)
    here.gate.demand(identity, "owner")
    node = _node(here)
    limits = here.settings.limits
    wanted = await bodies.decode(await bodies.read(request, limits.body, limits.body_seconds), Change)
    if sum(each is not UNSET for each in (wanted.remove, wanted.transfer, wanted.choose)) != 1:
        raise BadRequest("one of remove, transfer and choose is needed")
    if wanted.remove is not UNSET:
        await node.remove(wanted.remove)
    elif wanted.choose is not UNSET:
        await node.choose(wanted.choose.project, wanted.choose.node)
    else:
        assert wanted.transfer is not UNSET
        await node.transfer(wanted.transfer)
    return told(await node.described())


def _node(here: House) -> CellNode:
    """Raises Alone."""
    if here.node is None:
        raise Alone
    return here.node
