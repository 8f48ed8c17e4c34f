"""The tests that SQLAlchemy has for dialects, on a server of ours."""

from typing import Any

from sqlalchemy.testing.suite import *  # noqa: F403
from sqlalchemy.testing.suite import HasTableTest as _HasTableTest


class HasTableTest(_HasTableTest):
    @classmethod
    def define_views(cls, metadata: Any) -> None:
        """It makes its view whether there can be one or not."""
