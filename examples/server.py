"""Sharelite inside of one's own application, with a page beside it and a function of its own.

Run it in the checkout: `.venv/bin/uvicorn examples.server:app --port 8080`, then open http://127.0.0.1:8080/examples/hello.html
"""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from sharelite.app import create_app
from sharelite.sync.statements import Transaction

sharelite = create_app("data", contracts="contracts")


@sharelite.function("tick all")
def tick_all(transaction: Transaction, args: Mapping[str, Any]) -> None:
    """One mutation, whatever it touches: `store.call('tick all', {})` in a page, `{"call": "tick all"}` by HTTP."""
    transaction.execute("UPDATE todo SET done = 1 WHERE done IS NOT 1")


app = Starlette(
    routes=[Mount("/examples", StaticFiles(directory="examples")), Mount("/", sharelite)],
    lifespan=lambda app: sharelite.running(),
)
