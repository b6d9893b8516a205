"""Candles of several symbols on one time axis: what a portfolio strategy sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe


@dataclass(frozen=True, eq=False, slots=True)
class Panel:
    """Candles of k symbols on one axis of n moments, oldest first.

    A row is a place on the grid of the timeframe at which any symbol has a bar: a day (`1d`), a week or a
    bar's length; symbols that open at different hours share a day's row. A row is known when the last of its
    bars has ended.

    Attributes:
        symbols: shape (k,), in the request's order.
        timeframe: length of a bar.
        timestamp: shape (n,), `datetime64[us]`, UTC, the latest open of a row's bars.
        day: shape (n,), `datetime64[D]`, the day of the grid: the market's own day (`1d`), the Monday of the
            week (`1w`) or the day in UTC. Its weeks begin on Monday, and `day.astype("datetime64[M]")` are
            its months.
        open, high, low, close: shape (n, k), float64, NaN where the symbol has no bar.
        volume: shape (n, k), float64, NaN where the symbol has no bar.
    """

    symbols: tuple[str, ...]
    timeframe: Timeframe
    timestamp: NDArray[np.datetime64]
    day: NDArray[np.datetime64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.timestamp)
