"""Statistics that only reports show, each with its formula and where that comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.sentence import Sentence
from backtest_pipeline.reports.rolling_statistics import bar_returns

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult

    Floats = NDArray[np.float64]

TAIL = 0.05
MISSING = "-"
PERIODS = {"day": "D", "month": "M", "year": "Y"}


@dataclass(frozen=True, slots=True)
class Statistic:
    """A line of the tear sheet: what it is called, its value with unit, what it means."""

    title: str
    text: str | Sentence
    meaning: str


def tear_sheet(result: BacktestResult, days: NDArray[np.datetime64]) -> list[Statistic]:
    """All of the statistics.

    Args:
        result: what is reported.
        days: shape (n,), the bars' days, as `days_of` has them.
    """
    cash = result.request.initial_cash
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    returns = bar_returns(equity, cash)
    depth = result.equity["drawdown_frac"].to_numpy(dtype=np.float64)
    wins, losses = longest_streaks(result.trades)
    found = [
        Statistic(
            "Expected shortfall (CVaR 95 %)",
            _percent(expected_shortfall(returns)),
            "Mean loss of the worst twentieth of the bars.",
        ),
        Statistic(
            "Omega ratio",
            _ratio(omega_ratio(returns)),
            "Sum of the bars' gains over the sum of their losses; none without a loss.",
        ),
        Statistic(
            "Ulcer index",
            _percent(ulcer_index(depth)),
            "Root of the mean squared drawdown: depth and length in one.",
        ),
        Statistic(
            "Payoff ratio",
            _ratio(payoff_ratio(result.trades)),
            "Mean return of the trades that gained over the mean loss of those that lost.",
        ),
        Statistic("Longest winning streak", _trades(wins), "Trades that gained in a row, by their exits."),
        Statistic("Longest losing streak", _trades(losses), "Trades that lost in a row, by their exits."),
    ]
    for name, unit in PERIODS.items():
        of = period_returns(days.astype(f"datetime64[{unit}]"), equity, cash)
        for title, pick in (("Best", max), ("Worst", min)):
            when = pick(of, key=of.__getitem__, default=None)
            text = MISSING if when is None else f"{_percent(of[when])} ({when})"
            found.append(Statistic(f"{title} {name}", text, f"The {title.lower()} return of a {name}."))
    return found


def expected_shortfall(returns: Floats, tail: float = TAIL) -> float | None:
    """Mean loss of the worst returns, positive (conditional value at risk).

    Minus the mean of the floor((n - 1) * tail) + 1 lowest returns: Rockafellar and Uryasev, *Optimization of
    Conditional Value-at-Risk*, 2000; counted as `empyrical.conditional_value_at_risk` does.
    """
    if not len(returns):
        return None
    count = int((len(returns) - 1) * tail) + 1
    return -float(np.partition(returns, count - 1)[:count].mean())


def omega_ratio(returns: Floats) -> float | None:
    """Sum of what lies above 0 over the sum of what lies below.

    Keating and Shadwick, *A Universal Performance Measure*, 2002, with a threshold of 0; as
    `empyrical.omega_ratio`. `None` without a loss.
    """
    lost = -float(returns[returns < 0.0].sum())
    return float(returns[returns > 0.0].sum()) / lost if lost > 0.0 else None


def ulcer_index(drawdown_frac: Floats) -> float | None:
    """Root of the mean of the squared drawdowns: Martin and McCann, *The Investor's Guide*, 1989.

    `quantstats.stats.ulcer_index` divides by n - 1 instead of n.
    """
    return float(np.sqrt(np.mean(drawdown_frac**2))) if len(drawdown_frac) else None


def payoff_ratio(trades: pd.DataFrame) -> float | None:
    """Mean return of the winners over the mean loss of the losers: `quantstats.stats.payoff_ratio` of trades.

    `None` without both.
    """
    returns = trades["return_frac"].to_numpy(dtype=np.float64)
    won, lost = returns[returns > 0.0], returns[returns < 0.0]
    return float(won.mean() / -lost.mean()) if len(won) and len(lost) else None


def longest_streaks(trades: pd.DataFrame) -> tuple[int, int]:
    """Most trades in a row that gained, and that lost, in the order of their exits; 0 gained is neither."""
    pnl = trades.sort_values("exit_time", kind="stable")["pnl"].to_numpy(dtype=np.float64)
    lengths: dict[float, int] = {}
    for sign, run in groupby(np.sign(pnl).tolist()):
        lengths[sign] = max(lengths.get(sign, 0), len(list(run)))
    return lengths.get(1.0, 0), lengths.get(-1.0, 0)


def period_returns(
    periods: NDArray[np.datetime64], equity: Floats, initial_cash: float
) -> Mapping[np.datetime64, float]:
    """Return from the end of each period to that of the next, the first from the initial cash.

    Args:
        periods: shape (n,), the day, month or year of each bar.
        equity: shape (n,), at the bars' closes.
        initial_cash: before the first bar.

    Returns:
        By period; one that began without money has none.
    """
    ends = np.append(np.flatnonzero(np.diff(periods.astype(np.int64))), len(periods) - 1)
    before = np.append(initial_cash, equity[ends[:-1]])
    return {
        period: float(end / start - 1.0)
        for period, start, end in zip(periods[ends], before, equity[ends], strict=True)
        if start > 0.0
    }


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:z,.2%}"


def _ratio(value: float | None) -> str:
    return MISSING if value is None else f"{value:z,.2f}"


def _trades(count: int) -> Sentence:
    return Sentence("{0} trade" if count == 1 else "{0} trades", (f"{count:,}",))
