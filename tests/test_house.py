"""The house keeps its order: imports go downstairs only, and nothing unfinished lies about."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVER = ROOT / "server"
#: From the top. A room may use its own floor and those below; a wing only itself and what is below the wings.
FLOORS = (
    ("__main__", "commands"),
    ("app",),
    ("routes", "sockets", "openapi", "inside"),
    (
        "project",
        "ports",
        "turns",
        "crew",
        "waiting",
        "readers",
        "founding",
        "schemachange",
        "publishing",
        "imaging",
        "curator",
        "verifying",
        "road",
        "taking",
        "statements",
        "definitions",
        "transactions",
        "catalog",
        "making",
        "auth",
        "tokens",
        "following",
    )
    + (
        "accord",
        "exchange",
        "copies",
        "levelling",
        "introduction",
        "cellnode",
        "handing",
        "transfer",
        "yard",
        "roll",
        "shelf",
        "upgrades",
        "openings",
        "life",
    )
    + ("bases",),
    ("sync", "schema", "storage", "sql", "cluster", "driver"),
    ("model", "errors", "constraints", "values", "names", "records", "survey", "config", "logs", "memory", "metrics"),
)
WINGS = FLOORS[4]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
#: Libraries that must be replaceable by changing one room.
ONE_ROOM = {"pysyncobj": "cluster", "boto3": "storage", "uvicorn": "commands"}
SOURCES = ("server", "client-js", "demo", "tests", "scripts", "bench", "examples", "contracts")
TEXT = {".py", ".ts", ".tsx", ".js", ".json", ".html", ".css", ".md", ".toml", ".sh", ""}
BUILT = {".git", "node_modules", "dist", "__pycache__", "typings", "package-lock.json"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SERVER.rglob("*.py")):
        yield path.relative_to(SERVER).with_suffix("").as_posix().removesuffix("/__init__"), path


def room(module: str) -> str:
    return module.split("/")[0]


def imports(module: str, path: Path, when_run: bool = False) -> Iterator[str]:
    """The modules of the house that this one imports, as `sync/log`; also those that only type checkers look at."""
    package = path.parent.relative_to(SERVER).parts
    tree = ast.parse(path.read_text())
    for node in ast.walk(ImportsOnceRun().visit(tree) if when_run else tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            target = "/".join(filter(None, base))
            inner = [f"{target}/{alias.name}".lstrip("/") for alias in node.names]
            yield from (name if name in KNOWN else target for name in inner)


class ImportsOnceRun(ast.NodeTransformer):
    """Leaves out what stands under `if TYPE_CHECKING`."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


KNOWN = {name for name, _ in modules()}
IMPORTS = {name: {target for target in imports(name, path) if target} for name, path in modules()}


def libraries(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]


def texts() -> Iterator[tuple[Path, str]]:
    """Everything that people wrote, but for this page, which has to name what it looks for."""
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*")]
    for path in [*files, *ROOT.glob("*"), *(ROOT / ".ci").glob("*")]:
        inside = path.relative_to(ROOT).parts
        built = BUILT & set(inside) or inside[:3] in {("server", "static", "client"), ("server", "static", "demo")}
        if path.is_file() and path.suffix in TEXT and not built and path != Path(__file__).resolve():
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def found(pattern: str, *suffixes: str) -> list[str]:
    expression = re.compile(pattern)
    return [
        f"{path}:{number}: {line.strip()[:80]}"
        for path, text in texts()
        if not suffixes or path.suffix in suffixes
        for number, line in enumerate(text.splitlines(), 1)
        if expression.search(line)
    ]


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in KNOWN} - set(FLOOR) - {"__init__", "."} == set()


@pytest.mark.parametrize("module", sorted(KNOWN - {"__init__", "."}))
def test_a_module_imports_only_downstairs(module: str) -> None:
    mine = FLOOR[room(module)]
    upstairs = {target for target in IMPORTS[module] if room(target) in FLOOR and FLOOR[room(target)] < mine}
    assert upstairs == set()


def test_the_wings_do_not_import_each_other() -> None:
    crossings = {
        (module, target)
        for module, targets in IMPORTS.items()
        for target in targets
        if room(module) in WINGS and room(target) in WINGS and room(module) != room(target)
    }
    assert crossings == set()


def test_no_import_goes_round_in_a_circle() -> None:
    run = {name: {target for target in imports(name, path, when_run=True) if target} for name, path in modules()}
    assert list(TopologicalSorter(run).static_order())


@pytest.mark.parametrize(("library", "home"), ONE_ROOM.items())
def test_a_replaceable_library_is_imported_in_one_room(library: str, home: str) -> None:
    assert {room(module) for module, path in modules() if library in libraries(path)} <= {home}


def test_the_server_imports_itself_relatively() -> None:
    assert [module for module, path in modules() if {"sharelite", "server"} & set(libraries(path))] == []


def test_nothing_is_left_to_do() -> None:
    assert found(r"\b(TODO|FIXME|XXX|HACK)\b") == []


def test_no_test_is_skipped_or_alone() -> None:
    assert found(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b|unittest\.skip", ".py") == []
    assert found(r"\b(it|test|describe)\.(skip|todo|only|fails|skipIf|runIf)\b|\bx(it|describe)\(", ".ts", ".tsx") == []


def test_no_path_of_one_machine_is_written_down() -> None:
    assert found(r"(?<![\w.])/(home|root|Users|work)/\w") == []


def test_lock_files_name_no_registry() -> None:
    locks = [path for path in ROOT.glob("*/package-lock.json")]
    assert locks
    hosts = {
        entry["resolved"]
        for path in locks
        for entry in json.loads(path.read_text())["packages"].values()
        if "resolved" in entry and not entry.get("link")
    }
    assert hosts == set()
