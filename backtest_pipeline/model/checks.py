"""What a result's safety nets have found, as whoever ranks, lists or compares results asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOOKS_AHEAD = "looks ahead"
"""Stands beside the name of a strategy whose signals change with the bars after them."""


def looks_ahead(checks: Mapping[str, Any]) -> bool | None:
    """Whether the look-ahead check has found any; None where it was not made."""
    found = checks.get("look_ahead")
    passed = found.get("passed") if isinstance(found, Mapping) else None
    return None if passed is None else not passed


def all_passed(checks: Any) -> bool | None:
    """Whether all checks of a result, as a manifest has them, have passed; None where none was made."""
    found = [
        one["passed"]
        for one in (checks.values() if isinstance(checks, Mapping) else ())
        if isinstance(one, Mapping) and isinstance(one.get("passed"), bool)
    ]
    return all(found) if found else None


def any_failed(checks: Any) -> bool:
    """Whether a check of a result has failed; such a result is the best in nothing."""
    return all_passed(checks) is False


def named_with_checks(name: str, checks: Mapping[str, Any]) -> str:
    """Return what a result is called, and what is wrong with the result beside it."""
    return f"{name} ({LOOKS_AHEAD})" if looks_ahead(checks) else name
