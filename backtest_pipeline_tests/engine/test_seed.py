"""The request's seed reaches every strategy that asks for chance, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.engine.inputs import generator_of, signals_of
from backtest_pipeline.engine.lookahead import check_look_ahead
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams
from backtest_pipeline.strategies import registry
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline_tests.engine.clairvoyant import walk

NOTHING = StrategyParams()


class Chance(Strategy):
    """Enters and leaves by lot."""

    name = "chance"

    def signals(self, candles: Candles, params: StrategyParams, rng: np.random.Generator) -> Signals:  # type: ignore[override]  # rng is optional to declare
        return Signals(entry=rng.random(len(candles)) < 0.1, exit=rng.random(len(candles)) < 0.1)


class InOrder(Strategy):
    """Enters by lot, with one draw a bar."""

    name = "in_order"

    def signals(self, candles: Candles, params: StrategyParams, rng: Any = None) -> Signals:
        return Signals(entry=rng.random(len(candles)) < 0.1)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_by_hand", {"chance": Chance, "in_order": InOrder})


def ran(seed: int, *symbols: str, strategy: str = "in_order") -> BacktestResult:
    candles = {
        name: Candles.from_frame(walk(0, 800).to_frame(), symbol=name, timeframe="1h") for name in symbols
    }
    request = BacktestRequest(strategy=strategy, symbols=symbols, timeframe="1h", seed=seed)
    return run_backtest(candles, request)


def entries(result: BacktestResult, symbol: str) -> list[pd.Timestamp]:
    signals = result.signals
    return signals["timestamp"][signals["symbol"] == symbol].tolist()


@pytest.mark.parametrize("strategy", ["chance", "in_order"])
def test_the_same_seed_gives_the_same_result_and_another_seed_another(strategy: str) -> None:
    first, again, other = (ran(seed, "A", strategy=strategy) for seed in (7, 7, -7))
    assert entries(first, "A") == entries(again, "A") != []
    assert first.metrics == again.metrics
    assert entries(first, "A") != entries(other, "A")


def test_signals_are_drawn_from_the_generator_of_seed_and_symbol() -> None:
    drawn = np.flatnonzero(generator_of(5, "B").random(800) < 0.1)
    assert entries(ran(5, "A", "B"), "B") == walk(0, 800).to_frame()["timestamp"][drawn].tolist()


def test_a_symbol_draws_the_same_whatever_others_there_are() -> None:
    alone, together = ran(3, "B"), ran(3, "A", "B")
    assert entries(alone, "B") == entries(together, "B")
    assert entries(together, "A") != entries(together, "B")


def test_draws_in_the_bars_order_are_no_look_ahead() -> None:
    assert check_look_ahead(InOrder(), NOTHING, walk(0, 800), cuts=20, seed=4).passed
    assert all(ran(seed, "A").checks["look_ahead"]["passed"] for seed in range(5))


def test_draws_that_hang_on_the_number_of_bars_are() -> None:
    # the second draw of n numbers begins where the first has ended, so each exit hangs on n
    verdict = check_look_ahead(Chance(), NOTHING, walk(0, 800), cuts=20, seed=4)
    assert verdict.difference is not None
    assert verdict.difference.signal == "exit"


def test_a_strategy_without_rng_is_asked_as_ever() -> None:
    class Plain(Strategy):
        """Takes no chance."""

        name = "plain"

        def signals(self, candles: Candles, params: StrategyParams) -> Signals:
            return Signals(entry=np.ones(len(candles), dtype=np.bool_))

    assert signals_of(Plain(), NOTHING, walk(0, 3), seed=9).entry.all()


@pytest.mark.parametrize("seed", [0, 1, -1, 2**80, -(2**80)])
def test_every_seed_makes_a_generator_of_its_own(seed: int) -> None:
    others = {value: generator_of(value, "X").random() for value in (0, 1, -1, 2**80, -(2**80))}
    assert len(set(others.values())) == 5
    assert generator_of(seed, "X").random() == others[seed] != generator_of(seed, "Y").random()
