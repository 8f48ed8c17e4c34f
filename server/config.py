"""Settings: what an operator may choose, and the limits that keep one client from harming the others."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

KIB, MIB = 1024, 1024 * 1024


class Limits(Struct, frozen=True):
    """Sizes in bytes, rates per second, spans in seconds. What clients must know of them is in `welcome`."""

    #: One websocket message; a larger push goes by `POST .../mutations`.
    frame: int = MIB
    #: One mutation, encoded.
    mutation: int = 32 * MIB
    #: Any other request body.
    body: int = 8 * MIB
    #: A file to import, one piece of it, and imports of one user that are not finished.
    file: int = 4 * 1024 * MIB
    piece: int = 8 * MIB
    imports: int = 16
    #: Whole body of a request must have come by then, and per MiB of it.
    body_seconds: float = 30.0
    #: Request line and headers.
    header: int = 32 * KIB
    #: Pushes without an answer on one socket; the server stops reading beyond.
    in_flight: int = 256
    #: Messages on one socket: sustained, and in one burst.
    messages: int = 5_000
    messages_burst: int = 20_000
    signals: int = 100
    signals_burst: int = 200
    signal: int = 16 * KIB
    presence: int = 4 * KIB
    #: Until `hello` must have come.
    hello_seconds: float = 10.0
    #: A reader that takes nothing for so long is dropped; it resumes by its cursor.
    slow_seconds: float = 30.0
    #: Sockets on one project, and of one user in all.
    sockets: int = 5_000
    sockets_of_user: int = 2_000
    #: Commits in one page of the log.
    commits: int = 1_000
    #: Projects that are open at once, with some nine files each; those in use longest ago make room for others.
    open_projects: int = 1_000
    #: A project that nobody has used for so long is closed.
    idle_seconds: float = 300.0


class ImagePolicy(Struct, frozen=True):
    """When a project gets an image by itself, and how long images stay that are not the newest; in seconds.

    After `quiet` without a commit, but at least `every` after the image before; while commits never pause, when the
    newest image is `behind`. An image that nobody read stays `unread` after the next one came, one that was read `read`
    after the last time; of more than `most`, those that nobody reads now go first come first served.
    """

    quiet: float = 10.0
    every: float = 60.0
    behind: float = 300.0
    unread: float = 3600.0
    read: float = 86_400.0
    most: int = 1_000
    #: How often the chunks that no image names any more are looked for.
    sweep: float = 3600.0


class Settings(Struct, frozen=True):
    """One server.

    `hosts`: names that the Host header may have (None: any); `origins`: pages that browsers may call from, beside our
    own; `public`: patterns of projects that everyone may read.
    """

    data: Path
    contracts: Path | None = None
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] | None = None
    public: tuple[str, ...] = ()
    limits: Limits = Limits()
    images: ImagePolicy = ImagePolicy()
    #: Told to clients at shutdown, so that they do not all come back at once.
    retry_after: float = 2.0


#: Host names of a server that only this machine can reach; others are a rebinding attack on its browser.
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
