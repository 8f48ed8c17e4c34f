"""Finds a Chromium for the browser tests, or installs one; prints its path.

Order: $SHARELITE_BROWSER, an installed Chromium or Chrome, the one that Playwright has fetched before, Playwright's
own (fetched now), Debian's package. Only a browser that answers to --version counts: Ubuntu's `chromium-browser`
may be a stub.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: What a test machine needs: often root, no GPU (WebGL then comes from software), no chatting with the outside.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS = ("Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome")


def find() -> str | None:
    """The path of a working browser, without installing anything."""
    return next((path for path in candidates() if works(path)), None)


def candidates() -> Iterator[str]:
    yield os.environ.get("SHARELITE_BROWSER", "")
    yield from (shutil.which(name) or "" for name in NAMES)
    yield from (str(base / "Applications" / app) for base in (Path("/"), Path.home()) for app in MACOS)
    yield playwrights_own()


def works(path: str) -> bool:
    if not path or not os.access(path, os.X_OK):
        return False
    question = [path, "--version"]
    try:
        return subprocess.run(question, capture_output=True, stdin=subprocess.DEVNULL, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def playwrights_own() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def install() -> None:
    """Playwright's Chromium, with the system libraries it needs where we may install them; else Debian's."""
    root = bool(shutil.which("apt-get")) and os.geteuid() == 0
    command = [sys.executable, "-m", "playwright", "install", *(["--with-deps"] if root else []), "chromium"]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=900)
    except subprocess.TimeoutExpired:
        print("Playwright's Chromium did not come in 15 minutes", file=sys.stderr)
    if root and not find():
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for action in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-q", *action], stdin=subprocess.DEVNULL, env=environment)


def main() -> None:
    if not find():
        print("installing a browser for the tests ...", flush=True)
        install()
    path = find()
    if not path:
        sys.exit(
            "No browser for the browser tests. Install Chromium or Chrome (Debian: sudo apt install chromium, "
            "Ubuntu: sudo .venv/bin/playwright install --with-deps chromium) or name one in SHARELITE_BROWSER."
        )
    print(f"browser for tests: {path}")


if __name__ == "__main__":
    main()
