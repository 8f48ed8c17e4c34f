"""Where a project is: `sharelite://token@host1:port,host2:port/project`, its token and project percent-encoded."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from .errors import InterfaceError

PORT = 8080
_URL = re.compile(r"sharelite(?P<safe>s?)://(?:(?P<token>[^@/?#]*)@)?(?P<hosts>[^@/?#]+)(?:/(?P<project>[^/?#]*))?")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:\[\],]+)(?::(?P<port>\d{1,5}))?")


class Address(NamedTuple):
    """Nodes as `host:port`; the project by id or by name; the token, or None; and whether TLS is spoken."""

    hosts: tuple[str, ...]
    project: str
    token: str | None
    safe: bool

    def http(self, host: str) -> str:
        return f"{'https' if self.safe else 'http'}://{host}"

    def desk(self, host: str, project: str) -> str:
        """The websocket of SQL of a project, by its id."""
        return f"{'wss' if self.safe else 'ws'}://{host}/v1/projects/{quote(project, safe='')}/sql"


def parse(url: str, project: str | None = None) -> Address:
    """Raises InterfaceError. `project`: instead of the one of the address."""
    found = _URL.fullmatch(url)
    if found is None:
        raise InterfaceError(
            f"{_without_token(url)!r} is no address: it needs sharelite://token@host1:port,host2:port/project "
            "(sharelites:// with TLS; the token is left out where there is none)"
        )
    named = project if project is not None else unquote(found["project"] or "")
    if not named:
        raise InterfaceError(f"{_without_token(url)!r} names no project: .../project, its id or its name")
    token = unquote(found["token"]) if found["token"] else None
    hosts = tuple([_host(host, bool(found["safe"])) for host in found["hosts"].split(",")])
    return Address(hosts, named, token, bool(found["safe"]))


def _host(text: str, safe: bool) -> str:
    found = _HOST.fullmatch(text)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise InterfaceError(f"{text!r} is no host: it needs name:port, or [address]:port")
    return f"{found['host']}:{found['port'] or (443 if safe else PORT)}"


def _without_token(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//...@", url)
