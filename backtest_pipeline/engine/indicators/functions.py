"""Indicators for strategies: arrays in, arrays of the same length out, NaN until there are enough bars.

Each takes time in proportion to the number of bars, whatever its window, save for the volume profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backtest_pipeline.engine.indicators.sharing import handed_out
from backtest_pipeline.quick_imports import ImportedWhenUsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from backtest_pipeline.engine.indicators import computations, panel_columns

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
else:  # whoever only asks for a strategy's parameters needs neither NumPy nor Numba
    computations = ImportedWhenUsed("backtest_pipeline.engine.indicators.computations")
    panel_columns = ImportedWhenUsed("backtest_pipeline.engine.indicators.panel_columns")


def sma(values: ArrayLike, window: int) -> Floats:
    """Simple moving average: the mean of the `window` values that end at the bar.

    Correct to the last digit whatever came before the window; as `talib.SMA` but for rounding.
    """
    return handed_out(computations.sma, 1, values, window)


def ema(values: ArrayLike, window: int) -> Floats:
    """Exponential moving average with weight 2 / (window + 1), started by the first window's mean.

    As `talib.EMA`.
    """
    return handed_out(computations.ema, 1, values, window)


def rsi(values: ArrayLike, window: int) -> Floats:
    """Relative strength index, 0 to 100, with Wilder's smoothing ("New Concepts", 1978).

    As `talib.RSI`, except that values which never move have 50, where TA-Lib says 0, which would read as
    oversold.
    """
    return handed_out(computations.rsi, 1, values, window)


def atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int) -> Floats:
    """Average true range with Wilder's smoothing, from the second bar on; as `talib.ATR`."""
    return handed_out(computations.atr, 3, high, low, close, window)


def bollinger(values: ArrayLike, window: int, deviations: float) -> tuple[Floats, Floats, Floats]:
    """Bollinger bands: the moving average and that many standard deviations (ddof 0) below and above.

    As `talib.BBANDS` but for rounding.

    Returns:
        Lower band, middle, upper band.
    """
    return handed_out(computations.bollinger, 1, values, window, deviations)


def deviation(values: ArrayLike, window: int) -> Floats:
    """Standard deviation (ddof 0) of the `window` values that end at the bar; as `talib.STDDEV`."""
    return handed_out(computations.deviation, 1, values, window)


def macd(values: ArrayLike, fast: int, slow: int, signal: int) -> tuple[Floats, Floats]:
    """Moving average convergence divergence: the difference of two EMAs, and that difference's own EMA.

    Each EMA starts as early as it can. `talib.MACD` starts the fast one late, so that the two differ at
    first and agree once the start has faded.

    Returns:
        The difference and its signal line.
    """
    return handed_out(computations.macd, 1, values, fast, slow, signal)


def donchian(high: ArrayLike, low: ArrayLike, window: int) -> tuple[Floats, Floats]:
    """Donchian channel: lowest low and highest high of the `window` bars that end at the bar.

    As `talib.MIN` and `talib.MAX`.

    Returns:
        Lower and upper end.
    """
    return handed_out(computations.donchian, 2, high, low, window)


def body_range(open_: ArrayLike, close: ArrayLike) -> tuple[Floats, Floats]:
    """Lower and upper end of each bar's body: the lower and the higher of its open and close."""
    return handed_out(computations.body_range, 2, open_, close)


def before(values: Floats, bars: int = 1) -> Floats:
    """What the values were that many bars before, of a panel's columns as well; NaN at the first bars."""
    return handed_out(computations.before, 1, values, bars)


def crossed_above(left: ArrayLike, right: ArrayLike) -> Flags:
    """Where `left` is above `right` and was not at the bar before; never where one of the four is NaN.

    One of them may be a single number.
    """
    return computations.crossed_above(left, right)


def crossed_below(left: ArrayLike, right: ArrayLike) -> Flags:
    """Where `left` is below `right` and was not at the bar before; as `crossed_above`."""
    return crossed_above(right, left)


def crossings(left: ArrayLike, right: ArrayLike) -> tuple[Flags, Flags]:
    """Where `left` crosses above `right`, and where below: `crossed_above` and `crossed_below` at once."""
    return computations.crossings(left, right)


def volume_zone_level(
    bottom: ArrayLike, top: ArrayLike, volume: ArrayLike, window: int, num_bins: int, top_share: float
) -> Floats:
    """Lower edge of the volume-by-price zone that holds the top share of the volume of the bars before.

    Over the `window` bars before each bar (itself excluded), the range from the lowest `bottom` to the
    highest `top` is cut into `num_bins` equal bins. A bar's volume spreads evenly over its own range; a bar
    without height puts it all into the bin that holds its price. From the highest bin downwards the volumes
    are added up until they reach `top_share` of the window's (to within 1e-12 of it, as rounding would
    otherwise decide); the level is that bin's lower edge, `lowest + bin * width`.

    Args:
        bottom: shape (n,), lower end of each bar's range in price.
        top: shape (n,), its upper end.
        volume: shape (n,).
        window: bars.
        num_bins: bins.
        top_share: 0 to 1.

    Returns:
        Shape (n,); NaN where the window is not full or has no volume. A window that is a single price has
        that price as its level. Takes time in proportion to n * window * log2(num_bins).
    """
    return handed_out(computations.zone_level, 3, bottom, top, volume, window, num_bins, top_share)


def by_symbol(indicator: Callable[..., Floats], *tables: Floats, **arguments: Any) -> Floats:
    """An indicator of each symbol of a panel, computed on the symbol's own bars.

    As in `by_symbol(sma, panel.close, window=200)`, or of several columns
    `by_symbol(atr, panel.high, panel.low, panel.close, window=14)`.

    Args:
        indicator: takes arrays of shape (bars,), one for each table, and gives one.
        tables: shape (n, k), NaN where a symbol has no bar.
        arguments: the indicator's other arguments.

    Returns:
        Shape (n, k); where a symbol has no bar, what its bar before has, and NaN before its first.
    """
    asked = (*tables, indicator, *arguments.items())
    if "<" in getattr(indicator, "__qualname__", "<"):  # made anew at each call, it is never met again
        return panel_columns.by_symbol(*asked)
    return handed_out(panel_columns.by_symbol, len(tables), *asked)


def carried(table: Floats) -> Floats:
    """A panel's column with each symbol's latest value where it has none, and NaN before its first.

    Args:
        table: shape (n, k).
    """
    return handed_out(panel_columns.carried, 1, table)
