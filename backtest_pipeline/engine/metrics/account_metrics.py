"""All metrics of an account, in the order in which people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backtest_pipeline.engine.metrics.curve_metrics import curve_metrics
from backtest_pipeline.engine.metrics.trade_metrics import trade_metrics
from backtest_pipeline.engine.signal_study import study_metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.engine.accounts import Curve
    from backtest_pipeline.model.result import Metrics

    Floats = NDArray[np.float64]

METRIC_NAMES = (
    "total_return",
    "cagr",
    "annual_volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "max_drawdown_days",
    "avg_drawdown",
    "exposure",
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
    "final_equity",
    "peak_equity",
    "buy_hold_return",
    "alpha",
    "beta",
    "value_at_risk_95",
    "skew",
    "kurtosis",
    "signals",
    "signal_win_rate",
    "signal_avg_return",
    "signal_max_drawdown",
    "periods_per_year",
)


def account_metrics(
    curve: Curve,
    periods_per_year: float,
    trades: NDArray[Any],
    signal_moments: NDArray[np.datetime64],
    signal_returns: Floats,
) -> tuple[Metrics, Floats, Floats]:
    """Computes the metrics of one account, a symbol's own or the joint one.

    Args:
        curve: the account, n bars.
        periods_per_year: bars a year.
        trades: shape (m,), dtype `TRADE`.
        signal_moments: shape (k,), when each signal came.
        signal_returns: shape (k,), what it was worth by itself; NaN without exit.

    Returns:
        The metrics by name, and exposure_frac and drawdown_frac, each of shape (n,).
    """
    found, exposure_frac, drawdown_frac = curve_metrics(curve, periods_per_year)
    found |= trade_metrics(trades)
    found |= study_metrics(signal_moments, signal_returns)
    return {name: found[name] for name in METRIC_NAMES}, exposure_frac, drawdown_frac
