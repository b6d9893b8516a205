"""The root of all errors of this package, and how their messages list names."""

from __future__ import annotations

from collections.abc import Sequence


class BacktestError(Exception):
    """The root of every error that this package raises on purpose."""

    retryable = False


def listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
