"""Where each signal by itself enters and leaves, and what it is worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FlagsIn, FloatsIn, FloatsOut, IntsOut, compiled, types

SidesOut = types.Array(types.int8, 1, "C")


@compiled()
def _write_signal(
    close: Any,
    bar: Any,
    side: int,
    hold_bars: int,
    way_out: int,
    place: int,
    bars: Any,
    exit_bars: Any,
    sides: Any,
    returns: Any,
) -> None:
    exit_bar = way_out
    if hold_bars >= 0:
        exit_bar = int(np.int64(bar)) + hold_bars
        if exit_bar >= len(close):
            exit_bar = -1
    bars[place] = bar
    exit_bars[place] = exit_bar
    sides[place] = side
    returns[place] = side * (close[exit_bar] / close[bar] - 1.0) if exit_bar >= 0 else np.nan


@compiled(
    types.void(
        *[FlagsIn] * 4,
        FloatsIn,
        types.boolean,
        types.boolean,
        types.int64,
        IntsOut,
        IntsOut,
        SidesOut,
        FloatsOut,
    )
)
def write_study(
    entry: Any,
    exit_: Any,
    short_entry: Any,
    short_exit: Any,
    close: Any,
    longs: bool,
    shorts: bool,
    hold_bars: int,
    bars: Any,
    exit_bars: Any,
    sides: Any,
    returns: Any,
) -> None:
    """Writes the signals by bar, a long one before a short one, from the last to the first.

    A signal leaves at the close `hold_bars` later, or without a holding period at the close of the first
    later bar with an opposite signal: an exit, or where both sides are allowed an entry to the other side.

    Args:
        entry: shape (n,), as the other signals and `close`.
        exit_: signals to leave long.
        short_entry: signals to enter short.
        short_exit: signals to leave short.
        close: closing prices.
        longs: whether long entries count.
        shorts: whether short entries count.
        hold_bars: the holding period, below 0 for none.
        bars: shape (m,), m the number of entries that count; written, as are the following three.
        exit_bars: -1 where the data end before the exit.
        sides: 1 long, -1 short.
        returns: positive where the signal was right; NaN without exit.
    """
    both = longs and shorts
    place = len(bars)
    long_exit = short_exit_bar = -1
    for back in range(len(close)):
        bar = np.uintp(len(close) - 1 - back)  # Numba looks twice at an index that may be negative
        long_here, short_here = longs and entry[bar], shorts and short_entry[bar]
        if short_here:
            place -= 1
            _write_signal(close, bar, -1, hold_bars, short_exit_bar, place, bars, exit_bars, sides, returns)
        if long_here:
            place -= 1
            _write_signal(close, bar, 1, hold_bars, long_exit, place, bars, exit_bars, sides, returns)
        if exit_[bar] or (both and short_here):
            long_exit = int(np.int64(bar))
        if short_exit[bar] or (both and long_here):
            short_exit_bar = int(np.int64(bar))
