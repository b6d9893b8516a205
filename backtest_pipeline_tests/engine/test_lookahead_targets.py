"""What the look-ahead checks must find and must leave alone; `scripts/benchmark lookahead` tries more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backtest_pipeline.engine.inputs import signals_of
from backtest_pipeline.engine.lookahead import check_look_ahead, light_look_ahead_check
from backtest_pipeline.engine.lookahead_probe import Probe
from backtest_pipeline.engine.run import run
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.errors import StrategyFaulty
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams
from backtest_pipeline.strategies.registry import signal_strategies
from backtest_pipeline_tests.engine.clairvoyant import (
    FIVE,
    HONEST,
    KIN,
    Written,
    by_fourier,
    by_long_memory,
    confidence_only,
    once_in_500,
    rises,
    short_exit_only,
    since_the_start,
    walk,
)
from backtest_pipeline_tests.engine.generated import generated_rows
from backtest_pipeline_tests.engine.scripted import candles_of

NOTHING = StrategyParams()
WALKS = [walk(seed, gaps=seed % 2 == 1) for seed in range(5)]
SHORT = [walk(seed, 2_000, gaps=True) for seed in range(2)]


def lightly(strategy: Strategy, candles: Candles, **request: Any) -> dict[str, Any]:
    asked = BacktestRequest(strategy=strategy.name, symbols=("X",), timeframe=candles.timeframe, **request)
    verdict: dict[str, Any] = run({"X": candles}, asked, strategy, strategy.Params()).checks["look_ahead"]
    return verdict


@pytest.mark.parametrize("formula", FIVE)
def test_both_checks_find_what_they_are_meant_for_on_every_walk(formula: Any) -> None:
    for seed, candles in enumerate(WALKS):
        assert not check_look_ahead(Written(formula), NOTHING, candles, cuts=50, seed=seed).passed
        assert lightly(Written(formula), candles)["passed"] is False


@pytest.mark.parametrize("formula", KIN)
def test_the_full_check_finds_other_ways_to_know_the_future(formula: Any) -> None:
    candles = WALKS[1] if formula is once_in_500 else walk(3, 3_000, gaps=True)
    if formula.__name__ == "in_the_second_half":
        candles = walk(3, 14_000)
    assert not check_look_ahead(Written(formula), NOTHING, candles, cuts=50, seed=0).passed


def test_the_check_names_what_changed() -> None:
    def changed(formula: Any) -> set[str]:
        verdicts = (
            check_look_ahead(Written(formula), NOTHING, SHORT[0], cuts=9, seed=seed) for seed in range(9)
        )
        return {verdict.difference.signal for verdict in verdicts if verdict.difference}

    assert changed(short_exit_only) == {"short_exit"}
    assert changed(confidence_only) == {"confidence"}


@pytest.mark.parametrize("formula", HONEST)
def test_rounding_and_long_memories_are_no_knowledge_of_the_future(formula: Any) -> None:
    for candles in SHORT:
        verdict = check_look_ahead(Written(formula), NOTHING, candles, cuts=20, seed=1, stretch_cuts=100)
        assert verdict.passed, verdict.difference
        assert lightly(Written(formula), candles)["passed"] is True


@pytest.mark.parametrize("style", ["grid", "still"])
def test_prices_that_tie_show_differences_by_rounding_which_are_not_confirmed(
    style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    confirmed = Probe.confirmed

    def noted(self: Probe[Any], *arguments: Any) -> bool:
        asked.append(confirmed(self, *arguments))
        return asked[-1]

    monkeypatch.setattr(Probe, "confirmed", noted)
    candles = candles_of(generated_rows(np.random.default_rng(1), 400, style, 1 / 3))
    assert check_look_ahead(Written(by_fourier), NOTHING, candles, cuts=20, seed=0, stretch_cuts=200).passed
    if style == "still":  # the average of equal prices is one of them, give or take a digit
        assert asked
    assert not any(asked)


@pytest.mark.parametrize("name", list(signal_strategies()))
def test_no_built_in_strategy_is_accused_by_a_run(name: str) -> None:
    strategy = signal_strategies()[name]()
    for seed in range(8):
        verdict = lightly(strategy, walk(seed, 1_500, gaps=seed % 2 == 1), direction="both", seed=seed)
        assert verdict["passed"] is True


def test_every_bar_is_tried_where_that_is_affordable() -> None:
    verdict = check_look_ahead(Written(since_the_start), NOTHING, walk(1, 700), cuts=10, seed=0)
    assert (verdict.cuts, verdict.stretch_cuts) == (10, 699)  # nothing follows the last bar
    fewer = check_look_ahead(
        Written(since_the_start), NOTHING, walk(1, 700), cuts=10, seed=0, stretch_cuts=80
    )
    assert (fewer.cuts, fewer.stretch_cuts) == (10, 80)


class Counted(Written):
    """Notes how many candles it is asked about."""

    name = "counted"

    def __init__(self, formula: Any) -> None:
        super().__init__(formula)
        self.asked: list[int] = []

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        self.asked.append(len(candles))
        return super().signals(candles, params)


def asked_by_a_run_of(formula: Any, bars: int) -> list[int]:
    strategy = Counted(formula)
    lightly(strategy, walk(2, bars))
    return strategy.asked


def test_a_run_asks_little_more_than_it_must() -> None:
    def short_memory(candles: Candles) -> Signals:
        return Signals(entry=rises(candles), exit=~rises(candles))

    assert asked_by_a_run_of(short_memory, 10_000) == [10_000, 250, 250]
    assert asked_by_a_run_of(short_memory, 20_000) == [20_000, 250, 250, 250]
    # a stretch too short to warm up is asked about a second time, with true bars after it
    assert len(asked_by_a_run_of(by_long_memory, 10_000)) <= 6


def test_a_bar_that_the_strategy_cannot_answer_about_is_counted_and_left_out() -> None:
    def demanding(candles: Candles) -> Signals:
        if len(candles) < 100:
            raise ValueError("100 candles, please")
        return Signals(entry=rises(candles))

    verdict = check_look_ahead(Written(demanding), NOTHING, walk(0, 300), cuts=5, seed=0)
    assert verdict.passed
    # after 91 bars the 8 that follow make a hundred; alone, 99 are too few; whole cuts come on top
    assert 91 <= verdict.refused <= 99 + 5


def test_one_that_can_answer_about_the_whole_only_fails_the_check() -> None:
    whole = walk(0, 300)

    def adamant(candles: Candles) -> Signals:
        if candles.close[-1] != whole.close[-1]:
            raise ValueError("all candles, please")
        return Signals(entry=rises(candles))

    with pytest.raises(StrategyFaulty, match="all candles, please"):
        check_look_ahead(Written(adamant), NOTHING, whole, cuts=5, seed=0, stretch_cuts=50)


def test_chance_without_the_given_generator_is_not_called_look_ahead() -> None:
    own = np.random.default_rng(0)

    def moody(candles: Candles) -> Signals:
        return Signals(entry=own.random(len(candles)) < 0.5)

    with pytest.raises(StrategyFaulty, match="two answers to the same candles"):
        check_look_ahead(Written(moody), NOTHING, walk(0, 500), cuts=5, seed=0)
    verdict = lightly(Written(moody), walk(0, 500))
    assert verdict["passed"] is None
    assert "`rng`" in verdict["problem"]


def test_the_light_check_looks_at_every_symbol_in_the_long_run() -> None:
    candles = [walk(seed, 600) for seed in range(3)]
    marks = [np.flatnonzero(signals_of(Written(since_the_start), NOTHING, own).entry) for own in candles]

    def one_sided(seed: int) -> str:
        named = [
            Candles.from_frame(own.to_frame(), symbol=name, timeframe="1h")
            for name, own in zip("ABC", candles, strict=True)
        ]
        return light_look_ahead_check(Written(since_the_start), NOTHING, named, marks, seed).symbol

    assert {one_sided(seed) for seed in range(12)} == {"A", "B", "C"}
