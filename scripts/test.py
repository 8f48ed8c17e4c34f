"""Runs linters, type checkers and every test of every language; all of them, also when an early one fails.

Exit 1 if any failed. The last lines are vitest's and pytest's own, then one line for each check.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"
CLIENT, DEMO = ROOT / "client-js", ROOT / "demo"
PYTEST = [str(BIN / "pytest"), "-n", "2", "--dist", "loadgroup", "-q"]

CHECKS: tuple[tuple[str, Path, list[str]], ...] = (
    ("ruff", ROOT, [str(BIN / "ruff"), "check"]),
    ("mypy", ROOT, [str(BIN / "mypy")]),
    ("tsc", CLIENT, ["npm", "run", "--silent", "typecheck"]),
    ("reference", CLIENT, ["npm", "run", "--silent", "docs"]),
    ("tsc demo", DEMO, ["npm", "run", "--silent", "typecheck"]),
    ("vitest", CLIENT, ["npm", "run", "--silent", "test"]),
    ("pytest", ROOT, PYTEST),
)
LONG: tuple[tuple[str, Path, list[str]], ...] = (
    ("vitest", CLIENT, ["npm", "run", "--silent", "test"]),
    ("pytest", ROOT, [*PYTEST, "-m", "long", "-o", "faulthandler_timeout=7200"]),
)


def main() -> int:
    long = "--long" in sys.argv[1:]
    environment = {**os.environ, **({"SHARELITE_LONG": "1"} if long else {})}
    if not sys.stdout.isatty():
        environment["NO_COLOR"] = "1"
    lines = [check(name, folder, command, environment) for name, folder, command in (LONG if long else CHECKS)]
    print("", *lines, sep="\n")
    return 1 if any(line.startswith("FAILED") for line in lines) else 0


def check(name: str, folder: Path, command: list[str], environment: dict[str, str]) -> str:
    print(f"\n--- {name}", flush=True)
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL)
    return f"{'FAILED' if done.returncode else 'ok    '} {name} ({time.monotonic() - start:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
