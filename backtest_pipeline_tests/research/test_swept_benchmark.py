"""Trials that are measured against another symbol: each is what its own backtest yields."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    IntRange,
    SweepRequest,
    SweepResult,
    run_backtest,
    run_sweep,
)
from backtest_pipeline.model.errors import RequestInvalid, TrialsFailed
from backtest_pipeline_tests.research.made_candles import metrics_of, walk

AGAINST = {"alpha", "beta", "buy_hold_return"}
SPACE: dict[str, Any] = {"params.fast": IntRange(3, 12, step=3), "params.slow": [20, 40]}


def _swept(
    candles: Any, symbols: list[str], benchmark: str | None, space: dict[str, Any] = SPACE, **fields: Any
) -> SweepResult:
    backtest = BacktestRequest(strategy="sma_cross", symbols=symbols, benchmark=benchmark, **fields)
    return run_sweep(candles, SweepRequest(backtest=backtest, space=space))


def _alone(candles: Any, result: SweepResult, row: Any, **fields: Any) -> Any:
    asked = result.request.backtest.to_dict() | fields
    params = {name: int(row[f"params.{name}"]) for name in ("fast", "slow")}
    return run_backtest(candles, BacktestRequest(**asked | {"params": params}))


@pytest.fixture(scope="module")
def candles() -> dict[str, Candles]:
    """Two symbols, and a benchmark that begins later and lacks bars of theirs."""
    return {"A": walk("A", 300), "B": walk("B", 220, skip=0.2), "SPY": walk("SPY", 280, seed=9, skip=0.1)}


@pytest.mark.parametrize("symbols", [["A"], ["B", "A"]])
def test_each_trial_is_its_own_backtest_against_the_benchmark(
    candles: dict[str, Candles], symbols: list[str]
) -> None:
    result = _swept(candles, symbols, "SPY")
    assert len(result.trials) == 8
    for _, row in result.trials.iterrows():
        alone = _alone(candles, result, row)
        assert alone.request.benchmark == "SPY"
        assert metrics_of(row) == alone.metrics
        if result.by_symbol is not None:
            own = result.by_symbol[result.by_symbol.trial == row.trial]
            assert [metrics_of(one) for _, one in own.iterrows()] == list(alone.by_symbol.values())


def test_every_trial_sees_what_the_benchmark_gained_and_trades_as_without_it(
    candles: dict[str, Candles],
) -> None:
    spy, own = candles["SPY"], candles["A"]
    closes = pd.Series(spy.close, spy.timestamp).reindex(own.timestamp, method="ffill")
    gained = closes.iloc[-1] / closes.iloc[0] - 1  # both begin on the same day
    result, without = _swept(candles, ["A"], "SPY"), _swept(candles, ["A"], None)
    assert result.trials.buy_hold_return.to_numpy() == pytest.approx([gained] * 8)
    assert without.trials.buy_hold_return.to_numpy() == pytest.approx([own.close[-1] / own.close[0] - 1] * 8)
    same = [name for name in without.trials.columns if name not in AGAINST]
    pd.testing.assert_frame_equal(result.trials[same], without.trials[same])
    assert (result.trials.beta != without.trials.beta).all()


def test_the_best_trial_is_measured_against_the_benchmark_and_can_be_ranked_by_it(
    candles: dict[str, Candles],
) -> None:
    backtest = BacktestRequest(strategy="sma_cross", symbols=["A"], benchmark="SPY")
    result = run_sweep(candles, SweepRequest(backtest=backtest, space=SPACE, objective="alpha"))
    assert result.best is not None
    assert result.best.request.benchmark == "SPY"
    assert result.best.metrics["alpha"] == result.trials.alpha.max()


def test_varied_symbols_timeframes_and_spans_have_the_benchmark_of_their_own_bars() -> None:
    symbols, starts = [["A"], ["B"], ["A", "B"]], ["2015-01-10", "2015-01-20"]
    given = {
        "1h": {name: walk(name, 900, timeframe="1h") for name in ("A", "B", "SPY")},
        "1d": {name: walk(name, 300) for name in ("A", "B", "SPY")},
    }
    space = {**SPACE, "symbols": symbols, "timeframe": ["1h", "1d"], "start": starts}
    result = _swept(given, ["A"], "SPY", space)
    assert len(result.trials) == 8 * 3 * 2 * 2
    assert set(result.trials.state) == {"completed"}
    for _, row in result.trials.sample(12, random_state=1).iterrows():
        varied = {name: row[name] for name in ("timeframe", "start")} | {
            "symbols": json.loads(row["symbols"])
        }
        assert metrics_of(row) == _alone(given[row["timeframe"]], result, row, **varied).metrics


def test_a_benchmark_may_be_one_of_the_symbols(candles: dict[str, Candles]) -> None:
    result = _swept(candles, ["A", "B"], "B")
    for _, row in result.trials.iterrows():
        assert metrics_of(row) == _alone(candles, result, row).metrics


def test_a_benchmark_without_candles_is_refused_by_its_field(candles: dict[str, Candles]) -> None:
    with pytest.raises(RequestInvalid, match=r"backtest\.benchmark: no 1d candles were given for QQQ"):
        _swept(candles, ["A"], "QQQ")
    with pytest.raises(RequestInvalid, match=r"symbols: no 1d candles were given for C, QQQ"):
        _swept(candles, ["C"], "QQQ")


def test_trials_whose_span_the_benchmark_lacks_fail(candles: dict[str, Candles]) -> None:
    late = walk("SPY", 300).slice(250, 300)
    with pytest.raises(TrialsFailed, match="no SPY 1d candles"):
        _swept({**candles, "SPY": late}, ["A"], "SPY", end="2015-03-01")


def test_a_frame_alone_cannot_be_both_symbol_and_benchmark(candles: dict[str, Candles]) -> None:
    with pytest.raises(RequestInvalid, match=r"write \{symbol: candles\} for A, SPY"):
        _swept(candles["A"].to_frame(), ["A"], "SPY")
