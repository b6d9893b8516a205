"""The deepest drawdowns of an account, each from its peak over its trough to its recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_DRAWDOWNS = 10
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Drawdown:
    """One stretch below a peak.

    Attributes:
        peak: the last bar at the peak, the first bar where that is the initial cash.
        trough: the bar of the lowest equity.
        recovery: the first bar that is no lower than the peak, or `None`.
        last: the recovery, or the last bar without one.
        depth_frac: how far the trough lies below the peak.
        days: calendar days from `peak` to `last`.
    """

    peak: np.datetime64
    trough: np.datetime64
    recovery: np.datetime64 | None
    last: np.datetime64
    depth_frac: float
    days: float


def deepest_drawdowns(
    moment: NDArray[np.datetime64], equity: Floats, initial_cash: float, most: int = MOST_DRAWDOWNS
) -> list[Drawdown]:
    """The deepest drawdowns, deepest first; the earlier one of two that are as deep.

    Args:
        moment: shape (n,), `datetime64[us]`, of the bars.
        equity: shape (n,), at their closes.
        initial_cash: the peak before the first bar.
        most: how many at most.
    """
    peaks = np.maximum(np.maximum.accumulate(equity), initial_cash)
    below = np.concatenate([[False], equity < peaks, [False]])
    starts, stops = np.flatnonzero(~below[:-1] & below[1:]), np.flatnonzero(below[:-1] & ~below[1:])
    if not len(starts):
        return []
    depth_frac = 1.0 - equity / peaks
    deepest = np.maximum.reduceat(np.append(depth_frac, 0.0), np.column_stack([starts, stops]).ravel())[::2]
    found = []
    for place in np.argsort(-deepest, kind="stable")[:most].tolist():
        start, stop = int(starts[place]), int(stops[place])
        trough = start + int(np.argmax(depth_frac[start:stop]))
        recovery = moment[stop] if stop < len(equity) else None
        peak, last = moment[max(start - 1, 0)], moment[min(stop, len(equity) - 1)]
        days = float((last - peak) / np.timedelta64(DAY_US, "us"))
        found.append(Drawdown(peak, moment[trough], recovery, last, float(depth_frac[trough]), days))
    return found
