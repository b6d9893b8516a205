"""How the indicators are computed, by kernels; what each means is said in `functions.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.indicators.crossing import crossed, crossed_both
from backtest_pipeline.engine.indicators.rolling import rolling_deviation, rolling_highest, rolling_mean
from backtest_pipeline.engine.indicators.sharing import shared
from backtest_pipeline.engine.indicators.smoothing import smooth, split_changes, true_range
from backtest_pipeline.engine.indicators.volume_profile import zone_levels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


def sma(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    mean = np.empty_like(source)
    rolling_mean(source, window, mean)
    return mean


def ema(values: ArrayLike, window: int) -> Floats:
    return _smoothed(_floats(values), window, 2.0 / (window + 1.0))


def rsi(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    gain, loss = np.empty_like(source), np.empty_like(source)
    split_changes(source, gain, loss)
    up, down = _smoothed(gain, window, 1.0 / window), _smoothed(loss, window, 1.0 / window)
    moved = up + down
    strength = np.where(np.isnan(moved), np.nan, 50.0)
    np.divide(100.0 * up, moved, out=strength, where=moved > 0.0)
    return strength


def atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int) -> Floats:
    source = _floats(close)
    spread = np.empty_like(source)
    true_range(_floats(high), _floats(low), source, spread)
    return _smoothed(spread, window, 1.0 / window)


def bollinger(values: ArrayLike, window: int, deviations: float) -> tuple[Floats, Floats, Floats]:
    middle, width = shared(sma, 1, values, window), shared(deviation, 1, values, window) * deviations
    return middle - width, middle, middle + width


def deviation(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    width = np.empty_like(source)
    rolling_deviation(source, shared(sma, 1, values, window), window, width)
    return width


def macd(values: ArrayLike, fast: int, slow: int, signal: int) -> tuple[Floats, Floats]:
    line = shared(difference, 1, values, fast, slow)
    return line, shared(ema, 1, line, signal)


def difference(values: ArrayLike, fast: int, slow: int) -> Floats:
    return shared(ema, 1, values, fast) - shared(ema, 1, values, slow)


def donchian(high: ArrayLike, low: ArrayLike, window: int) -> tuple[Floats, Floats]:
    return shared(lowest, 1, low, window), shared(highest, 1, high, window)


def lowest(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    negated = np.empty_like(source)
    rolling_highest(-source, window, negated)
    return -negated


def highest(values: ArrayLike, window: int) -> Floats:
    source = _floats(values)
    largest = np.empty_like(source)
    rolling_highest(source, window, largest)
    return largest


def body_range(open_: ArrayLike, close: ArrayLike) -> tuple[Floats, Floats]:
    opens, closes = _floats(open_), _floats(close)
    return np.minimum(opens, closes), np.maximum(opens, closes)


def before(values: Floats, bars: int) -> Floats:
    earlier = np.full_like(values, np.nan)
    earlier[bars:] = values[: max(len(values) - bars, 0)]
    return earlier


def zone_level(
    bottom: ArrayLike, top: ArrayLike, volume: ArrayLike, window: int, num_bins: int, top_share: float
) -> Floats:
    bottoms, tops, volumes = _floats(bottom), _floats(top), _floats(volume)
    levels = np.empty_like(volumes)
    low_end, high_end = shared(lowest, 1, bottom, window), shared(highest, 1, top, window)
    zone_levels(bottoms, tops, volumes, low_end, high_end, window, num_bins, top_share, levels)
    return levels


def crossed_above(left: ArrayLike, right: ArrayLike) -> Flags:
    upper, lower = _floats(left), _floats(right)
    if len(upper) != len(lower):
        upper, lower = _broadcast(upper, lower)
    flags = np.empty(len(upper), dtype=np.bool_)
    crossed(upper, lower, flags)
    return flags


def crossings(left: ArrayLike, right: ArrayLike) -> tuple[Flags, Flags]:
    upper, lower = _floats(left), _floats(right)
    if len(upper) != len(lower):
        upper, lower = _broadcast(upper, lower)
    above, below = np.empty(len(upper), dtype=np.bool_), np.empty(len(upper), dtype=np.bool_)
    crossed_both(upper, lower, above, below)
    return above, below


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
