"""Figures of lists, of trades and of signals by themselves.

Sums are NumPy's, pairwise, so that a list yields the same digits wherever it is added up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, TradesIn, compiled, types

TRADE_FIGURES = (
    "trades",
    "win_rate",
    "avg_trade_return",
    "best_trade_return",
    "worst_trade_return",
    "profit_factor",
    "expectancy",
    "sqn",
    "kelly",
    "avg_bars_held",
    "fees_paid",
)
"""Names of what `trade_figures` writes, in its order."""

SIGNAL_FIGURES = ("signals", "signal_win_rate", "signal_avg_return", "signal_max_drawdown")
"""Names of what `signal_figures` writes, in its order."""

LANES, LEAF = 8, 128


@compiled(types.float64(FloatsIn))
def pairwise_sum(values: Any) -> float:
    """The sum as `numpy.sum` takes it: halves, down to parts of 128 values that are added in eight lanes."""
    count = len(values)
    if count < LANES:
        total = -0.0
        for value in values:
            total += value
        return total
    if count <= LEAF:
        lanes = values[:LANES].copy()
        whole = count - count % LANES
        for start in range(LANES, whole, LANES):
            part = values[start : start + LANES]
            for lane in range(LANES):
                lanes[lane] += part[lane]
        left = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
        total = left + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
        for value in values[whole:]:
            total += value
        return float(total)
    half = count // 2
    half -= half % LANES
    both: float = pairwise_sum(values[:half]) + pairwise_sum(values[half:])
    return both


@compiled()
def _sum(values: Any) -> float:
    total: float = 0.0 + pairwise_sum(values)  # of nothing it is 0, not -0
    return total


@compiled()
def _kept_numbers(found: Any) -> None:
    """Leaves no infinity among the figures."""
    for place in range(len(found)):
        if not np.isfinite(found[place]):
            found[place] = np.nan


@compiled(types.void(TradesIn, FloatsOut, FloatsOut))
def trade_figures(trades: Any, spare: Any, found: Any) -> None:
    """Writes every figure that needs the trades alone; `trade_metrics` tells what each of them is.

    Args:
        trades: shape (m,), dtype `TRADE`.
        spare: shape (m,) or more, used up.
        found: shape (figures,), written in the order of `TRADE_FIGURES`; no number where there is none.
    """
    count = len(trades)
    found[:] = np.nan
    found[0] = count
    own = spare[:count]
    for place in range(count):
        own[place] = trades[place].fees
    found[10] = _sum(own)
    if count == 0:
        return
    best, worst = -np.inf, np.inf
    held = 0
    for place in range(count):
        own[place] = trades[place].return_frac
        best, worst = max(best, own[place]), min(worst, own[place])
        held += trades[place].exit_bar - trades[place].entry_bar
    found[2] = _sum(own) / count
    found[3], found[4] = best, worst
    found[9] = held / count

    for place in range(count):
        own[place] = trades[place].pnl
    mean = _sum(own) / count
    found[6] = mean
    gains = losses = 0
    for place in range(count):
        own[gains] = trades[place].pnl
        gains += trades[place].pnl > 0.0
    gained = _sum(own[:gains])
    for place in range(count):
        own[losses] = trades[place].pnl
        losses += trades[place].pnl < 0.0
    lost = -_sum(own[:losses])
    win_rate = gains / count
    found[1] = win_rate
    found[5] = gained / lost if lost > 0.0 else np.nan
    payoff = (gained / gains) / (lost / losses) if gains > 0 and losses > 0 else np.nan
    found[8] = win_rate - (1.0 - win_rate) / payoff if payoff > 0.0 else np.nan
    if count > 1:
        for place in range(count):
            distance = trades[place].pnl - mean
            own[place] = distance * distance
        deviation = np.sqrt(_sum(own) / (count - 1))
        found[7] = np.sqrt(float(count)) * mean / deviation if deviation > 0.0 else np.nan
    _kept_numbers(found)


@compiled(types.void(FloatsIn, FloatsOut, FloatsOut))
def signal_figures(returns: Any, spare: Any, found: Any) -> None:
    """Writes what signals were worth by themselves; `study_metrics` tells what each figure is.

    Args:
        returns: shape (m,), in the order of time, no number where a signal found no exit.
        spare: shape (m,) or more, used up.
        found: shape (figures,), written in the order of `SIGNAL_FIGURES`; no number where there is none.
    """
    found[:] = np.nan
    found[0] = len(returns)
    count = won = 0
    fall, below_peak = 0.0, 1.0
    for value in returns:
        if not np.isnan(value):
            spare[count] = value
            count += 1
            won += value > 0.0
            below_peak = min(below_peak * max(1.0 + value, 0.0), 1.0)
            fall = max(fall, 1.0 - below_peak)
    if count > 0:
        found[1] = won / count
        found[2] = _sum(spare[:count]) / count
        found[3] = fall
    _kept_numbers(found)
