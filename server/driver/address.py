"""Where a project is: `sharelite://token@host1:port,host2:port/project`, its token and project percent-encoded.

With TLS: `sharelites://...`, and `?ca=/path/ca.pem` where the system does not trust the certificates of the hosts.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from .errors import InterfaceError

PORT = 8080
_URL = re.compile(
    r"sharelite(?P<safe>s?)://(?:(?P<token>[^@/?#]*)@)?(?P<hosts>[^@/?#]+)(?:/(?P<project>[^/?#]*))?(?:\?ca=(?P<ca>[^&#]+))?"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:\[\],]+)(?::(?P<port>\d{1,5}))?")


class Address(NamedTuple):
    """Nodes as `host:port`; the project by id or by name; the token, or None; whether TLS is spoken, and the file of
    the certificates that are trusted then (None: those of the system)."""

    hosts: tuple[str, ...]
    project: str
    token: str | None
    safe: bool
    ca: str | None = None

    def http(self, host: str) -> str:
        return f"{'https' if self.safe else 'http'}://{host}"

    def desk(self, host: str, project: str) -> str:
        """The websocket of SQL of a project, by its id."""
        return f"{'wss' if self.safe else 'ws'}://{host}/v1/projects/{quote(project, safe='')}/sql"

    def context(self) -> ssl.SSLContext | None:
        """How TLS is spoken, if it is. Raises InterfaceError."""
        return _context(self.ca) if self.safe else None


@lru_cache
def _context(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as problem:
        raise InterfaceError(f"ca: {ca!r} is no file of certificates (PEM): {problem}") from None


def parse(url: str, project: str | None = None) -> Address:
    """Raises InterfaceError. `project`: instead of the one of the address."""
    found = _URL.fullmatch(url)
    if found is None:
        raise InterfaceError(
            f"{_without_token(url)!r} is no address: it needs sharelite://token@host1:port,host2:port/project "
            "(sharelites:// with TLS, and then ?ca=FILE may follow; the token is left out where there is none)"
        )
    named = project if project is not None else unquote(found["project"] or "")
    if not named:
        raise InterfaceError(f"{_without_token(url)!r} names no project: .../project, its id or its name")
    token = unquote(found["token"]) if found["token"] else None
    hosts = tuple([_host(host, bool(found["safe"])) for host in found["hosts"].split(",")])
    ca = unquote(found["ca"]) if found["ca"] else None
    if ca is not None and not found["safe"]:
        raise InterfaceError("ca: is for sharelites://, which speaks TLS")
    return Address(hosts, named, token, bool(found["safe"]), ca)


def _host(text: str, safe: bool) -> str:
    found = _HOST.fullmatch(text)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise InterfaceError(f"{text!r} is no host: it needs name:port, or [address]:port")
    return f"{found['host']}:{found['port'] or (443 if safe else PORT)}"


def with_token(address: Address, token: str | Callable[[], str] | None) -> tuple[Address, Callable[[], str] | None]:
    """With a token of one's own, and what gives a new one, if something does."""
    if token is None or isinstance(token, str):
        return address._replace(token=token or address.token), None
    return address, token


def _without_token(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//...@", url)
