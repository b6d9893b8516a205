"""The account that several symbols make together."""

from __future__ import annotations

import pytest

from backtest_pipeline.engine.run import run
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.signals import StrategyParams
from backtest_pipeline_tests.engine.scripted import Scripted, candles_of, flat, signals_at


def two_symbols() -> BacktestResult:
    """A trades on 1, 2 and 4 January (a jump over the 3rd is B's alone); B from the 2nd to the 3rd."""
    candles = {
        "A": candles_of(flat(100, 100, 150), symbol="A"),
        "B": candles_of(flat(50, 25), symbol="B", start="2024-01-02"),
    }
    moved = candles["A"].timestamp.copy()
    moved[2] += moved[1] - moved[0]
    candles["A"] = type(candles["A"])(
        "A",
        "1d",
        moved,
        *(getattr(candles["A"], name) for name in ("open", "high", "low", "close", "volume")),
    )
    strategy = Scripted({"A": signals_at(3, entry=[0]), "B": signals_at(2, entry=[0])})
    request = BacktestRequest(
        strategy="scripted", symbols=("A", "B"), initial_cash=2_000, fee_bps=0, fill="close"
    )
    return run(candles, request, strategy, StrategyParams())


def test_equity_is_carried_forward_over_bars_that_a_symbol_lacks() -> None:
    equity = two_symbols().equity
    assert equity["timestamp"].dt.day.tolist() == [1, 2, 3, 4]
    # A: 1 000, 1 000, (1 000), 1 500; B: (its cash of 1 000), 1 000, 500, (500)
    assert equity["equity"].tolist() == [2_000, 2_000, 1_500, 2_000]
    assert equity["cash"].tolist() == [1_000, 0, 0, 0]
    assert equity["exposure_frac"].tolist() == [0.5, 1, 1, 1]
    assert equity["drawdown_frac"].tolist() == [0, 0, 0.25, 0]


def test_benchmark_holds_each_symbol_from_its_first_close() -> None:
    result = two_symbols()
    # A gains 50 %, B loses 50 %, each with half the cash
    assert result.metrics["buy_hold_return"] == pytest.approx((0.5 - 0.5) / 2)
    assert result.by_symbol["A"]["buy_hold_return"] == pytest.approx(0.5)
    assert result.by_symbol["B"]["buy_hold_return"] == pytest.approx(-0.5)


def test_rows_stand_by_symbol_in_the_order_of_the_request() -> None:
    result = two_symbols()
    assert result.trades["symbol"].tolist() == ["A", "B"]
    assert result.signals["symbol"].tolist() == ["A", "B"]
    assert list(result.by_symbol) == ["A", "B"]


def test_symbols_with_the_same_bars_need_no_carrying() -> None:
    candles = {symbol: candles_of(flat(100, 200), symbol=symbol) for symbol in ("A", "B")}
    strategy = Scripted({"A": signals_at(2, entry=[0]), "B": signals_at(2)})
    request = BacktestRequest(strategy="scripted", symbols=("A", "B"), fill="close", fee_bps=0)
    result = run(candles, request, strategy, StrategyParams())
    assert result.equity["equity"].tolist() == [10_000, 15_000]
