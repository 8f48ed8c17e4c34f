"""Contract files: one document out of one or several files of a folder. Nothing outside of that folder is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ..errors import ContractInvalid
from ..model import Fault
from .canonical import NotJson, parse
from .contract import Contract
from .document import MAX_BYTES
from .keywords import children
from .places import Schema, join, steps

SUFFIX = ".schema.json"


def load(path: Path | str) -> Schema:
    """The document of a contract whose `$ref`s may lead into other files at or below its folder.

    Those files become part of its `$defs`. Raises ContractInvalid with file and pointer.
    """
    return _Bundle(Path(path)).document()


def read(path: Path | str) -> Contract:
    """`load` and parse; the name is the file's without `.schema.json`. Faults say in which of the files they are."""
    bundle = _Bundle(Path(path))
    document = bundle.document()
    try:
        return Contract.parse(document, Path(path).name.removesuffix(SUFFIX))
    except ContractInvalid as invalid:
        raise ContractInvalid(tuple(map(bundle.located, invalid.errors)), str(path)) from None


class _Bundle:
    def __init__(self, path: Path) -> None:
        self._path, self._folder = path, path.parent.resolve()
        self._names: dict[Path, str] = {}
        self._waiting: list[Path] = []
        self._size = 0

    def document(self) -> Schema:
        root = self._read(self._path)
        taken = set(root.get("$defs", ())) if isinstance(root.get("$defs"), dict) else set()
        self._names[self._path.resolve()] = ""
        found = self._rewritten(root, self._path, "", taken)
        others: Schema = {}
        while self._waiting:
            path = self._waiting.pop()
            inner = {name: value for name, value in self._read(path).items() if name != "$schema"}
            others[self._names[path]] = self._rewritten(inner, path, "", taken)
        return {**found, "$defs": {**found.get("$defs", {}), **others}} if others else found

    def located(self, fault: Fault) -> Fault:
        """A fault of the bundled document as one of the file it is in."""
        for path, name in self._names.items():
            prefix = join("/$defs", name)
            if name and fault.pointer is not None and (fault.pointer + "/").startswith(prefix + "/"):
                return Fault(fault.message, pointer=f"{self._short(path)}#{fault.pointer[len(prefix) :]}")
        return fault

    def _read(self, path: Path) -> Schema:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES * 4 + 1)
        except OSError as problem:
            raise self._invalid(path, "", f"the file cannot be read: {problem.strerror}") from None
        self._size += len(data)
        if self._size > MAX_BYTES * 4:
            raise self._invalid(path, "", f"the files of a contract have more than {MAX_BYTES * 4:,} bytes")
        try:
            value = parse(data.decode())
        except (NotJson, UnicodeDecodeError) as problem:
            raise self._invalid(path, "", str(problem)) from None
        if not isinstance(value, dict):
            raise self._invalid(path, "", "a schema file holds a JSON object")
        return value

    def _rewritten(self, schema: Any, path: Path, pointer: str, taken: set[str]) -> Any:
        """A copy in which every `$ref` leads into the bundled document."""
        if not isinstance(schema, dict):
            return schema
        copy = dict(schema)
        if isinstance(schema.get("$ref"), str):
            copy["$ref"] = self._ref(schema["$ref"], path, join(pointer, "$ref"), taken)
        for child, where in children(schema, pointer):
            _put(copy, schema, where[len(pointer) :], self._rewritten(child, path, where, taken))
        return copy

    def _ref(self, ref: str, path: Path, pointer: str, taken: set[str]) -> str:
        place, _, inside = ref.partition("#")
        if ":" in place or place.startswith("/"):
            raise self._invalid(path, pointer, f"{ref!r} is not a file at or below this folder; nothing is fetched")
        target = (path.parent / unquote(place)).resolve() if place else path.resolve()
        if not target.is_relative_to(self._folder):
            raise self._invalid(path, pointer, f"{ref!r} leads out of the folder of the contract")
        if not target.is_file():
            raise self._invalid(path, pointer, f"there is no file {place!r}")
        if target not in self._names:
            name = target.relative_to(self._folder).as_posix()
            while name in taken:
                name += "_"
            taken.add(name)
            self._names[target] = name
            self._waiting.append(target)
        base = quote(join("/$defs", self._names[target]), safe="/~$") if self._names[target] else ""
        return f"#{base}{inside}"

    def _short(self, path: Path) -> str:
        return path.resolve().relative_to(self._folder).as_posix()

    def _invalid(self, path: Path, pointer: str, message: str) -> ContractInvalid:
        return ContractInvalid((Fault(message, pointer=pointer),), str(path))


def _put(copy: Schema, original: Schema, way: str, value: Any) -> None:
    """Set what lies one keyword, and perhaps one name or number, below; the original is left as it is."""
    keyword, *rest = steps(way)
    if not rest:
        copy[keyword] = value
        return
    if copy[keyword] is original[keyword]:
        copy[keyword] = original[keyword].copy()
    if isinstance(copy[keyword], list):
        copy[keyword][int(rest[0])] = value
    else:
        copy[keyword][rest[0]] = value
