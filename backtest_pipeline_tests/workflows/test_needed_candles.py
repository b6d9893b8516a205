"""Which candles before `start` a request needs, and a sweep of all its trials together."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backtest_pipeline import BacktestRequest, FloatRange, IntRange, SweepRequest
from backtest_pipeline.workflows import sweep_warm_up
from backtest_pipeline.workflows.needed_candles import needed_candles

UTC = ZoneInfo("UTC")


def _needed(
    space: dict[str, Any], search: str = "grid", trials: int | None = None, **fields: Any
) -> int | None:
    plain = {"strategy": "sma_cross", "symbols": ["A"], "start": "2020-01-01"}
    backtest = BacktestRequest(**{**plain, **fields})
    request = SweepRequest(backtest=backtest, space=space, search=search, trials=trials)
    [needed] = needed_candles(request, UTC)
    return needed.warmup_bars


def test_a_backtest_needs_what_its_strategy_says_and_only_before_a_start() -> None:
    plain = {"strategy": "sma_cross", "symbols": ["A"], "params": {"fast": 3, "slow": 70}}
    for fields, bars in (
        ({"start": "2020-01-01"}, 70),
        ({"start": "2020-01-01", "warmup_bars": 4}, 4),
        ({"warmup_bars": 4}, 0),
        ({}, 0),
    ):
        [needed] = needed_candles(BacktestRequest(**plain, **fields), UTC)
        assert needed.warmup_bars == bars


def test_a_sweep_needs_the_longest_of_its_trials() -> None:
    assert _needed({"params.slow": [30, 90, 60]}) == 90
    assert _needed({"params.slow": IntRange(30, 90, step=20)}) == 90
    assert _needed({"params.slow": [30, 90]}, start=None) == 0
    assert _needed({"params.slow": [30, 90]}, warmup_bars=7) == 7
    assert _needed({"params.slow": [30, 90], "warmup_bars": [5, 3]}) == 5
    assert _needed({"params.slow": [30, 90], "warmup_bars": [None, 200]}) == 200
    assert _needed({"params.slow": [30, 90], "warmup_bars": [None, 20]}) == 90
    assert _needed({"fee_bps": [0, 10]}) == 20, "the default of slow"


def test_trials_that_are_invalid_need_nothing() -> None:
    """Of fast 10, 50 and slow 20, 40 the pairs with fast 50 are refused."""
    assert _needed({"params.fast": [10, 50], "params.slow": [20, 40]}) == 40


def test_each_strategy_of_a_sweep_is_asked() -> None:
    space = {"strategy": ["buy_and_hold", "donchian_breakout"], "params.entry_window": [15, 33]}
    assert _needed(space, strategy="buy_and_hold") == 33
    assert _needed({"position_frac": [0.5, 1]}, strategy="buy_and_hold") == 0


def test_more_combinations_than_can_be_asked_for_need_all_that_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endless = {"params.deviations": FloatRange(1, 3), "params.window": [20, 30]}
    assert _needed(endless, "random", 10, strategy="bollinger_reversion") is None
    monkeypatch.setattr(sweep_warm_up, "MOST_ASKED", 3)
    assert _needed({"params.slow": [30, 40, 50]}) == 50
    assert _needed({"params.slow": [30, 40, 50, 60]}) is None
