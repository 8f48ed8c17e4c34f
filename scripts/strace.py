"""Finds `strace` for the tests of failing disks, or installs Debian's; prints its path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def find() -> str | None:
    """The path of a `strace`, without installing anything."""
    return shutil.which("strace")


def install() -> None:
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for action in (["update"], ["install", "-y", "--no-install-recommends", "strace"]):
        subprocess.run(["apt-get", "-q", *action], stdin=subprocess.DEVNULL, env=environment)


def main() -> None:
    if sys.platform != "linux":
        sys.exit(0)  # those tests say how to leave them out
    if not find():
        print("installing strace for the tests ...", flush=True)
        install()
    if not find():
        print("No strace: `make test-long` needs it for failing disks. Debian, Ubuntu: sudo apt install strace.")
    else:
        print(f"strace for tests: {find()}")


if __name__ == "__main__":
    main()
