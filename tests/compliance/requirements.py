"""What SQLAlchemy's tests for dialects may ask of a project. The reasons of what is closed are in
server/driver/README.md."""

from __future__ import annotations

from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

from tests.compliance.listed import reasons

#: Beside those that are open for every dialect.
OPEN = frozenset(
    """aggregate_order_by autocommit binary_literals ctes ctes_on_dml date_historic datetime_historic datetime_literals
    dbapi_lastrowid except_ fk_constraint_option_reflection_ondelete_noaction mod_operator_as_percent_sign
    timestamp_microseconds fk_constraint_option_reflection_ondelete_restrict
    fk_constraint_option_reflection_onupdate_restrict foreign_key_constraint_option_reflection_ondelete
    foreign_key_constraint_option_reflection_onupdate index_ddl_if_exists indexes_check_column_order infinity_floats
    intersect isolation_level json_type non_updating_cascade nullsordering order_by_label_with_expression
    percent_schema_names precision_numerics_enotation_small precision_numerics_retains_significant_digits
    reflect_table_options savepoints server_defaults skip_autocommit_rollback supports_bitwise_and supports_bitwise_not
    supports_bitwise_or supports_bitwise_shift table_ddl_if_exists tuple_in unicode_ddl
    unique_constraints_reflect_as_index unique_index_reflect_as_unique_constraints update_from window_functions
    window_range window_range_non_numeric window_range_numeric""".split()
)
CLOSED = reasons("Requirements that are closed")


class Requirements(SuiteRequirements):
    def get_isolation_levels(self, config: Any) -> dict[str, Any]:
        return {"default": "SERIALIZABLE", "supported": ["SERIALIZABLE", "AUTOCOMMIT"]}


def closed(requirement: Any) -> bool:
    """Whether it is closed for good, not only on some machines."""
    skips = getattr(requirement, "skips", ())
    return isinstance(skips, set) and any(
        isinstance(each, exclusions.BooleanPredicate) and each.value is True for each in skips
    )


def all_closed() -> set[str]:
    """Every requirement that is closed here."""
    found = Requirements()
    names = [name for name in dir(Requirements) if isinstance(getattr(Requirements, name), property)]
    return {name for name in names if closed(getattr(found, name))}


for _name in OPEN:
    setattr(Requirements, _name, property(lambda self: exclusions.open()))
for _name in CLOSED:
    setattr(Requirements, _name, property(lambda self: exclusions.closed()))
