"""Who is asking, and what they may do where (SPEC P).

Where an identity comes from is another matter: `tokens.py`, or the login of an application that this one is part of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Protocol

from msgspec import Struct
from starlette.requests import HTTPConnection

from .errors import Forbidden, NotFound, Unauthenticated

Role = Literal["reader", "editor", "owner"]
RANK: Mapping[str | None, int] = {None: 0, "reader": 1, "editor": 2, "owner": 3}
ANONYMOUS = "anonymous"


class Identity(Struct, frozen=True):
    """Somebody, the projects they may enter (patterns of ids or names) and until when (seconds since 1970)."""

    user: str
    grants: tuple[tuple[str, Role], ...]
    expires: float | None = None

    @property
    def anonymous(self) -> bool:
        return self.user == ANONYMOUS

    def role(self, *names: str) -> Role | None:
        """The strongest role for a project known by these names."""
        roles = [role for pattern, role in self.grants if any(matches(pattern, name) for name in names)]
        return max(roles, key=RANK.__getitem__, default=None)

    def role_everywhere(self) -> Role | None:
        """The role for what belongs to no single project, such as contracts."""
        return max((role for pattern, role in self.grants if pattern == "*"), key=RANK.__getitem__, default=None)


#: One's own login: the bearer token (None without one) and the request; None means nobody.
Authenticate = Callable[[str | None, HTTPConnection], Awaitable[Identity | None]]
LOCAL = Identity("local", (("*", "owner"),))
NOBODY = Identity(ANONYMOUS, ())


async def local(token: str | None, connection: HTTPConnection) -> Identity | None:
    """Without keys: whoever reaches the loopback address owns everything."""
    return LOCAL


class Named(Protocol):
    """A project, as far as the question who may enter it goes."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def public(self) -> bool: ...


class Gate:
    """Who may pass where. `public`: patterns of projects that everybody may read."""

    def __init__(self, authenticate: Authenticate, public: tuple[str, ...] = ()) -> None:
        self._authenticate = authenticate
        self._public = Identity(ANONYMOUS, tuple((pattern, "reader") for pattern in public))

    async def identify(self, token: str | None, connection: HTTPConnection) -> Identity:
        """Whoever is asking; without a token, nobody in particular. Raises Unauthenticated for a bad one."""
        identity = await self._authenticate(token, connection)
        if identity is None and token is not None:
            raise Unauthenticated
        return identity or NOBODY

    def role(self, identity: Identity, project: Named) -> Role | None:
        names = (project.id, project.name)
        anybody: Role | None = "reader" if project.public else self._public.role(*names)
        return max(identity.role(*names), anybody, key=RANK.__getitem__)

    def enter(self, identity: Identity, project: Named, needed: Role) -> Role:
        """The role somebody has in a project. One that he may not even read is to him as if it were not there."""
        role = self.role(identity, project)
        if role is None:
            raise Unauthenticated if identity.anonymous else NotFound("project", project.id)
        if RANK[role] < RANK[needed]:
            raise Unauthenticated if identity.anonymous else Forbidden(needed, role)
        return role

    def known(self, identity: Identity) -> None:
        """Anybody with a token."""
        if identity.anonymous:
            raise Unauthenticated

    def demand(self, identity: Identity, needed: Role, name: str | None = None) -> None:
        """The role for a project that is still to be made, by its name, or (None) for what belongs to no project."""
        role = identity.role_everywhere() if name is None else identity.role(name)
        if RANK[role] < RANK[needed]:
            raise Unauthenticated if identity.anonymous else Forbidden(needed, role)


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern, in which `*` stands for any characters and everything else for itself."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    if not name.startswith(first):
        return False
    place = len(first)
    for part in rest[:-1]:
        found = name.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(name) - place >= len(rest[-1]) and name.endswith(rest[-1])
