"""The process in which foreign files are read: `python -m sharelite.transfer.child`. It speaks in lines of JSON.

    import SOURCE TARGET SECONDS      {"phase", "done", "of"} ..., then {"built": {...}} or {"refused": "..."}
    infer SOURCE SECONDS              {"inferred": {...}} or {"refused": "..."}
    export SOURCE FORMAT              {"left": {trigger: reason}}, then the bytes; exit status 1: they are not all

Its memory, time, files and their sizes are limited before it opens anything.
"""

from __future__ import annotations

import errno
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

MEMORY = 512 << 20
FILES = 64
#: A copy may be larger than its source: types, keys and indexes of ours.
GROWTH = 4
ROOM = 64 << 20


def main(arguments: list[str]) -> int:
    match arguments:
        case ["import", source, target, seconds]:
            return _told(lambda: _import(Path(source), Path(target), float(seconds)))
        case ["infer", source, seconds]:
            return _told(lambda: _infer(Path(source), float(seconds)))
        case ["export", source, form]:
            return _export(Path(source), form)
    print(__doc__, file=sys.stderr)
    return 2


def limit(source: Path, seconds: float) -> None:
    """Never more than this, whatever the file makes SQLite do. The clock inside is shorter, and says why."""
    size = source.stat().st_size
    for what, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, int(seconds) + 5),
        (resource.RLIMIT_FSIZE, size * GROWTH + ROOM),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def say(**message: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _told(work: Any) -> int:
    """Run it and say how it ended: refusals are answers, a full disk has its own."""
    from ..errors import FileRefused

    try:
        say(**work())
    except FileRefused as refused:
        say(refused=refused.why)
    except MemoryError:
        say(refused="looking through it took more memory than a file may")
    except OSError as problem:
        say(disk=problem.strerror or str(problem))
    return 0


def _import(source: Path, target: Path, seconds: float) -> dict[str, Any]:
    import apsw

    from . import building

    limit(source, seconds)
    try:
        made = building.build(source, target, seconds, lambda *told: say(**dict(zip(TOLD, told, strict=True))))
    except apsw.FullError:
        raise OSError(errno.ENOSPC, "the disk is full") from None
    base = {"hash": made.base.hash, "size": made.base.size, "row_digest": f"{made.base.row_digest:032x}"}
    return {"built": {"base": base, "contract": made.contract, "rows": made.rows, "left": made.left}}


def _infer(source: Path, seconds: float) -> dict[str, Any]:
    from . import building

    limit(source, seconds)
    inferred = building.look(source, seconds)
    rows = {plan.name: plan.rows for plan in inferred.plans}
    return {"inferred": {"contract": inferred.contract.document, "rows": rows, "left": inferred.left}}


def _export(source: Path, form: str) -> int:
    from . import exporting

    exporting.write(source, form, sys.stdout.buffer, lambda left: say(left=left))
    return 0


TOLD = ("phase", "done", "of")

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main(sys.argv[1:]))
