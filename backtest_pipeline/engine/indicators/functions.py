"""Indicators for strategies: arrays in, arrays of the same length out, NaN until there are enough bars.

Each takes time in proportion to the number of bars, whatever its window, save for the volume profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.indicators.crossing import crossed, crossed_both
from backtest_pipeline.engine.indicators.rolling import rolling_deviation, rolling_highest, rolling_mean
from backtest_pipeline.engine.indicators.sharing import handed_out, shared
from backtest_pipeline.engine.indicators.smoothing import smooth, split_changes, true_range
from backtest_pipeline.engine.indicators.volume_profile import zone_levels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


def sma(values: ArrayLike, window: int) -> Floats:
    """Simple moving average: the mean of the `window` values that end at the bar.

    Correct to the last digit whatever came before the window; as `talib.SMA` but for rounding.
    """
    return handed_out(_sma, 1, values, window)


def ema(values: ArrayLike, window: int) -> Floats:
    """Exponential moving average with weight 2 / (window + 1), started by the first window's mean.

    As `talib.EMA`.
    """
    return handed_out(_ema, 1, values, window)


def rsi(values: ArrayLike, window: int) -> Floats:
    """Relative strength index, 0 to 100, with Wilder's smoothing ("New Concepts", 1978).

    As `talib.RSI`, except that values which never move have 50, where TA-Lib says 0, which would read as
    oversold.
    """
    return handed_out(_rsi, 1, values, window)


def atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int) -> Floats:
    """Average true range with Wilder's smoothing, from the second bar on; as `talib.ATR`."""
    return handed_out(_atr, 3, high, low, close, window)


def bollinger(values: ArrayLike, window: int, deviations: float) -> tuple[Floats, Floats, Floats]:
    """Bollinger bands: the moving average and that many standard deviations (ddof 0) below and above.

    As `talib.BBANDS` but for rounding.

    Returns:
        Lower band, middle, upper band.
    """
    return handed_out(_bollinger, 1, values, window, deviations)


def macd(values: ArrayLike, fast: int, slow: int, signal: int) -> tuple[Floats, Floats]:
    """Moving average convergence divergence: the difference of two EMAs, and that difference's own EMA.

    Each EMA starts as early as it can. `talib.MACD` starts the fast one late, so that the two differ at
    first and agree once the start has faded.

    Returns:
        The difference and its signal line.
    """
    return handed_out(_macd, 1, values, fast, slow, signal)


def donchian(high: ArrayLike, low: ArrayLike, window: int) -> tuple[Floats, Floats]:
    """Donchian channel: lowest low and highest high of the `window` bars that end at the bar.

    As `talib.MIN` and `talib.MAX`.

    Returns:
        Lower and upper end.
    """
    return handed_out(_donchian, 2, high, low, window)


def body_range(open_: ArrayLike, close: ArrayLike) -> tuple[Floats, Floats]:
    """Lower and upper end of each bar's body: the lower and the higher of its open and close."""
    return handed_out(_body_range, 2, open_, close)


def before(values: Floats, bars: int = 1) -> Floats:
    """What the values were that many bars before; NaN at the first bars."""
    return handed_out(_before, 1, values, bars)


def crossed_above(left: ArrayLike, right: ArrayLike) -> Flags:
    """Where `left` is above `right` and was not at the bar before; never where one of the four is NaN.

    One of them may be a single number.
    """
    upper, lower = _floats(left), _floats(right)
    if len(upper) != len(lower):
        upper, lower = _broadcast(upper, lower)
    flags = np.empty(len(upper), dtype=np.bool_)
    crossed(upper, lower, flags)
    return flags


def crossed_below(left: ArrayLike, right: ArrayLike) -> Flags:
    """Where `left` is below `right` and was not at the bar before; as `crossed_above`."""
    return crossed_above(right, left)


def crossings(left: ArrayLike, right: ArrayLike) -> tuple[Flags, Flags]:
    """Where `left` crosses above `right`, and where below: `crossed_above` and `crossed_below` at once."""
    upper, lower = _floats(left), _floats(right)
    if len(upper) != len(lower):
        upper, lower = _broadcast(upper, lower)
    above, below = np.empty(len(upper), dtype=np.bool_), np.empty(len(upper), dtype=np.bool_)
    crossed_both(upper, lower, above, below)
    return above, below


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
    return handed_out(_zone_level, 3, bottom, top, volume, window, num_bins, top_share)


def _sma(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    mean = np.empty_like(source)
    rolling_mean(source, window, mean)
    return mean


def _ema(values: ArrayLike, window: int) -> Floats:
    return _smoothed(_floats(values), window, 2.0 / (window + 1.0))


def _rsi(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    gain, loss = np.empty_like(source), np.empty_like(source)
    split_changes(source, gain, loss)
    up, down = _smoothed(gain, window, 1.0 / window), _smoothed(loss, window, 1.0 / window)
    moved = up + down
    strength = np.where(np.isnan(moved), np.nan, 50.0)
    np.divide(100.0 * up, moved, out=strength, where=moved > 0.0)
    return strength


def _atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int) -> Floats:
    source = _floats(close)
    spread = np.empty_like(source)
    true_range(_floats(high), _floats(low), source, spread)
    return _smoothed(spread, window, 1.0 / window)


def _bollinger(values: ArrayLike, window: int, deviations: float) -> tuple[Floats, Floats, Floats]:
    middle, width = shared(_sma, 1, values, window), shared(_deviation, 1, values, window) * deviations
    return middle - width, middle, middle + width


def _deviation(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    width = np.empty_like(source)
    rolling_deviation(source, shared(_sma, 1, values, window), window, width)
    return width


def _macd(values: ArrayLike, fast: int, slow: int, signal: int) -> tuple[Floats, Floats]:
    difference = shared(_difference, 1, values, fast, slow)
    return difference, shared(_ema, 1, difference, signal)


def _difference(values: ArrayLike, fast: int, slow: int) -> Floats:
    return shared(_ema, 1, values, fast) - shared(_ema, 1, values, slow)


def _donchian(high: ArrayLike, low: ArrayLike, window: int) -> tuple[Floats, Floats]:
    return shared(_lowest, 1, low, window), shared(_highest, 1, high, window)


def _lowest(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    lowest = np.empty_like(source)
    rolling_highest(-source, window, lowest)
    return -lowest


def _highest(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    highest = np.empty_like(source)
    rolling_highest(source, window, highest)
    return highest


def _body_range(open_: ArrayLike, close: ArrayLike) -> tuple[Floats, Floats]:
    opens, closes = _floats(open_), _floats(close)
    return np.minimum(opens, closes), np.maximum(opens, closes)


def _before(values: Floats, bars: int) -> Floats:
    earlier = np.full_like(values, np.nan)
    earlier[bars:] = values[: max(len(values) - bars, 0)]
    return earlier


def _zone_level(
    bottom: ArrayLike, top: ArrayLike, volume: ArrayLike, window: int, num_bins: int, top_share: float
) -> Floats:
    bottoms, tops, volumes = _floats(bottom), _floats(top), _floats(volume)
    levels = np.empty_like(volumes)
    lowest, highest = shared(_lowest, 1, bottom, window), shared(_highest, 1, top, window)
    zone_levels(bottoms, tops, volumes, lowest, highest, window, num_bins, top_share, levels)
    return levels


def _smoothed(source: Floats, window: int, weight: float) -> Floats:
    average = np.empty_like(source)
    smooth(source, window, weight, average)
    return average


def _broadcast(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Repeats a single number; far quicker for that than NumPy, which refuses other differences in length."""
    if len(left) == 1:
        return np.full(len(right), left[0]), right
    if len(right) == 1:
        return left, np.full(len(left), right[0])
    np.broadcast_arrays(left, right)
    return left, right


def _floats(values: Any) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64)
