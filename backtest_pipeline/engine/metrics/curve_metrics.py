"""Metrics of an account's curve. Fractions, not percent; `None` where undefined.

Returns are taken bar by bar at the close, the first against the initial cash, so that n bars have n returns.
A year of time is 365.25 days from the first bar's open to the last bar's end; a year of returns is
`periods_per_year` of them. Annual metrics are `None` where less than 30 days have passed. The risk-free
rate is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.metrics.curve_kernels import (
    CURVE_FIGURES,
    EXPONENTS,
    bar_returns,
    bars_with_position,
    curve_figures,
    squared_distances,
    write_drawdowns,
    write_exposures,
)
from backtest_pipeline.engine.metrics.tail_kernel import value_at_risk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.accounts import Curve
    from backtest_pipeline.model.result import Metrics

    Floats = NDArray[np.float64]


def curve_metrics(curve: Curve, periods_per_year: float) -> tuple[Metrics, Floats, Floats]:
    """Computes every metric that needs the account's bars alone, and uses up the curve's `gross` and `spare`.

    How far the account got:
        `total_return`: final equity / initial cash - 1.
        `cagr`: (final equity / initial cash) ** (1 / years) - 1, the years by elapsed time.
        `exposure`: share of the bars at whose close there is a position.

    How the returns scatter:
        `annual_volatility`: standard deviation (ddof 1) * sqrt(periods).
        `sharpe`: mean / standard deviation (ddof 1) * sqrt(periods); Sharpe (1994), "The Sharpe Ratio".
        `sortino`: mean / sqrt(mean(min(r, 0)**2)) * sqrt(periods), the downside over all bars; Sortino and
        Price (1994).
        `skew`, `kurtosis`: third and fourth standardised moment of the population, the latter in excess of
        the normal distribution's 3; as `scipy.stats.skew` and `kurtosis`.
        `value_at_risk_95`: minus the returns' 5 % quantile, interpolated linearly.

    How deep and how long it was under water, its peak starting at the initial cash:
        `max_drawdown`: the deepest fall below the running peak, positive.
        `avg_drawdown`: mean, over the episodes from a peak to its recovery, of each one's deepest fall.
        `max_drawdown_days`: the longest such episode in days of the calendar, to the last bar where there is
        no recovery; a peak at the initial cash counts from the first bar.
        `calmar`: cagr / max_drawdown; Young (1991).

    Against the benchmark, which buys each symbol with its share of the cash at its first close, holds it and
    pays no fees:
        `buy_hold_return`: the benchmark's last value / its first - 1.
        `beta`: covariance with the benchmark's returns / their variance.
        `alpha`: Jensen's, compounded over a year: (1 + mean(r - beta * benchmark)) ** periods - 1; as
        `empyrical.alpha`.

    Returns:
        The metrics, exposure_frac and drawdown_frac; the latter two of shape (n,).
    """
    changes = np.empty_like(curve.benchmark)
    mean_change, _ = bar_returns(curve.benchmark, curve.initial_benchmark, changes)
    found = np.empty(len(CURVE_FIGURES))
    curve_figures(
        curve.grid_us,
        curve.equity,
        curve.initial_cash,
        bars_with_position(curve.gross),
        curve.elapsed_us,
        periods_per_year,
        changes,
        mean_change,
        squared_distances(changes, mean_change),
        curve.benchmark[-1] / curve.initial_benchmark,
        EXPONENTS,
        curve.spare,
        found,
    )
    loss = value_at_risk(curve.spare, changes)
    exposure_frac, drawdown_frac = curve.gross, curve.spare
    write_exposures(curve.equity, exposure_frac)
    write_drawdowns(curve.equity, curve.initial_cash, drawdown_frac)
    values = (None if np.isnan(value) else value for value in found.tolist())
    metrics: Metrics = dict(zip(CURVE_FIGURES, values, strict=True))
    metrics["value_at_risk_95"] = loss if np.isfinite(loss) else None
    return metrics, exposure_frac, drawdown_frac
