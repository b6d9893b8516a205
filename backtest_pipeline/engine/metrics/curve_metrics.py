"""Metrics of an account's curve. Fractions, not percent; none where undefined.

Returns are taken bar by bar at the close, the first against the initial cash, so that n bars have n returns.
A year of time is 365.25 days from the first bar's open to the last bar's end; a year of returns is
`periods_per_year` of them. What is told for a year is none where less than 30 days have passed. The risk-free
rate is 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.metrics.curve_kernels import (
    bar_returns,
    central_sums,
    drawdowns,
    exposures,
    keep_up_to,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.accounts import Curve
    from backtest_pipeline.model.result import Metrics

    Floats = NDArray[np.float64]

DAY_US = 86_400_000_000
YEAR_US = 365.25 * DAY_US
SHORTEST_FOR_ANNUAL_US = 30 * DAY_US
ANNUAL = ("cagr", "annual_volatility", "sharpe", "sortino", "calmar", "alpha")
TAIL = 0.05
SAMPLE = 4_096

# A spread this small against the mean is rounding, not risk: the returns are all the same.
ROUNDING = 1e-14


def curve_metrics(curve: Curve, periods_per_year: float) -> tuple[Metrics, Floats, Floats]:
    """Computes every metric that needs the account's bars alone, and uses up the curve's `gross` and `spare`.

    `exposure`: share of the bars at whose close there is a position.
    `buy_hold_return`: of buying each symbol with its share of the cash at its first close, to its last
    close, without fees.
    `calmar`: cagr / max_drawdown; Young (1991).

    Returns:
        The metrics, exposure_frac and drawdown_frac; the latter two of shape (n,).
    """
    returns = curve.spare
    metrics = {
        **_growth(curve, periods_per_year),
        **_risk(curve, returns, periods_per_year),
        "value_at_risk_95": value_at_risk(returns),
        "buy_hold_return": float(curve.benchmark[-1] / curve.initial_benchmark - 1.0),
    }
    exposure_frac, drawdown_frac = curve.gross, curve.spare
    metrics["exposure"] = exposures(exposure_frac, curve.equity) / len(exposure_frac)
    metrics |= _falls(curve, drawdown_frac)
    metrics["calmar"] = _ratio(metrics["cagr"], metrics["max_drawdown"])
    if not has_annual_figures(curve):
        metrics |= dict.fromkeys(ANNUAL)
    return metrics, exposure_frac, drawdown_frac


def has_annual_figures(curve: Curve) -> bool:
    """Whether enough time has passed to tell anything of a year."""
    return curve.elapsed_us >= SHORTEST_FOR_ANNUAL_US


def _growth(curve: Curve, periods_per_year: float) -> Metrics:
    """How far the account got.

    `total_return`: final equity / initial cash - 1.
    `cagr`: (final equity / initial cash) ** (1 / years) - 1, the years by elapsed time.
    """
    growth = float(curve.equity[-1] / curve.initial_cash)
    years = curve.elapsed_us / YEAR_US
    return {
        "total_return": growth - 1.0,
        "cagr": _power(growth, 1.0 / years),
        "final_equity": float(curve.equity[-1]),
        "periods_per_year": periods_per_year,
    }


def _risk(curve: Curve, returns: Floats, periods_per_year: float) -> Metrics:
    """How the returns, which it writes, scatter.

    `annual_volatility`: standard deviation (ddof 1) * sqrt(periods).
    `sharpe`: mean / standard deviation (ddof 1) * sqrt(periods); Sharpe (1994), "The Sharpe Ratio".
    `sortino`: mean / sqrt(mean(min(r, 0)**2)) * sqrt(periods), the downside over all bars; Sortino and
    Price (1994).
    `skew`, `kurtosis`: third and fourth standardised moment of the population, the latter in excess of the
    normal distribution's 3; as `scipy.stats.skew` and `kurtosis`.
    `beta`: covariance with the benchmark's returns / their variance.
    `alpha`: Jensen's, compounded over a year: (1 + mean(r - beta * benchmark)) ** periods - 1; as
    `empyrical.alpha`.
    The benchmark buys each symbol with its share of the cash at its first close, holds it, pays no fees.
    """
    count, benchmark, before = len(returns), curve.benchmark, curve.initial_benchmark
    mean, mean_benchmark, downside = bar_returns(curve.equity, curve.initial_cash, benchmark, before, returns)
    second, third, fourth, cross, spread = central_sums(returns, mean, benchmark, before, mean_benchmark)
    root = math.sqrt(periods_per_year)
    deviation = math.sqrt(second / (count - 1)) if count > 1 else None
    scatters = deviation is not None and deviation > ROUNDING * max(1.0, abs(mean))
    variance = second / count
    beta = (
        _finite(cross / spread) if spread > count * (ROUNDING * max(1.0, abs(mean_benchmark))) ** 2 else None
    )
    return {
        "annual_volatility": None if deviation is None else _finite(deviation * root),
        "sharpe": _finite(mean / deviation * root) if scatters and deviation else None,
        "sortino": _finite(mean / math.sqrt(downside) * root) if downside > 0.0 else None,
        "skew": _finite(third / count / variance**1.5) if scatters else None,
        "kurtosis": _finite(fourth / count / variance**2 - 3.0) if scatters else None,
        "beta": beta,
        "alpha": None if beta is None else _power(1.0 + mean - beta * mean_benchmark, periods_per_year),
    }


def _falls(curve: Curve, drawdown_frac: Floats) -> Metrics:
    """How deep and how long the account was under water; its peak starts at the initial cash.

    `max_drawdown`: the deepest fall below the running peak, positive.
    `avg_drawdown`: mean, over the episodes from a peak to its recovery, of each one's deepest fall.
    `max_drawdown_days`: the longest such episode in days of the calendar, to the last bar where there is no
    recovery; a peak at the initial cash counts from the first bar.
    """
    deepest, sum_of_deepest, episodes, longest_us, peak = drawdowns(
        curve.grid_us, curve.equity, curve.initial_cash, drawdown_frac
    )
    return {
        "max_drawdown": deepest,
        "max_drawdown_days": longest_us / DAY_US,
        "avg_drawdown": sum_of_deepest / episodes if episodes else 0.0,
        "peak_equity": peak,
    }


def value_at_risk(returns: Floats) -> float:
    """The loss that one bar in twenty exceeds: minus the returns' 5 % quantile, interpolated linearly.

    As `-empyrical.value_at_risk(returns, 0.05)`. Negative where even the worst bars gained.
    """
    rank = TAIL * (len(returns) - 1)
    lower = math.floor(rank)
    upper = min(lower + 1, len(returns) - 1)
    tail = _lowest(returns, upper + 1)
    tail.partition([lower, upper])
    low, high = float(tail[lower]), float(tail[upper])
    return 0.0 - (low + (high - low) * (rank - lower))


def _lowest(returns: Floats, count: int) -> Floats:
    """At least the `count` lowest returns: those under a limit that a sample suggests, or all of them."""
    if len(returns) > 16 * SAMPLE:
        sample = np.sort(returns[:: len(returns) // SAMPLE])
        limit = float(sample[int(1.5 * TAIL * len(sample))])
        kept = np.empty(int(2 * TAIL * len(returns)))
        found = keep_up_to(returns, limit, kept)
        if count <= found < len(kept):
            return kept[:found]
    return returns.copy()


def _power(base: float, exponent: float) -> float | None:
    """`base ** exponent - 1`, or none where that is no number."""
    if base < 0.0:
        return None
    try:
        return _finite(base**exponent - 1.0)
    except OverflowError:
        return None


def _ratio(above: float | None, below: float | None) -> float | None:
    return _finite(above / below) if above is not None and below else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
