"""Candles that go on differently after one of their bars: what an honest strategy cannot notice at that bar.

To cut candles off shows that a signal needs bars that follow, but not always: a strategy that enters unless
the next bar falls enters just as well where there is no next bar. Other bars in place of those that came
show both, so they are made to be the contrary of what came.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, compiled, types

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles

OTHER_BARS = 8
MEASURED_BARS = 64
LEAST_LEAP = 1.01
LARGEST_LEAP = 2.0
LARGEST_RATIO = 4.0
FAR = 3.0
VOLUME_FACTOR = 16.0
JITTER = 1e-6

TableIn = types.Array(types.float64, 2, "C", readonly=True)
TableOut = types.Array(types.float64, 2, "C")


class Manner(IntEnum):
    """How candles go on after a bar.

    Attributes:
        CUT: not at all.
        OPPOSITE: every price on the other side of the bar's close: far away, or near it where the close that
            came next was far away.
        CALM: every price on the other side of the bar's close, but near it.
        AGAINST: without wicks, the closes far away on the other side.
        ALONG: without wicks, the closes far away on the side where they were.
        EXTREME: four times the bar's close and a quarter of it in turn, on 256 times the mean volume.
    """

    CUT = 0
    OPPOSITE = 1
    CALM = 2
    AGAINST = 3
    ALONG = 4
    EXTREME = 5


# A kernel knows plain numbers only.
_OPPOSITE, _CALM, _AGAINST, _ALONG, _EXTREME = (int(manner) for manner in list(Manner)[1:])


def continued(candles: Candles, start: int, bar: int, manner: Manner, *, jitter: int = 0) -> Candles:
    """Candles from `start` to `bar` as they are, followed by at most `OTHER_BARS` others in the manner given.

    The others have the timestamps of the bars that they replace, so there are none after the last bar. Prices
    are sent far away by the range of the last `MEASURED_BARS` closes; those that came count as far away from
    `FAR` times the mean absolute return of these bars on. Volume is a 16th of the mean of the last
    bars where it was more than that, and 16 times as much where it was less.

    Args:
        candles: all bars.
        start: the first bar to keep.
        bar: the last bar to keep.
        manner: how to go on.
        jitter: 0 for the bars as they are; any other number moves each bar's prices and volume by up to a
            millionth, bar by bar, always the same for that number.

    Returns:
        Read-only candles that share no memory with others.
    """
    others = 0 if manner is Manner.CUT else min(OTHER_BARS, len(candles) - 1 - bar)
    stop = bar + 1 + others
    table = np.empty((5, stop - start))
    _write_continued(
        candles.open,
        candles.high,
        candles.low,
        candles.close,
        candles.volume,
        start,
        bar,
        int(manner),
        jitter,
        table,
    )
    timestamp = candles.timestamp[start:stop]
    timestamp.flags.writeable = False
    table.flags.writeable = False
    return replace(
        candles,
        timestamp=timestamp,
        open=table[0],
        high=table[1],
        low=table[2],
        close=table[3],
        volume=table[4],
    )


@compiled()
def _factor(bar: int, jitter: int) -> float:
    """A number within a millionth of 1 that looks random (Steele, Lea and Flood 2014: SplitMix64)."""
    mixed = np.uint64(bar) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(jitter) * np.uint64(0xD1B54A32D192ED03)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    share = float((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) / 2.0**53
    return 1.0 + JITTER * (2.0 * share - 1.0)


@compiled()
def _mirrored(price: float, anchor: float, leap: float, manner: int) -> Any:
    """The price on the other side of the anchor, or for `ALONG` further away on its own side.

    Rises or falls with the price throughout, so that highs remain or become extremes.
    """
    ratio = min(max(anchor / price, 1.0 / LARGEST_RATIO), LARGEST_RATIO)
    if manner == _CALM:
        return anchor * np.sqrt(np.sqrt(np.sqrt(ratio)))
    if price == anchor:
        return anchor
    if price < anchor:
        leap = 1.0 / leap
    if manner == _ALONG:
        return anchor / ratio * leap
    return anchor * ratio / leap


@compiled()
def _measured(close: Any, volume: Any) -> tuple[float, float, float]:
    """Highest over lowest close, mean absolute return and mean volume."""
    lowest = highest = close[0]
    moves, volumes = 0.0, volume[0]
    for place in range(1, len(close)):
        lowest, highest = min(lowest, close[place]), max(highest, close[place])
        moves += abs(close[place] / close[place - 1] - 1.0)
        volumes += volume[place]
    return highest / lowest, moves / max(len(close) - 1, 1), volumes / len(close)


@compiled()
def _write_other(table: Any, place: int, anchor: float, leap: float, manner: int) -> None:
    """Turns the true bar at this place into another."""
    open_, high, low, close = table[0, place], table[1, place], table[2, place], table[3, place]
    if manner == _EXTREME:
        close_ = anchor / LARGEST_RATIO if table[3, place - 1] > anchor else anchor * LARGEST_RATIO
    else:
        close_ = _mirrored(close, anchor, leap, manner)
    if manner in (_AGAINST, _ALONG, _EXTREME):
        opened = table[3, place - 1]
        top, bottom = max(opened, close_), min(opened, close_)
    else:
        opened = _mirrored(open_, anchor, leap, manner)
        top, bottom = _mirrored(low, anchor, leap, manner), _mirrored(high, anchor, leap, manner)
    if opened == anchor:  # a gap where there was none
        opened = 0.5 * (anchor + close_)
    table[0, place], table[1, place], table[2, place], table[3, place] = opened, top, bottom, close_


@compiled(
    types.void(
        FloatsIn,
        FloatsIn,
        FloatsIn,
        FloatsIn,
        FloatsIn,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        TableOut,
    )
)
def _write_continued(
    open_: Any,
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    start: int,
    bar: int,
    manner: int,
    jitter: int,
    table: Any,
) -> None:
    """Writes open, high, low, close and volume into the table's rows."""
    kept, bars = bar + 1 - start, table.shape[1]
    for place in range(bars):
        source = np.uintp(start + place)
        table[0, place] = open_[source]
        table[1, place] = high[source]
        table[2, place] = low[source]
        table[3, place] = close[source]
        table[4, place] = volume[source]
    if jitter != 0:
        for place in range(kept):
            factor = _factor(start + place, jitter)
            for row in range(5):
                table[row, place] *= factor
    if bars == kept:
        return
    first = max(kept - MEASURED_BARS, 0)
    span, move, mean_volume = _measured(table[3, first:kept], table[4, first:kept])
    anchor = table[3, kept - 1]
    leap = min(max(span, LEAST_LEAP), LARGEST_LEAP)
    if manner == _OPPOSITE and abs(table[3, kept] / anchor - 1.0) > FAR * move:
        manner = _CALM
    if mean_volume == 0.0:
        mean_volume = 1.0
    for place in range(kept, bars):
        _write_other(table, place, anchor, leap, manner)
        if manner == _EXTREME:
            table[4, place] = mean_volume * VOLUME_FACTOR**2
        else:
            more = table[4, place] > mean_volume
            table[4, place] = mean_volume / VOLUME_FACTOR if more else mean_volume * VOLUME_FACTOR


@compiled(
    types.void(
        TableIn,
        TableIn,
        TableIn,
        TableIn,
        TableIn,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.Array(types.float64, 3, "C"),
    )
)
def write_continued_panel(
    open_: Any,
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    start: int,
    row: int,
    manner: int,
    jitter: int,
    tables: Any,
) -> None:
    """Writes what `continued` says for each symbol of a panel.

    Symbols are moved each in its own way by `jitter`, so that equal prices are equal no longer. One that has
    no bar up to the last row to keep has none after it either: nobody knows that it will come.

    Args:
        open_: shape (k, n), NaN where a symbol has no bar; as the next four.
        high: likewise.
        low: likewise.
        close: likewise.
        volume: likewise.
        start: the first row to keep.
        row: the last row to keep.
        manner: how to go on.
        jitter: as for `continued`.
        tables: shape (5, k, m), for open, high, low, close and volume of the rows from `start` on; written.
    """
    symbols, rows = close.shape[0], tables.shape[2]
    source, places = np.empty((5, rows)), np.empty(rows, dtype=np.int64)
    for symbol in range(symbols):
        bars = kept = 0
        for place in range(rows):
            at = start + place
            for column in range(5):
                tables[column, symbol, place] = np.nan
            if np.isnan(close[symbol, at]) or (at > row and bars == 0):
                continue
            source[0, bars], source[1, bars] = open_[symbol, at], high[symbol, at]
            source[2, bars], source[3, bars] = low[symbol, at], close[symbol, at]
            source[4, bars], places[bars] = volume[symbol, at], place
            bars += 1
            kept += at <= row
        if kept == 0:
            continue
        own_jitter = jitter * symbols + symbol if jitter != 0 else 0
        table = np.empty((5, bars))
        _write_continued(
            source[0], source[1], source[2], source[3], source[4], 0, kept - 1, manner, own_jitter, table
        )
        for bar in range(bars):
            for column in range(5):
                tables[column, symbol, places[bar]] = table[column, bar]
