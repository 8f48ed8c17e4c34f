"""Finds an nginx for the tests of viewers behind a caching proxy, or installs Debian's; prints its path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")


def find() -> str | None:
    """The path of an nginx, without installing anything."""
    places = os.pathsep.join((os.environ.get("PATH", ""), *PLACES))
    return os.environ.get("SHARELITE_NGINX") or shutil.which("nginx", path=places)


def install() -> None:
    """Debian's smallest one. It is not started as a service: the tests run their own."""
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for action in (["update"], ["install", "-y", "--no-install-recommends", "nginx-light"]):
        subprocess.run(["apt-get", "-q", *action], stdin=subprocess.DEVNULL, env=environment)


def main() -> None:
    if not find():
        print("installing nginx for the tests ...", flush=True)
        install()
    path = find()
    if not path:
        sys.exit(
            "No nginx for the tests of viewers. Debian, Ubuntu: sudo apt install nginx-light, "
            "macOS: brew install nginx; or name one in SHARELITE_NGINX."
        )
    print(f"nginx for tests: {path}")


if __name__ == "__main__":
    main()
