"""The value at risk: a quantile of the returns, without sorting them."""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, compiled, types

TAIL = 0.05
MOST_SAMPLED = 4_096
FEWEST_BARS_A_SAMPLE = 16
SAMPLE_TAIL = 2.0 * TAIL


@compiled()
def _selected(values: Any, place: int) -> float:
    """The value that sorting would put at the place; moves values around (Hoare's selection)."""
    left, right = 0, len(values) - 1
    while right > left:
        middle = (left + right) // 2
        low, high = min(values[left], values[right]), max(values[left], values[right])
        pivot = min(max(values[middle], low), high)
        up, down = left, right
        while up <= down:
            while values[up] < pivot:
                up += 1
            while values[down] > pivot:
                down -= 1
            if up <= down:
                values[up], values[down] = values[down], values[up]
                up += 1
                down -= 1
        if place <= down:
            right = down
        elif place >= up:
            left = up
        else:
            break
    chosen: float = values[place]
    return chosen


@compiled()
def _likely_limit(returns: Any, spare: Any) -> float:
    """A value that probably more than the tail lies below, from a sample of the returns."""
    step = max(len(returns) // MOST_SAMPLED, FEWEST_BARS_A_SAMPLE)
    count = 0
    for bar in range(0, len(returns), step):
        if not np.isnan(returns[bar]):
            spare[count] = returns[bar]
            count += 1
    if count == 0:
        return np.nan
    return _selected(spare[:count], min(int(SAMPLE_TAIL * count) + 1, count - 1))


@compiled()
def _highest(values: Any) -> float:
    highest: float = values[0]
    for value in values:
        highest = max(highest, value)
    return highest


@compiled(types.float64(FloatsIn, FloatsOut))
def value_at_risk(returns: Any, kept: Any) -> float:
    """The loss that one bar in twenty exceeds: minus the returns' 5 % quantile, interpolated linearly.

    As `-empyrical.value_at_risk(returns, 0.05)`. Negative where even the worst bars gained. Only what lies
    below a likely limit is looked at closely, and all where the limit was too low.

    Args:
        returns: shape (n,).
        kept: shape (n,), used up.
    """
    rank = TAIL * (len(returns) - 1)
    lower = int(np.floor(rank))
    upper = min(lower + 1, len(returns) - 1)
    limit = _likely_limit(returns, kept)
    count = 0
    for value in returns:
        kept[count] = value  # written whether it counts or not, which is cheaper than to guess
        count += value < limit
    equal = 0
    if upper >= count:
        for value in returns:
            equal += value == limit
    if upper >= count + equal:  # the limit was too low, or there are values that are no numbers
        count = 0
        for value in returns:
            if not np.isnan(value):
                kept[count] = value
                count += 1
        limit = np.nan
    high = limit
    low = limit
    if upper < count:
        high = _selected(kept[:count], upper)
    if lower < count:
        low = high if lower == upper else _highest(kept[: min(upper, count)])
    return 0.0 - (low + (high - low) * (rank - lower))
