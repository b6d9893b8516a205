"""Equal weights, renewed at the last close of each month, as the library `bt` holds them."""

from __future__ import annotations

import numpy as np
import pytest

from backtest_pipeline import BacktestRequest, Candles, run_backtest

# Of bt 1.4.1: RunMonthly(run_on_first_date=True, run_on_end_of_period=True), SelectAll, WeighEqually and
# Rebalance over the closes below, fractions of units, no costs, 1,000,000 at first: value by bar.
VALUES_OF_BT = {
    0: 1_000_000.0,
    30: 967_192.0860779191,
    31: 965_361.4555239136,
    100: 936_962.8378076857,
    365: 927_199.0336014488,
    500: 907_349.0938076566,
    699: 878_759.0793595884,
}


def walk(number: int, bars: int = 700) -> Candles:
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(number).normal(0.0, 1e-2, bars)))
    open_ = np.concatenate([close[:1], close[:-1]])
    columns = {
        "timestamp": np.datetime64("2015-01-01", "us") + np.arange(bars) * np.timedelta64(1, "D"),
        "open": open_,
        "high": np.maximum(open_, close) * 1.0005,
        "low": np.minimum(open_, close) * 0.9995,
        "close": close,
        "volume": np.ones(bars),
    }
    return Candles.from_arrays(f"S{number}", "1d", columns)


def test_values_of_equal_weights_are_those_of_bt() -> None:
    candles = {own.symbol: own for own in map(walk, range(8))}
    request = BacktestRequest(
        strategy="equal_weight",
        params={"rebalance": "monthly"},
        symbols=list(candles),
        account="shared",
        fill="close",
        fee_bps=0,
        initial_cash=1e6,
    )
    equity = run_backtest(candles, request).equity["equity"].to_numpy()
    for bar, value in VALUES_OF_BT.items():
        assert equity[bar] == pytest.approx(value, rel=1e-9)
