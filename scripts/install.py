"""Brings a checkout into working order: Python environment, browser client, demo, and for tests a browser and nginx.

Each step has a stamp in .install/ with the hash of what it was made from; a step whose inputs are unchanged and whose
results are there does nothing. So a second run is immediate and needs no network. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMPS = ROOT / ".install"
VENV_PYTHON = ROOT / ".venv/bin/python"
STATIC = ROOT / "server/static"
#: The versions everybody tests with; `--newest` makes it anew.
CONSTRAINTS = ROOT / "scripts/constraints.txt"
#: What a package's build is made of; everything else in its folder is a result or a test.
SOURCES = ("src", "scripts", "index.html", "package.json", "package-lock.json", "*.config.*", "tsconfig*.json")
NODE_OLDEST = (20, 19)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--for-tests", action="store_true", help="also a browser and an nginx for the browser tests")
    options.add_argument("--newest", action="store_true", help="the newest Python packages, noted in constraints.txt")
    arguments = options.parse_args()
    os.chdir(ROOT)
    STAMPS.mkdir(exist_ok=True)
    python_environment(arguments.newest)
    node = node_version()
    for name in ("client-js", "demo"):
        node_package(ROOT / name, node)
    places()
    if arguments.for_tests:
        for found in ("scripts/browser.py", "scripts/nginx.py", "scripts/iproute.py", "scripts/strace.py"):
            subprocess.run([VENV_PYTHON, found], check=True)


def python_environment(newest: bool) -> None:
    """The virtual environment and what pyproject.toml asks for. It belongs to this path and this Python."""
    if newest or not venv_is_ours():
        make_venv()
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", ".[test]"]
    if newest:
        run(pip, "installing the newest Python packages")
        freeze = [str(VENV_PYTHON), "-m", "pip", "freeze", "--exclude-editable"]
        CONSTRAINTS.write_text(subprocess.run(freeze, capture_output=True, text=True, check=True).stdout)
    pip += ["--constraint", str(CONSTRAINTS)]
    step(
        "python-packages",
        digest([ROOT / "pyproject.toml", CONSTRAINTS], f"{sys.version} {ROOT}"),
        [ROOT / ".venv/bin/sharelite"],
        lambda: run(pip, "installing the Python packages"),
    )


def venv_is_ours() -> bool:
    """Made here (its scripts hold this path) and by a Python of the version that runs now."""
    config = ROOT / ".venv/pyvenv.cfg"
    if not (config.is_file() and str(ROOT / ".venv") in config.read_text()):
        return False
    question = f"import sys; sys.exit(sys.version != {sys.version!r})"
    return subprocess.run([VENV_PYTHON, "-c", question]).returncode == 0


def make_venv() -> None:
    if subprocess.run([sys.executable, "-c", "import ensurepip"], stderr=subprocess.DEVNULL).returncode:
        major, minor = sys.version_info[:2]
        debian_package(f"python{major}.{minor}-venv", "This Python cannot make environments.")
    run([sys.executable, "-m", "venv", "--clear", ".venv"], "making the Python environment .venv")


def node_version() -> str:
    """Node's version, as far as it decides what gets built; exits where it is too old or missing."""
    found = ""
    if shutil.which("node"):
        found = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    version = tuple(int(part) for part in (found or "v0.0").lstrip("v").split(".")[:2])
    if version < NODE_OLDEST or not shutil.which("npm"):
        oldest = ".".join(map(str, NODE_OLDEST))
        sys.exit(
            f"Sharelite needs Node {oldest} or newer, with npm; node is {found or 'missing'}.\n"
            "See https://nodejs.org (Debian 13: apt install nodejs npm, macOS: brew install node)"
        )
    return found


def node_package(folder: Path, node: str) -> None:
    """Installs and builds one package and copies its result to where the server finds it."""
    name, locks = folder.name, [folder / "package.json", folder / "package-lock.json"]
    install = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    step(
        f"{name}-packages",
        digest(locks, f"{node} {platform.machine()} {ROOT}"),
        [folder / "node_modules/.package-lock.json"],
        lambda: run(install, f"installing the packages of {name}", folder),
    )
    target = STATIC / ("client" if name == "client-js" else name)
    sources = {*source_files(folder), *source_files(ROOT / "client-js")}
    step(f"{name}-build", digest(sources, node), [target], lambda: build(folder, target))


def build(folder: Path, target: Path) -> None:
    """Builds a package; one that does not build right into the server's folder is copied there."""
    run(["npm", "run", "--silent", "build"], f"building {folder.name}", folder)
    if (built := folder / "dist/browser").is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(built, target)


def places() -> None:
    """The demo's cities, packed beside its page, so that the wheel has them."""
    source, target = ROOT / "server/commands/demo_data.py", STATIC / "places.json.gz"
    pack: list[str | Path] = [VENV_PYTHON, "-c", "from sharelite.commands.demo_data import pack; pack()"]
    step("places", digest([source, ROOT / "pyproject.toml"]), [target], lambda: run(pack, "packing the demo's cities"))


def source_files(folder: Path) -> Iterator[Path]:
    for pattern in SOURCES:
        for path in folder.glob(pattern):
            yield from (path.rglob("*") if path.is_dir() else [path])


def digest(files: Iterable[Path], extra: str = "") -> str:
    summary = hashlib.sha256(extra.encode())
    for path in sorted(path for path in files if path.is_file()):
        summary.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return summary.hexdigest()


def step(name: str, wanted: str, results: Iterable[Path], work: Callable[[], None]) -> None:
    """Does the work unless its stamp says it was done from the same inputs and the results still exist."""
    stamp = STAMPS / name
    if stamp.is_file() and stamp.read_text() == wanted and all(path.exists() for path in results):
        return
    stamp.unlink(missing_ok=True)
    work()
    stamp.write_text(wanted)


def run(command: Sequence[str | Path], what: str, folder: Path = ROOT) -> None:
    print(f"{what} ...", flush=True)
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{what}: failed ({' '.join(map(str, command))} in {folder}, exit {done.returncode})")


def debian_package(package: str, why: str) -> None:
    """Installs a Debian package where we may, else says what to type."""
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        sys.exit(f"{why} On Debian and Ubuntu: sudo apt install {package}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run(["apt-get", "update", "-q"], "asking Debian for its packages")
    run(["apt-get", "install", "-q", "-y", "--no-install-recommends", package], f"installing {package}")


if __name__ == "__main__":
    main()
