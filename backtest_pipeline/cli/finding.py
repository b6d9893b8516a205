"""What `backtest doctor` reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: what was looked at.
        ok: whether it is as it should be.
        detail: what was found and, where it is not ok, what to do.
    """

    what: str
    ok: bool
    detail: str
