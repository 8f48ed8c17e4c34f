"""The wheel has all that `pip install sharelite-*.whl && sharelite demo` needs: no Node, no make, no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "sharelite/py.typed",
    "sharelite/SPEC.md",
    "sharelite/static/client/sharelite.js",
    "sharelite/static/demo/index.html",
    "sharelite/static/places.json.gz",
    "sharelite/commands/__init__.py",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that what earlier builds left in the checkout neither helps nor disturbs."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "server", source / "server", ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_the_wheel_has_the_built_client_and_the_demo(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert [name for name in NEEDED if name not in inside] == []
    assert [name for name in inside if "__pycache__" in name or name.startswith(("server/", "tests/"))] == []


def test_the_wheel_has_every_module_of_the_server(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    modules = {f"sharelite/{path.relative_to(ROOT / 'server').as_posix()}" for path in (ROOT / "server").rglob("*.py")}
    assert modules - inside == set()


def test_an_installed_wheel_runs_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(tmp_path / "site"), str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    where = "import sharelite, sys; print(sharelite.__file__)"
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "check": True}
    assert subprocess.run([sys.executable, "-c", where], **options).stdout.startswith(str(tmp_path))  # type: ignore[call-overload]
    asked = subprocess.run([sys.executable, "-m", "sharelite", "--help"], **options)  # type: ignore[call-overload]
    assert "serve" in asked.stdout and "demo" in asked.stdout
