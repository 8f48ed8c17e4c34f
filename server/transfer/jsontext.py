"""JSON text (RFC 8259) of documents, with the place of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .faults import DocumentFault


def read(content: bytes, faults: list[DocumentFault]) -> Any:
    """One value; None with a fault where there is none."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=no_number)
    except UnicodeDecodeError as problem:
        faults.append(DocumentFault(f"byte {problem.start}", "is not UTF-8 text"))
    except json.JSONDecodeError as problem:
        faults.append(DocumentFault(f"line {problem.lineno}, column {problem.colno}", problem.msg))
    except (ValueError, RecursionError) as problem:
        faults.append(DocumentFault("the document", str(problem)))
    return None


def no_number(text: str) -> Any:
    """For `parse_constant`: NaN and the infinities are no JSON."""
    raise ValueError(f"{text} is no JSON number")


def put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set what stands at a path, with the objects above it."""
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = value
