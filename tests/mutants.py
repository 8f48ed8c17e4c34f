"""Reads damaged files one by one, each in a process of its own under the limits of the real one: how many ended how.

python -m tests.mutants FILE FOLDER COUNT SEED      prints a JSON object: status -> count
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from sharelite.errors import FileRefused
from sharelite.transfer import building
from sharelite.transfer.child import limit
from tests.foreign_files import mutants

SECONDS = 10.0
MADE, REFUSED, LEAKED = 0, 1, 3


def main(file: Path, folder: Path, count: int, seed: int) -> None:
    ends: Counter[str] = Counter()
    for number, content in enumerate(mutants(file.read_bytes(), count, seed)):
        path = folder / f"mutant-{number}.db"
        path.write_bytes(content)
        child = os.fork()
        if child == 0:
            os._exit(_read(path, folder / "base.db"))
        _, status = os.waitpid(child, 0)
        name = _named(status)
        ends[name] += 1
        if name in ("made", "refused"):
            path.unlink()
        for left in (*folder.glob("*-wal"), *folder.glob("*-shm"), *folder.glob("*-journal")):
            ends["left behind"] += 1
            left.unlink()
        (folder / "base.db").unlink(missing_ok=True)
    print(json.dumps(ends))


def _read(path: Path, target: Path) -> int:
    limit(path, SECONDS)
    try:
        building.build(path, target, SECONDS, lambda phase, done, of: None)
        return MADE
    except FileRefused:
        return REFUSED
    except BaseException as problem:
        print(f"{path}: {type(problem).__name__}: {problem}", file=sys.stderr)
        return 2


def _named(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return {MADE: "made", REFUSED: "refused"}.get(os.WEXITSTATUS(status), "failed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
