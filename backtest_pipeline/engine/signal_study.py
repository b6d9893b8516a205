"""The signal study: what each signal was worth by itself, whatever the portfolio did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.metrics.list_kernels import SIGNAL_FIGURES, signal_figures
from backtest_pipeline.engine.study_kernel import write_study

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request_values import Direction
    from backtest_pipeline.model.result import Metrics
    from backtest_pipeline.model.signal_checks import CheckedSignals

    Bars = NDArray[np.int64]


NOT_A_TIME = np.datetime64("NaT", "us")


@dataclass(frozen=True, eq=False, slots=True)
class SignalStudy:
    """One symbol's signals, by bar, a long one before a short one.

    Attributes:
        bar: shape (m,), the signal's bar; it enters at this bar's close.
        timestamp, exit_timestamp: shape (m,), of the bar and of the exit's bar; NaT without exit.
        side: shape (m,), int8, 1 long, -1 short.
        exit_bar: shape (m,), the bar at whose close it leaves, -1 where the data end before.
        price, exit_price: shape (m,), closes; NaN without exit.
        confidence: shape (m,), 0 to 1.
        return_frac: shape (m,), positive where the signal was right; NaN without exit.
    """

    bar: Bars
    side: NDArray[np.int8]
    exit_bar: Bars
    timestamp: NDArray[np.datetime64]
    exit_timestamp: NDArray[np.datetime64]
    price: NDArray[np.float64]
    exit_price: NDArray[np.float64]
    confidence: NDArray[np.float64]
    return_frac: NDArray[np.float64]


def study_signals(
    candles: Candles, signals: CheckedSignals, direction: Direction, holding_period_bars: int | None
) -> SignalStudy:
    """Measures every entry signal that the direction allows.

    A signal leaves at the close `holding_period_bars` later, or without a holding period at the close of the
    first later bar with an opposite signal: an exit, or in direction `both` an entry to the other side.
    """
    longs, shorts = direction != "short", direction != "long"
    count = longs * np.count_nonzero(signals.entry) + shorts * np.count_nonzero(signals.short_entry)
    bar, exit_bar = np.empty((2, count), dtype=np.int64)
    side, return_frac = np.empty(count, dtype=np.int8), np.empty(count)
    write_study(
        signals.entry,
        signals.exit,
        signals.short_entry,
        signals.short_exit,
        candles.close,
        longs,
        shorts,
        -1 if holding_period_bars is None else holding_period_bars,
        bar,
        exit_bar,
        side,
        return_frac,
    )
    price = candles.close[bar]
    complete = exit_bar >= 0
    exit_price = np.where(complete, candles.close[exit_bar], np.nan)
    return SignalStudy(
        bar,
        side,
        exit_bar,
        candles.timestamp[bar],
        np.where(complete, candles.timestamp[exit_bar], NOT_A_TIME),
        price,
        exit_price,
        signals.confidence[bar],
        return_frac,
    )


def study_metrics(moments: NDArray[np.datetime64], return_frac: NDArray[np.float64]) -> Metrics:
    """Statistics of the signals that found their exit.

    `signals` counts all of them. `signal_win_rate` is the share of returns above 0, `signal_avg_return`
    their mean, `signal_max_drawdown` the deepest fall below its peak of what they make of 1, one after
    another, as a positive fraction: 0 to 1, for a short that lost more than all leaves nothing.

    Args:
        moments: shape (m,), when each signal came; they follow one another by it.
        return_frac: shape (m,), NaN without exit.
    """
    if (moments[1:] < moments[:-1]).any():
        return_frac = return_frac[np.argsort(moments, kind="stable")]
    found = np.empty(len(SIGNAL_FIGURES))
    signal_figures(return_frac, np.empty_like(return_frac), found)
    values = (None if np.isnan(value) else value for value in found.tolist())
    return dict(zip(SIGNAL_FIGURES, values, strict=True)) | {"signals": len(moments)}
