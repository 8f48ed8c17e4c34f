"""Which regular expressions a contract may use: those that mean the same, and stay fast, everywhere."""

from __future__ import annotations

import jsonschema_rs

ENGINE = jsonschema_rs.RegexOptions()


class Refusal(ValueError):
    """The pattern cannot be used; the sentence says why."""


def check_pattern(pattern: str) -> None:
    """Raises Refusal."""
    try:
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=ENGINE)
    except ValueError:
        raise Refusal(f"the pattern {pattern!r} cannot be used") from None


def engine_pattern(pattern: str) -> str:
    """The pattern in the words of the road's engine."""
    return pattern
