"""Buy and hold, bar by bar."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest_pipeline import BacktestResult, Candles
from backtest_pipeline.reports.benchmark_curve import buy_and_hold
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk


def _curve(result: BacktestResult, candles: dict[str, Candles]) -> NDArray[np.float64]:
    moment = result.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return buy_and_hold(result.request, candles, moment)


def test_one_symbol_is_bought_with_all_cash_at_the_first_close() -> None:
    candles = {"AAPL": candles_of([10.0, 15.0, 12.0])}
    curve = _curve(backtest(candles, initial_cash=1_000), candles)
    assert curve.tolist() == pytest.approx([1_000, 1_500, 1_200])


def test_a_symbol_is_cash_before_its_first_bar_and_carried_over_bars_that_it_lacks() -> None:
    candles = {
        "LONG": candles_of([10.0, 20.0, 20.0, 40.0], "LONG", start="2020-01-01"),
        "LATE": candles_of([5.0, 10.0], "LATE", start="2020-01-02"),
    }
    curve = _curve(backtest(candles, initial_cash=1_000), candles)
    # 500 each. LONG: x1, x2, x2, x4. LATE: cash, x1, x2, x2 carried on.
    assert curve.tolist() == pytest.approx([500 + 500, 1_000 + 500, 1_000 + 1_000, 2_000 + 1_000])


@pytest.mark.parametrize("symbols", [1, 2, 5])
def test_the_curve_ends_where_the_metric_says(symbols: int) -> None:
    candles = {
        f"S{place}": candles_of(
            walk(80 + 7 * place, place), f"S{place}", start=f"2020-01-{1 + 5 * place:02d}"
        )
        for place in range(symbols)
    }
    result = backtest(candles, initial_cash=12_345)
    gained = result.metrics["buy_hold_return"]
    assert gained is not None
    assert _curve(result, candles)[-1] == pytest.approx(12_345 * (1 + gained), rel=1e-12)
    assert len(_curve(result, candles)) == len(result.equity)
