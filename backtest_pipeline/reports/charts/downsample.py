"""Fewer points for the eye that loses no extreme: a long line thinned, many candles made few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.candles import Candles

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS_A_BUCKET = 4


def kept_points(values: NDArray[np.float64], most: int) -> NDArray[np.intp]:
    """Positions of the points to draw of a line: of each bucket the first, lowest, highest and last.

    Both ends and the extremes of the whole line are always among them.

    Args:
        values: shape (n,), without NaN.
        most: how many positions there may be, at least 4.

    Returns:
        Increasing positions, at most `most`; all of them where n is no more than that.

    Raises:
        ValueError: `most` is under 4.
    """
    if most < POINTS_A_BUCKET:
        raise ValueError(f"{POINTS_A_BUCKET} points are the fewest that keep ends and extremes, not {most}")
    count = len(values)
    if count <= most:
        return np.arange(count)
    size = -(-count // (most // POINTS_A_BUCKET))
    whole = count // size
    buckets = values[: whole * size].reshape(whole, size)
    starts = np.arange(whole) * size
    kept = [starts, starts + buckets.argmin(axis=1), starts + buckets.argmax(axis=1), starts + size - 1]
    if rest := count - whole * size:
        tail, start = values[-rest:], whole * size
        kept.append(np.array([start, start + tail.argmin(), start + tail.argmax(), count - 1]))
    return np.unique(np.concatenate(kept))


def fewer_candles(candles: Candles, most: int) -> Candles:
    """Candles that each stand for several: first open, highest high, lowest low, last close, sum of volume.

    Args:
        candles: n bars, at least one.
        most: how many candles there may be, at least 1.

    Returns:
        The candles themselves where n is no more than `most`. Each of the others has the time of the first
        bar that it stands for.
    """
    count = len(candles)
    if count <= most:
        return candles
    starts = np.arange(0, count, bars_a_candle(count, most))
    ends = np.append(starts[1:], count) - 1
    return Candles(
        candles.symbol,
        candles.timeframe,
        candles.timestamp[starts],
        candles.open[starts],
        np.maximum.reduceat(candles.high, starts),
        np.minimum.reduceat(candles.low, starts),
        candles.close[ends],
        np.add.reduceat(candles.volume, starts),
    )


def bars_a_candle(count: int, most: int) -> int:
    """How many bars a candle of `fewer_candles` stands for, the last possibly for fewer."""
    return -(-count // most)
