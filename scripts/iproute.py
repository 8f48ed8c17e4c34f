"""Finds the `ip` command for the tests of partitions, or installs Debian's; prints its path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PLACES = ("/usr/sbin", "/sbin")


def find() -> str | None:
    """The path of an `ip`, without installing anything."""
    return shutil.which("ip", path=os.pathsep.join((os.environ.get("PATH", ""), *PLACES)))


def install() -> None:
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for action in (["update"], ["install", "-y", "--no-install-recommends", "iproute2"]):
        subprocess.run(["apt-get", "-q", *action], stdin=subprocess.DEVNULL, env=environment)


def main() -> None:
    if sys.platform != "linux":
        sys.exit(0)  # no network namespaces: those tests say how to leave them out
    if not find():
        print("installing iproute2 for the tests ...", flush=True)
        install()
    if not find():
        sys.exit("No `ip` for the tests of partitions. Debian, Ubuntu: sudo apt install iproute2.")
    print(f"ip for tests: {find()}")


if __name__ == "__main__":
    main()
