"""The description of the HTTP interface that /openapi.json gives out (OpenAPI 3.1)."""

from __future__ import annotations

from .. import __version__
from .paths import PATHS
from .schemas import SCHEMAS
from .words import JSON


def document(root: str = "") -> JSON:
    """The whole description, for a server that is reached below `root`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sharelite",
            "version": __version__,
            "description": "One project is one SQLite database. Live: a websocket at /v1/projects/{project}/live.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": root or "/"}],
        "security": [{"bearer": []}, {}],
        "paths": PATHS,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
