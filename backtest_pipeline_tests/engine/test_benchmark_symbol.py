"""An account measured against another symbol: alignment and metrics, worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from backtest_pipeline import BacktestRequest, BacktestResult, Candles, run_backtest
from backtest_pipeline.model.errors import CandlesMissing, RequestInvalid
from backtest_pipeline.reports.benchmark_curve import benchmark_curve

MONDAY = np.datetime64("2024-01-01T00:00", "us")
DAY = np.timedelta64(1, "D")


def _candles(
    symbol: str, closes: Sequence[float] | NDArray[np.floating[Any]], days: Sequence[int], hour: int = 0
) -> Candles:
    close = np.array(closes, dtype=np.float64)
    stamps = MONDAY + np.array(days) * DAY + np.timedelta64(hour, "h")
    columns: dict[str, Any] = {"timestamp": stamps, "volume": np.ones(len(close))}
    return Candles.from_arrays(
        symbol, "1d", {**columns, **dict.fromkeys(("open", "high", "low", "close"), close)}
    )


def _run(*candles: Candles, symbols: Sequence[str] = ("OWN",), **fields: Any) -> BacktestResult:
    request = BacktestRequest(
        **{
            "strategy": "buy_and_hold",
            "symbols": symbols,
            "initial_cash": 1_000,
            "fee_bps": 0,
            "fill": "close",
            "benchmark": "SPY",
            "calendar": "24/7",
            **fields,
        }
    )
    return run_backtest({own.symbol: own for own in candles}, request)


def _curve(result: BacktestResult, *candles: Candles) -> list[float]:
    moment = result.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    curve = benchmark_curve(result.request, {own.symbol: own for own in candles}, moment)
    assert curve is not None
    return [float(value) for value in curve]


def test_all_the_cash_is_in_the_benchmark_from_the_accounts_first_bar() -> None:
    own = _candles("OWN", [10, 11, 12], [0, 1, 2])
    spy = _candles("SPY", [400, 500, 300], [0, 1, 2])
    result = _run(own, spy)
    assert _curve(result, own, spy) == pytest.approx([1_000, 1_250, 750])
    assert result.metrics["buy_hold_return"] == pytest.approx(300 / 400 - 1)
    assert result.equity["equity"].tolist() == _run(own, benchmark=None).equity["equity"].tolist()


def test_what_the_benchmark_did_before_the_accounts_first_bar_does_not_count() -> None:
    own, spy = _candles("OWN", [10, 11], [5, 6]), _candles("SPY", [1, 100, 110], [0, 5, 6])
    result = _run(own, spy)
    assert result.metrics["buy_hold_return"] == pytest.approx(110 / 100 - 1)
    assert _curve(result, own, spy) == pytest.approx([1_000, 1_100])


def test_the_benchmark_stands_still_before_its_first_bar_and_between_its_bars() -> None:
    own = _candles("OWN", [10, 11, 12, 13, 14], [0, 1, 2, 3, 4])
    spy = _candles("SPY", [400, 600], [1, 3])
    result = _run(own, spy)
    assert _curve(result, own, spy) == pytest.approx([1_000, 1_000, 1_000, 1_500, 1_500])
    assert result.metrics["buy_hold_return"] == pytest.approx(0.5)


def test_a_bar_that_opens_later_in_the_same_day_is_not_known_yet() -> None:
    own = _candles("OWN", [10, 11, 12], [0, 1, 2])
    spy = _candles("SPY", [400, 600, 800], [0, 1, 2], hour=14)
    result = _run(own, spy)
    # Day 0 has none yet: the first close, flat. Day 1 knows that of day 0, day 2 that of day 1.
    assert _curve(result, own, spy) == pytest.approx([1_000, 1_000, 1_500])
    later = _candles("SPY", [400, 600, 9_999], [0, 1, 2], hour=14)
    assert _run(own, later).metrics == result.metrics


def test_alpha_and_beta_are_those_that_numpy_finds_against_the_benchmark() -> None:
    chance = np.random.default_rng(3)
    days = range(60)
    own = _candles("OWN", 10 * np.cumprod(1 + chance.normal(0.001, 0.02, 60)), days)
    spy = _candles("SPY", 400 * np.cumprod(1 + chance.normal(0.002, 0.01, 60)), days)
    metrics = _run(own, spy).metrics
    # Bought at the first close without a fee: the account's returns are its symbol's, after a first of 0.
    returns, market = (np.diff(one.close, prepend=one.close[0]) for one in (own, spy))
    returns[1:] /= own.close[:-1]
    market[1:] /= spy.close[:-1]
    covariance = np.cov(returns, market)
    beta = covariance[0, 1] / covariance[1, 1]
    assert metrics["beta"] == pytest.approx(beta)
    assert metrics["alpha"] == pytest.approx((1 + np.mean(returns - beta * market)) ** 365 - 1)


def test_the_own_symbol_as_benchmark_is_buy_and_hold_of_it() -> None:
    own = _candles("OWN", [10, 12, 11, 15], [0, 1, 2, 3])
    assert _run(own, benchmark="OWN").metrics == _run(own, benchmark=None).metrics


def test_each_of_several_symbols_is_measured_against_the_same_benchmark() -> None:
    candles = [_candles("A", [10, 11, 12], [0, 1, 2]), _candles("B", [5, 6], [1, 2])]
    spy = _candles("SPY", [100, 150, 120], [0, 1, 2])
    result = _run(*candles, spy, symbols=("A", "B"))
    assert result.metrics["buy_hold_return"] == pytest.approx(120 / 100 - 1)
    assert result.by_symbol["A"]["buy_hold_return"] == pytest.approx(120 / 100 - 1)
    assert result.by_symbol["B"]["buy_hold_return"] == pytest.approx(120 / 150 - 1)
    assert list(result.by_symbol) == ["A", "B"]
    assert set(result.trades["symbol"]) == {"A", "B"}


def test_a_benchmark_without_candles_is_refused_by_its_field() -> None:
    with pytest.raises(RequestInvalid, match="benchmark: no candles were given for SPY; given: OWN"):
        _run(_candles("OWN", [10, 11], [0, 1]))


def test_a_benchmark_without_candles_in_the_span_is_refused() -> None:
    own, spy = _candles("OWN", [10, 11], [0, 1]), _candles("SPY", [4, 5], [300, 301])
    with pytest.raises(CandlesMissing, match="no SPY 1d candles"):
        _run(own, spy, end="2024-02-01")


def test_one_frame_alone_cannot_be_both_symbol_and_benchmark() -> None:
    frame = _candles("OWN", [10, 11], [0, 1]).to_frame()
    request = BacktestRequest(strategy="buy_and_hold", symbols=["OWN"], benchmark="SPY")
    with pytest.raises(RequestInvalid, match=r"write \{symbol: candles\} for OWN, SPY"):
        run_backtest(frame, request)
    frames: dict[str, pd.DataFrame] = {"OWN": frame, "SPY": frame}
    assert run_backtest(frames, request).metrics["beta"] is not None
