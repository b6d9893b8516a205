"""The signal study: what each signal was worth by itself, whatever the portfolio did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.compiled import FlagsIn, IntsOut, compiled, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import Direction
    from backtest_pipeline.model.result import Metrics
    from backtest_pipeline.model.strategy import CheckedSignals

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
    both = direction == "both"
    longs = _held(
        signals.entry if direction != "short" else None,
        (signals.exit, signals.short_entry if both else None),
        holding_period_bars,
    )
    shorts = _held(
        signals.short_entry if direction != "long" else None,
        (signals.short_exit, signals.entry if both else None),
        holding_period_bars,
    )
    bar = np.concatenate([longs[0], shorts[0]])
    exit_bar = np.concatenate([longs[1], shorts[1]])
    side = np.repeat(np.array([1, -1], dtype=np.int8), [len(longs[0]), len(shorts[0])])
    if len(longs[0]) and len(shorts[0]):
        order = np.argsort(bar, kind="stable")
        bar, exit_bar, side = bar[order], exit_bar[order], side[order]
    price = candles.close[bar]
    complete = exit_bar >= 0
    exit_price = np.where(complete, candles.close[exit_bar], np.nan)
    return_frac = side * (exit_price / price - 1.0)
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


def _held(
    entry: NDArray[np.bool_] | None,
    opposites: tuple[NDArray[np.bool_], NDArray[np.bool_] | None],
    holding_period_bars: int | None,
) -> tuple[Bars, Bars]:
    """Bars of the entries and of their exits, -1 for none."""
    if entry is None:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing
    bar = _true_bars(entry)
    if holding_period_bars is not None:
        exit_bar = bar + holding_period_bars
        return bar, np.where(exit_bar < len(entry), exit_bar, -1)
    leave, turn = opposites
    ways_out = _true_bars(leave if turn is None or turn is leave else leave | turn)
    following = np.searchsorted(ways_out, bar, side="right")
    return bar, np.append(ways_out, -1)[following]


def _true_bars(flags: NDArray[np.bool_]) -> Bars:
    bars = np.empty(np.count_nonzero(flags) + 1, dtype=np.int64)
    _write_true_bars(flags, bars)
    return bars[:-1]


@compiled(types.void(FlagsIn, IntsOut))
def _write_true_bars(flags: Any, bars: Any) -> None:
    """Writes the bars at which the flag stands; `bars` has one place more than there are."""
    count = 0
    for bar in range(len(flags)):
        bars[count] = bar  # written whether it counts or not, which is cheaper than to guess
        count += flags[bar]


def study_metrics(moments: NDArray[np.datetime64], return_frac: NDArray[np.float64]) -> Metrics:
    """Statistics of the signals that found their exit.

    `signals` counts all of them. `signal_win_rate` is the share of returns above 0, `signal_avg_return`
    their mean, `signal_max_drawdown` the deepest fall of their running sum below its peak, from a start
    of 0, as a positive fraction.

    Args:
        moments: shape (m,), when each signal came; the running sum goes by it.
        return_frac: shape (m,), NaN without exit.
    """
    order = np.argsort(moments, kind="stable")
    returns = return_frac[order]
    returns = returns[~np.isnan(returns)]
    metrics: Metrics = {
        "signals": len(moments),
        "signal_win_rate": None,
        "signal_avg_return": None,
        "signal_max_drawdown": None,
    }
    if len(returns):
        total = np.cumsum(returns)
        peak = np.maximum(np.maximum.accumulate(total), 0.0)
        metrics["signal_win_rate"] = float(np.mean(returns > 0))
        metrics["signal_avg_return"] = float(returns.mean())
        metrics["signal_max_drawdown"] = float(np.max(peak - total))
    return metrics
