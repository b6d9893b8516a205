"""Numbers that only pages show: months, histograms of returns, correlation of symbols."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtest_pipeline.model.market_days import market_days, seconds_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.timeframe import Timeframe

    Floats = NDArray[np.float64]

MOST_BINS = 40
FARTHEST_BINS = 2.0


def monthly_returns(
    timestamp: NDArray[np.datetime64], equity: Floats, initial_cash: float
) -> dict[int, dict[int, float]]:
    """The account's return in each month that has bars, from month's end to month's end.

    The first month is measured from the initial cash. A month that began without money has none.

    Args:
        timestamp: shape (n,), the bars' days or moments, as `days_of` has them.
        equity: shape (n,), at the bars' closes.
        initial_cash: before the first bar.

    Returns:
        By year and by month, 1 to 12.
    """
    months = timestamp.astype("datetime64[M]").astype(np.int64)
    ends = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    before = np.append(initial_cash, equity[ends[:-1]])
    returns: dict[int, dict[int, float]] = {}
    for month, start, end in zip(months[ends].tolist(), before, equity[ends], strict=True):
        if start > 0.0:
            returns.setdefault(1970 + month // 12, {})[month % 12 + 1] = float(end / start - 1.0)
    return returns


def days_of(timestamp: NDArray[np.datetime64], timeframe: Timeframe) -> NDArray[np.datetime64]:
    """The day of each bar, `datetime64[D]`: the market's own for daily and weekly bars, else the one in UTC.

    A daily bar of 1 February in Seoul opens on 31 January in UTC and belongs to February.
    """
    if timeframe in {"1d", "1w"}:
        return market_days(seconds_of(timestamp)).astype("datetime64[D]")
    return timestamp.astype("datetime64[D]")


def compounded(returns: Sequence[float]) -> float:
    """What returns in a row make together."""
    return math.prod(1.0 + value for value in returns) - 1.0


def return_histogram(returns: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Counts of returns in bins of a round width of which one edge is 0.

    What lies farther than twice the middle half's width beyond that half counts in the outermost bins,
    so that one outlier does not put all others into one bin.

    Args:
        returns: shape (m,), at least one.

    Returns:
        Counts of shape (k,) and edges of shape (k + 1,).
    """
    low, high = extremes_of(returns)
    lower, upper = np.quantile(returns, [0.25, 0.75]).tolist()
    if reach := FARTHEST_BINS * (upper - lower):
        low, high = max(low, lower - reach), min(high, upper + reach)
    low, high = min(low, 0.0), max(high, 0.0)
    width = _round_up((high - low) / min(MOST_BINS, max(2 * math.isqrt(len(returns)), 6))) or 0.01
    first = min(math.floor(low / width), -1 if (returns < 0.0).any() else 0)
    least = 1 if (returns >= 0.0).any() else 0  # a trade that returned exactly 0 lost nothing
    last = max(math.ceil(high / width), least, first + 1)
    # Cut before the cast: where most returns are next to nothing, the others are more bins away than fit.
    place = np.clip(np.floor(returns / width), first, last - 1).astype(np.int64)
    counts = np.bincount(place - first, minlength=last - first).astype(np.int64)
    return counts, np.arange(first, last + 1, dtype=np.float64) * width


def extremes_of(returns: Floats) -> tuple[float, float]:
    """The lowest and the highest return."""
    return float(returns.min()), float(returns.max())


def correlation(candles: Mapping[str, Candles], symbols: Sequence[str]) -> Floats:
    """Correlation of the symbols' returns from day to day (week to week for weekly candles).

    Returns:
        Shape (k, k) for k symbols; NaN where two have fewer than three returns in common or one never moves.
    """
    closes = {}
    for symbol in symbols:
        own = candles[symbol]
        days = days_of(own.timestamp, own.timeframe)
        ends = np.append(np.flatnonzero(np.diff(days).astype(np.int64)), len(days) - 1)
        closes[symbol] = pd.Series(own.close[ends], index=days[ends])
    returns = pd.DataFrame(closes).pct_change(fill_method=None)
    return returns.corr(min_periods=3).to_numpy()


def _round_up(width: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    if width <= 0.0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= width * (1.0 - 1e-9))
