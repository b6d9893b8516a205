"""Candles and strategies are held to their promises, and what breaks one is named."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.engine.run import run
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.errors import CandlesInvalid, RequestInvalid, StrategyFaulty
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline_tests.engine.scripted import Scripted, candles_of, flat, play

NO = np.zeros(3, dtype=np.bool_)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Signals(entry=np.zeros(2, dtype=np.bool_)), r"entry must have shape \(3,\), not \(2,\)"),
        (Signals(entry=NO, exit=np.zeros((3, 1), dtype=np.bool_)), r"exit must have shape \(3,\)"),
        (Signals(entry=np.zeros(3)), "entry must hold bool, not float64"),  # type: ignore[arg-type]  # on purpose
        (
            Signals(entry=NO, confidence=np.array([0.0, 2.0, 0.5])),
            "confidence must lie in 0 to 1, not 2.0 at bar 1",
        ),
        (Signals(entry=NO, confidence=np.full(3, np.nan)), "confidence must lie in 0 to 1, not nan at bar 0"),
        (NO, "must return Signals, not ndarray"),
        (Signals(entry=np.ma.masked_array(NO, mask=[0, 1, 0])), "entry has masked values"),  # type: ignore[arg-type]  # on purpose
        (Signals(entry=pd.Series(NO, index=[2, 1, 0])), "entry has an index .* give entry.sort_index"),  # type: ignore[arg-type]  # on purpose
        (Signals(entry=NO, stop_price=pd.Series(1.0, index=[0, 2, 1])), "stop_price has an index"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_a_wrong_answer_names_the_strategy_and_the_fault(answer: Any, problem: str) -> None:
    with pytest.raises(StrategyFaulty, match=rf"strategy scripted: .*{problem}"):
        play(flat(1, 2, 3), answer)


class Raising(Strategy):
    """Fails."""

    name = "raising"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        raise KeyError("sma")


class Leaving(Strategy):
    """Ends the process that asks it."""

    name = "leaving"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        sys.exit(0)

    def warmup_bars(self, params: StrategyParams) -> int:
        raise SystemExit("no data")


def test_a_strategy_that_leaves_is_a_fault_and_not_the_end_of_the_process() -> None:
    candles = {"X": candles_of(flat(1, 2, 3))}
    whole = BacktestRequest(strategy="leaving", symbols=("X",))
    with pytest.raises(StrategyFaulty, match=r"leaving: signals\(\) raised SystemExit on X: 0"):
        run(candles, whole, Leaving(), StrategyParams())
    cut = BacktestRequest(strategy="leaving", symbols=("X",), start="1970-01-01")
    with pytest.raises(StrategyFaulty, match=r"warmup_bars\(\) raised SystemExit: no data"):
        run(candles, cut, Leaving(), StrategyParams())


@pytest.mark.parametrize("index", [None, [4, 5, 6], pd.date_range("2024-01-01", periods=3)])
def test_a_series_in_the_order_of_the_bars_is_as_good_as_an_array(index: Any) -> None:
    bars, entry = flat(1, 2, 4), np.array([True, False, False])
    plain = play(bars, Signals(entry=entry, exit=NO))
    labelled = play(bars, Signals(entry=pd.Series(entry, index=index), exit=NO))  # type: ignore[arg-type]  # on purpose
    assert labelled.equity.equals(plain.equity)


class Writing(Strategy):
    """Meddles with its candles."""

    name = "writing"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        candles.close[:] = 1.0
        return Signals(entry=NO)


def test_what_a_strategy_raises_is_told_with_its_name() -> None:
    request = BacktestRequest(strategy="raising", symbols=("X",))
    with pytest.raises(
        StrategyFaulty, match=r"strategy raising: signals\(\) raised KeyError on X: 'sma'"
    ) as told:
        run({"X": candles_of(flat(1, 2, 3))}, request, Raising(), StrategyParams())
    assert isinstance(told.value.__cause__, KeyError)


def test_a_strategy_cannot_write_to_its_candles() -> None:
    request = BacktestRequest(strategy="writing", symbols=("X",))
    candles = candles_of(flat(1, 2, 3))
    with pytest.raises(StrategyFaulty, match="read-only"):
        run({"X": candles}, request, Writing(), StrategyParams())
    assert candles.close.tolist() == [1, 2, 3]
    assert candles.close.flags.writeable


def test_read_only_candles_are_welcome() -> None:
    candles = candles_of(flat(100, 110, 120))
    for name in ("open", "high", "low", "close", "volume", "timestamp"):
        getattr(candles, name).flags.writeable = False
    result = run_backtest({"X": candles}, BacktestRequest(strategy="buy_and_hold", symbols=("X",)))
    assert result.metrics["trades"] == 1


def test_every_symbol_without_candles_is_named() -> None:
    request = BacktestRequest(strategy="scripted", symbols=("A", "X", "B"))
    with pytest.raises(RequestInvalid, match="symbols: no candles were given for A, B; given: X"):
        run({"X": candles_of(flat(1))}, request, Scripted({}), StrategyParams())


def test_candles_of_another_timeframe_are_refused() -> None:
    request = BacktestRequest(strategy="scripted", symbols=("X",), timeframe="1h")
    with pytest.raises(RequestInvalid, match="timeframe: 1h, but the X candles are 1d"):
        run({"X": candles_of(flat(1))}, request, Scripted({}), StrategyParams())


def test_no_candles_at_all_are_refused() -> None:
    request = BacktestRequest(strategy="scripted", symbols=("X",))
    with pytest.raises(CandlesInvalid, match="X: there are no candles"):
        run({"X": candles_of(flat(1)).slice(0, 0)}, request, Scripted({}), StrategyParams())


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0, 0.0])
def test_prices_that_are_none_never_reach_a_kernel(wrong: float) -> None:
    with pytest.raises(CandlesInvalid, match="close must be finite and positive"):
        candles_of([[1, 2, 1, 1], [1, 2, 1, wrong]])


def test_the_result_tells_every_parameter() -> None:
    result = run_backtest(
        {"X": candles_of(flat(*range(1, 40)))},
        BacktestRequest(strategy="sma_cross", params={"fast": 3}, symbols=("X",)),
    )
    assert result.request.params == {"fast": 3, "slow": 20}
