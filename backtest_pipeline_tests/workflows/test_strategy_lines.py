"""What strategies draw into reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from backtest_pipeline import Candles, Signals, Strategy
from backtest_pipeline.engine.indicators import sma
from backtest_pipeline.engine.inputs import SeenCandles
from backtest_pipeline.model.drawing import drawing_of
from backtest_pipeline.strategies import registry
from backtest_pipeline.workflows.strategy_lines import drawings_of
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk

ENTRY = np.zeros(5, dtype=np.bool_)


@pytest.fixture
def own_strategy(monkeypatch: pytest.MonkeyPatch) -> type[Strategy]:
    class Rising(Strategy):
        """Buys what rises."""

        name = "rising_and_drawn"
        least = 0.0

        def signals(self, candles: Candles, params: Any) -> Signals:
            """See the class."""
            rise = np.append(0.0, np.diff(candles.close))
            return Signals(entry=rise > self.least, exit=rise < 0, panes={"Rise": {"rise": rise}})

    monkeypatch.setitem(registry._by_hand, Rising.name, Rising)
    return Rising


def _seen(candles: Mapping[str, Candles]) -> dict[str, SeenCandles]:
    return {symbol: SeenCandles(own) for symbol, own in candles.items()}


def test_lines_begin_where_the_trading_does_and_are_those_of_a_warm_strategy() -> None:
    candles = candles_of(walk(60), "AAPL")
    start = str(candles.timestamp[20])
    result = backtest({"AAPL": candles}, params={"fast": 3, "slow": 8}, start=start)
    drawing = drawings_of(result, {"AAPL": SeenCandles(candles.slice(12, 60), 8)})["AAPL"]
    np.testing.assert_array_equal(drawing.lines["slow"], sma(candles.close, 8)[20:])


def test_a_built_in_strategy_s_lines_are_what_it_went_by() -> None:
    candles = {name: candles_of(walk(60, seed), name) for seed, name in enumerate(["AAPL", "IBM"])}
    drawings = drawings_of(
        backtest(candles, params={"fast": 3, "slow": 8}), _seen(candles), only_built_in=True
    )
    assert list(drawings) == ["AAPL", "IBM"]
    for symbol, drawing in drawings.items():
        assert list(drawing.lines) == ["fast", "slow"]
        np.testing.assert_array_equal(drawing.lines["slow"], sma(candles[symbol].close, 8))


def test_a_user_s_strategy_is_asked_only_where_its_code_may_run(own_strategy: type[Strategy]) -> None:
    candles = {"AAPL": candles_of(walk(60))}
    result = backtest(candles, strategy=own_strategy.name)
    assert list(drawings_of(result, _seen(candles))["AAPL"].panes) == ["Rise"]
    assert drawings_of(result, _seen(candles), only_built_in=True) == {}


def test_a_strategy_that_answers_otherwise_than_the_result_draws_nothing(own_strategy: Any) -> None:
    candles = {"AAPL": candles_of(walk(60))}
    result = backtest(candles, strategy=own_strategy.name)
    own_strategy.least = 0.5  # as if its code had changed since
    assert drawings_of(result, _seen(candles)) == {}


def test_a_strategy_that_is_gone_or_raises_draws_nothing(own_strategy: Any) -> None:
    candles = {"AAPL": candles_of(walk(60))}
    result = backtest(candles, strategy=own_strategy.name)
    own_strategy.least = "no number"
    assert drawings_of(result, _seen(candles)) == {}
    del registry._by_hand[own_strategy.name]
    assert drawings_of(result, _seen(candles)) == {}


def test_what_cannot_be_drawn_is_left_out_and_fails_nothing() -> None:
    fitting = np.arange(5.0)
    given: dict[str, Any] = {"short": fitting[:3], "text": "abc", "none": None, "fits": fitting, "level": 30}
    drawing = drawing_of(Signals(ENTRY, lines=given, panes={"all wrong": {"short": fitting[:2]}}), 5)
    assert list(drawing.lines) == ["fits", "level"]
    assert drawing.lines["level"] == 30.0
    assert drawing.panes == {}
    assert not drawing_of(Signals(ENTRY), 5)


def test_there_are_no_more_lines_than_can_be_told_apart() -> None:
    many: Any = {f"line {number}": np.arange(5.0) for number in range(9)}
    drawing = drawing_of(Signals(ENTRY, lines=many, panes=dict.fromkeys("abcde", many)), 5)
    assert len(drawing.lines) == 6
    assert [len(pane) for pane in drawing.panes.values()] == [6, 6, 6]
