"""TypeScript from contracts (SPEC C26)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sharelite.schema.bundle import read
from sharelite.schema.typescript import types
from tests.contract_files import CONTRACTS, ROOT, contract, everything

COMPILER = ROOT / "client-js/node_modules/typescript/bin/tsc"


def declared(name: str) -> str:
    """What stands between the braces of an interface."""
    return types(everything()).split(f"export interface {name} {{\n")[1].split("\n}")[0]


def test_a_property_that_always_reads_as_something_is_not_optional() -> None:  # C26
    lines = [line.strip() for line in declared("Person").splitlines()]
    wanted = ["name: string;", "title: string | null;", "nick?: string;", "height: number;", "active: boolean;"]
    wanted += ['kind: "a" | "b" | "c";', "age?: number;", "mark: boolean | string;", "address?: {", "work: {"]
    assert [line for line in wanted if line not in lines] == []


def test_lists_are_arrays_of_their_own_types() -> None:  # C26
    assert "children: PersonChildren[];" in declared("Person")
    assert "toys: PersonChildrenToys[];" in declared("PersonChildren")
    assert "_id: string;" in declared("PersonChildrenToys")
    assert "settings: Settings;" in declared("Project") and "person: Person[];" in declared("Project")


def test_json_values_have_their_shape() -> None:  # C26
    assert "pair?: [number?, string?];" in declared("Person")
    assert "meta?: { [property: string]: string | number };" in declared("Person")


def test_the_compiler_takes_them(tmp_path: Path) -> None:  # C26
    paths = [*CONTRACTS.glob("*.schema.json"), ROOT / "tests/contracts/good/everything.schema.json"]
    files = [tmp_path / f"{path.stem}.ts" for path in paths]
    for path, file in zip(paths, files, strict=True):
        file.write_text(types(contract(str(path.relative_to(ROOT)))))
    command = ["node", str(COMPILER), "--strict", "--noEmit", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")


def test_npx_writes_the_same_text_without_python(tmp_path: Path) -> None:  # C26
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/a & b.json").write_text('{"$defs":{"day":{"type":["string","number"],"enum":["mo","tu",3.0]}}}')
    properties = '{"id":{"type":"string"},"in":{"type":"object","properties":{"id":{"type":"string"}}},%s}'
    day = '"day":{"$ref":"parts/a%20%26%20b.json#/$defs/day","description":" when\\n it */ is","default":3e0}'
    split = '{"properties":{"t":{"type":"array","items":{"type":"object","properties":%s}}}}'
    (tmp_path / "split.schema.json").write_text(split % (properties % day))
    paths = [*CONTRACTS.glob("*.schema.json"), ROOT / "tests/contracts/good/everything.schema.json"]
    for path in [*paths, tmp_path / "split.schema.json"]:
        command = ["node", str(ROOT / "client-js/dist/tools/bin.js"), "types", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.stderr, done.stdout) == ("", types(read(path)))
