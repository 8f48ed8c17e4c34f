"""Runs the child process and listens to it: its end, however it ends, is one answer (child.py)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..errors import FileRefused, Unavailable

#: Seconds of work for any file, and for each MiB of it; and how much longer it may take by the clock on the wall.
SECONDS, SECONDS_OF_MIB, PATIENCE = 10.0, 0.5, 6.0
#: The longest line is a contract with what was left out.
LONGEST_LINE = 16 << 20
#: What the child needs of our environment; the rest may be secret.
ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "SYSTEMROOT")

Tell = Callable[[str, int, int], None]


def seconds_for(size: int) -> float:
    """How long a file of so many bytes may keep the processor busy."""
    return SECONDS + SECONDS_OF_MIB * size / (1 << 20)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", f"{__package__}.child", *arguments]


def environment(scratch: Path) -> dict[str, str]:
    known = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return {**known, "SQLITE_TMPDIR": str(scratch)}


async def built(source: Path, target: Path, tell: Tell) -> dict[str, Any]:
    """Have a foreign file made into a base at `target`; what building.Built says, as JSON. Whoever cancels ends the
    process. Raises FileRefused, Unavailable (no room on the disk)."""
    seconds = seconds_for(source.stat().st_size)
    child = await asyncio.create_subprocess_exec(
        *command("import", str(source), str(target), f"{seconds:.1f}"),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=environment(target.parent), limit=LONGEST_LINE, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds * PATIENCE):
            answer = await _heard(child, tell)
            await child.wait()
    except TimeoutError:
        raise FileRefused("looking through it took longer than a file of this size may take") from None
    finally:
        await end(child)
    return _read(answer, child.returncode)


def inferred(source: Path) -> dict[str, Any]:
    """Have a foreign file looked through: its contract, its rows by table, what would be left. Blocks. Raises
    FileRefused."""
    seconds = seconds_for(source.stat().st_size)
    run = command("infer", str(source), f"{seconds:.1f}")
    with tempfile.TemporaryDirectory(prefix="sharelite-") as scratch:
        done = subprocess.run(run, stdout=subprocess.PIPE, env=environment(Path(scratch)), timeout=seconds * PATIENCE)
    lines = done.stdout.splitlines()
    return _read(msgspec.json.decode(lines[-1]) if lines else {}, done.returncode)


async def _heard(child: asyncio.subprocess.Process, tell: Tell) -> dict[str, Any]:
    """The last thing it says that is no progress."""
    assert child.stdout is not None
    answer: dict[str, Any] = {}
    async for line in child.stdout:
        said = msgspec.json.decode(line)
        if "phase" in said:
            tell(said["phase"], said["done"], said["of"])
        else:
            answer = said
    return answer


def _read(answer: dict[str, Any], status: int | None) -> dict[str, Any]:
    for word in ("built", "inferred"):
        if word in answer:
            found: dict[str, Any] = answer[word]
            return found
    if "refused" in answer:
        raise FileRefused(answer["refused"])
    if "disk" in answer:
        raise Unavailable(f"the import has no room on the disk ({answer['disk']})", 30.0)
    why = "it used more memory or time than a file may" if status is not None and status < 0 else f"status {status}"
    raise FileRefused(f"the process that read it ended before it was done ({why})")


async def end(child: asyncio.subprocess.Process) -> None:
    """Nothing of it goes on: it has a session of its own, so its workers end with it."""
    if child.returncode is None:
        try:
            os.killpg(child.pid, 9)
        except ProcessLookupError:
            pass
        await child.wait()
