"""For the pytest that runs SQLAlchemy's tests: their plugin, our requirements, a database of our kind."""

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from sqlalchemy import CheckConstraint
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.testing import provision
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: F403

from tests.compliance.listed import reasons
from tests.compliance.requirements import CLOSED, all_closed

LEFT_OUT = reasons("Tests that are left out")


@provision.generate_driver_url.for_db("sharelite")
def one_driver(url: Any, driver: str, query: str) -> Any:
    return url


@provision.temp_table_keyword_args.for_db("sharelite")
def no_temporary_tables(cfg: Any, eng: Any) -> dict[str, Any]:
    return {}


@compiles(CheckConstraint, "sharelite")
def left_out(element: Any, compiler: Any, **options: Any) -> None:
    """No contract has a CHECK. The suite has them in tables that everything else of reflection is tested with."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """What the README says is left out is what is left out."""
    assert all_closed() == set(CLOSED), f"server/driver/README.md differs: {sorted(all_closed() ^ set(CLOSED))}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each line of the README stands for tests that there are."""
    names = {item: re.sub(r"_sharelite\+[^:]*", "", item.nodeid.partition("::")[2]) for item in items}
    wanted = {pattern: pattern.replace("[", "[[]") for pattern in LEFT_OUT}
    for pattern, glob in wanted.items():
        assert any(fnmatchcase(name, glob) for name in names.values()), f"there is no test {pattern}"
    out = [item for item, name in names.items() if any(fnmatchcase(name, glob) for glob in wanted.values())]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in set(out)]
