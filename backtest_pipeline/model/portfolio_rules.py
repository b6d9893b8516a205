"""What a request has to be like for a strategy that trades a portfolio."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtest_pipeline.model.request import BacktestRequest

_WEIGHTS_SIZE = "weights say how large positions are"
_WEIGHTS_COUNT = "weights say which positions there are"
_NO_ORDERS = "weights place no pending orders"
_NO_SIGNALS = "there are no signals that could be in conflict"

_UNUSED: tuple[tuple[str, Callable[[BacktestRequest], object], object, str], ...] = (
    ("max_positions", lambda request: request.max_positions, None, _WEIGHTS_COUNT),
    ("sizing", lambda request: request.sizing, "fraction", _WEIGHTS_SIZE),
    ("position_frac", lambda request: request.position_frac, 1, _WEIGHTS_SIZE),
    ("max_entries", lambda request: request.max_entries, 1, _WEIGHTS_SIZE),
    ("good_for_bars", lambda request: request.good_for_bars, 1, _NO_ORDERS),
    ("limit_fills_on_touch", lambda request: request.limit_fills_on_touch, False, _NO_ORDERS),
    ("on_conflict", lambda request: request.on_conflict, "exit", _NO_SIGNALS),
)
"""Fields that would change nothing, how they are read, their defaults, and why they are of no use."""


def portfolio_problems(request: BacktestRequest, varied: Collection[str] = ()) -> list[tuple[str, str]]:
    """Fields of a request that a portfolio strategy cannot be run with, and what to write instead.

    Args:
        request: what is asked for.
        varied: fields that are not judged, as a search sets them.
    """
    problems = []
    if request.account != "shared" and "account" not in varied:
        problems.append(("account", "a portfolio strategy trades one account; write shared, not split"))
    for field, read, default, why in _UNUSED:
        value = read(request)
        if value != default and field not in varied:
            problems.append((field, f"{why}; leave out {value!r}"))
    return problems
