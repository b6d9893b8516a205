"""Bars before `start` that a strategy sees and nobody trades."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    Signals,
    Strategy,
    StrategyParams,
    run_backtest,
)
from backtest_pipeline.engine.inputs import signals_of, strategy_warmup_bars
from backtest_pipeline.engine.signal_comparison import FLAGS
from backtest_pipeline.model.errors import StrategyFaulty
from backtest_pipeline.model.task_request import stored_request
from backtest_pipeline.strategies import registry
from backtest_pipeline.strategies.registry import register, signal_strategies
from backtest_pipeline_tests.engine.recorded_requests import digests_of
from backtest_pipeline_tests.research.made_candles import walk

CANDLES = walk("A", 600, seed=3)
START = 250
AT_START = str(CANDLES.timestamp[START])[:10]
FOREVER = ("atr_channel_breakout", "ema_cross", "macd_cross", "rsi_reversion")
"""Strategies whose averages never forget wholly."""


@pytest.fixture(autouse=True)
def _none_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_by_hand", {})


class _Marked(Strategy):
    """Enters at one bar of the calendar, and says how many bars it has seen by its confidence."""

    name = "marked"

    class Params(StrategyParams):
        """When, and how many bars before that are needed."""

        day: str = AT_START
        needs: int = 0

    def warmup_bars(self, params: Params) -> int:
        return params.needs

    def signals(self, candles: Candles, params: Params) -> Signals:
        entry = candles.timestamp == np.datetime64(params.day, "us")
        return Signals(entry=entry, confidence=np.full(len(candles), len(candles) / 1_000))


def _run(candles: Candles = CANDLES, **fields: Any) -> Any:
    register(_Marked)
    return run_backtest(candles, BacktestRequest(**{"symbols": ["A"], "start": AT_START, **fields}))


def test_the_strategy_sees_as_many_bars_before_start_as_it_asks_for_and_the_account_begins_at_start() -> None:
    result = _run(strategy="marked", params={"needs": 40})
    assert result.signals.confidence.tolist() == [(40 + 600 - START) / 1_000]
    assert len(result.equity) == 600 - START
    assert str(result.equity.timestamp[0])[:10] == AT_START
    assert result.request.warmup_bars is None, "what is left to the strategy stays so"


@pytest.mark.parametrize(("asked", "seen"), [(0, 0), (7, 7), (200, 200)])
def test_a_request_that_says_how_many_overrules_the_strategy(asked: int, seen: int) -> None:
    result = _run(strategy="marked", params={"needs": 40}, warmup_bars=asked)
    assert result.signals.confidence.tolist() == [(seen + 600 - START) / 1_000]


def test_without_a_start_there_is_no_warm_up() -> None:
    result = _run(strategy="marked", params={"needs": 40}, start=None, warmup_bars=40)
    assert result.signals.confidence.tolist() == [600 / 1_000]
    assert len(result.equity) == 600


@pytest.mark.parametrize("bars_before", [1, 5])
def test_what_is_asked_for_in_the_warm_up_is_never_traded(bars_before: int) -> None:
    """Not even at the first open, which an entry at the bar before would fill."""
    day = str(CANDLES.timestamp[START - bars_before])[:10]
    result = _run(strategy="marked", params={"day": day}, warmup_bars=40)
    assert len(result.signals) == len(result.trades) == 0
    assert result.equity.equity.eq(10_000).all()


def test_fewer_bars_than_asked_for_are_said_to_be_fewer() -> None:
    result = _run(CANDLES.slice(START - 12, 600), strategy="marked", params={"needs": 40})
    [remark] = [text for text in result.diagnostics if "warm up" in text]
    assert remark == "A: the strategy asks for 40 bars before start to warm up, and there are 12."
    assert result.signals.confidence.tolist() == [(12 + 600 - START) / 1_000]
    assert not [text for text in _run(strategy="marked").diagnostics if "warm up" in text]


@pytest.mark.parametrize("name", sorted(signal_strategies()))
def test_a_warm_strategy_says_from_start_on_what_it_says_knowing_all_of_the_past(name: str) -> None:
    strategy = signal_strategies()[name]()
    params = strategy.Params()
    needed = strategy_warmup_bars(strategy, params)
    whole = signals_of(strategy, params, CANDLES)
    for first in range(needed, 600, 17):
        warm = signals_of(strategy, params, CANDLES.slice(first - needed, 600)).since(needed)
        for flag in FLAGS if name != "buy_and_hold" else ():
            assert np.array_equal(getattr(warm, flag), getattr(whole, flag)[first:]), (first, flag)


@pytest.mark.parametrize("name", sorted(set(signal_strategies()) - {*FOREVER, "buy_and_hold"}))
def test_a_window_asks_for_no_bar_more_than_it_needs(name: str) -> None:
    """With one fewer, some first bar has other signals, as the window is not full yet."""
    strategy = signal_strategies()[name]()
    params = strategy.Params()
    fewer = strategy_warmup_bars(strategy, params) - 1
    whole = signals_of(strategy, params, CANDLES)
    differs = [
        first
        for first in range(fewer, 600)
        for flag in FLAGS
        if getattr(signals_of(strategy, params, CANDLES.slice(first - fewer, first + 1)), flag)[-1]
        != getattr(whole, flag)[first]
    ]
    assert differs


@pytest.mark.parametrize("name", FOREVER)
def test_an_average_that_never_forgets_has_forgotten_its_start_to_a_thousandth(name: str) -> None:
    """A candle far off at the very start moves no flag; moved within the warm-up it may."""
    strategy = signal_strategies()[name]()
    params = strategy.Params()
    needed = strategy_warmup_bars(strategy, params)
    shock = np.where(np.arange(600) == START - needed - 1, 1.25, 1.0)
    columns = {column: getattr(CANDLES, column) * shock for column in ("open", "high", "low", "close")}
    moved = signals_of(strategy, params, replace(CANDLES, **columns))
    for flag in FLAGS:
        assert np.array_equal(
            getattr(moved, flag)[START:], getattr(signals_of(strategy, params, CANDLES), flag)[START:]
        )


@pytest.mark.parametrize("name", sorted(signal_strategies()))
def test_candles_before_the_warm_up_decide_nothing(name: str) -> None:
    strategy = signal_strategies()[name]()
    needed = strategy_warmup_bars(strategy, strategy.Params())
    whole = _run(strategy=name, direction="both")
    cut = _run(CANDLES.slice(START - needed, 600), strategy=name, direction="both")
    assert digests_of(whole) == digests_of(cut)
    assert whole.metrics == cut.metrics
    assert whole.checks["look_ahead"] == cut.checks["look_ahead"]
    assert whole.diagnostics == cut.diagnostics


def test_no_warm_up_is_what_there_was_before_there_was_one() -> None:
    cold = _run(strategy="ema_cross", warmup_bars=0)
    assert digests_of(cold) == digests_of(
        _run(CANDLES.slice(START, 600), strategy="ema_cross", warmup_bars=0)
    )
    assert digests_of(cold) != digests_of(_run(strategy="ema_cross"))


@pytest.mark.parametrize("wrong", [-1, 1.5, "many", 10**9])
def test_a_strategy_that_says_something_else_than_a_number_of_bars_is_faulty(wrong: Any) -> None:
    class Odd(_Marked):
        name = "odd"

        def warmup_bars(self, params: StrategyParams) -> Any:
            return wrong

    register(Odd)
    with pytest.raises(StrategyFaulty, match="warmup_bars"):
        _run(strategy="odd")
    assert len(_run(strategy="odd", warmup_bars=3).signals) == 1, "nobody asks it"


def test_the_look_ahead_check_sees_the_warm_up_and_still_finds_who_looks_ahead() -> None:
    class Clairvoyant(Strategy):
        """Buys before a rise, once it has seen thirty bars."""

        name = "clairvoyant_after_thirty"

        def warmup_bars(self, params: StrategyParams) -> int:
            return 30

        def signals(self, candles: Candles, params: StrategyParams) -> Signals:
            rises = np.append(candles.close[1:] > candles.close[:-1] * 1.01, False)
            rises[:30] = False
            return Signals(entry=rises, exit=~rises)

    register(Clairvoyant)
    verdict = _run(strategy=Clairvoyant.name).checks["look_ahead"]
    assert verdict["passed"] is False
    assert verdict["difference"]["cut_after"] >= AT_START


def test_a_stored_request_from_before_there_was_a_warm_up_asks_for_none() -> None:
    plain = {"strategy": "sma_cross", "symbols": ["A"]}
    assert stored_request({**plain, "start": "2020-01-01"}).warmup_bars == 0  # type: ignore[union-attr]  # a backtest
    assert stored_request(plain) == BacktestRequest(**plain)
    for warmup_bars in (None, 0, 9):
        asked = BacktestRequest(**plain, start="2020-01-01", warmup_bars=warmup_bars)
        assert stored_request(asked.to_dict()) == asked
        assert stored_request(asked.to_dict()).digest() == asked.digest()


def test_with_a_start_a_request_has_another_digest_than_before_as_it_means_something_else() -> None:
    plain = {"strategy": "sma_cross", "symbols": ["A"], "start": "2020-01-01"}
    asked = BacktestRequest(**plain)
    then = {name: value for name, value in asked.to_dict().items() if name != "warmup_bars"}
    assert asked.to_dict() == {**then, "warmup_bars": None}
    assert "warmup_bars" not in BacktestRequest(strategy="sma_cross", symbols=["A"]).to_dict()
