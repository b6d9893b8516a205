"""Strategies that know the future are found out; honest ones pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest_pipeline.engine.indicators import crossed_above, ema, sma
from backtest_pipeline.engine.inputs import signals_of
from backtest_pipeline.engine.lookahead import (
    LookAhead,
    check_look_ahead,
    light_look_ahead_check,
    measure_warm_up,
)
from backtest_pipeline.engine.run import run
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams
from backtest_pipeline_tests.engine.generated import generated_rows
from backtest_pipeline_tests.engine.scripted import candles_of


class Written(Strategy):
    """Runs a formula."""

    name = "written"

    def __init__(self, formula: Any) -> None:
        self.formula = formula

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        answer = self.formula(candles.close)
        return answer if isinstance(answer, Signals) else Signals(entry=answer)


def tomorrow_rises(close: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.append(close[1:] > close[:-1], False)


def above_the_mean_of_all(close: NDArray[np.float64]) -> Any:
    return close > close.mean()


def centred_peak(close: NDArray[np.float64]) -> NDArray[np.bool_]:
    peak = np.zeros(len(close), dtype=np.bool_)
    peak[1:-1] = (close[1:-1] > close[:-2]) & (close[1:-1] > close[2:])
    return peak


def rated_by_the_last(close: NDArray[np.float64]) -> Signals:
    return Signals(entry=above_its_average(close), confidence=np.minimum(close / close[-1], 1.0) / 2)


def above_its_average(close: NDArray[np.float64]) -> NDArray[np.bool_]:
    return crossed_above(close, sma(close, 10))


CHEATS = [tomorrow_rises, above_the_mean_of_all, centred_peak, rated_by_the_last]
NOTHING = StrategyParams()


def walk(bars: int) -> Candles:
    return candles_of(generated_rows(np.random.default_rng(5), bars, "walk", 1.0))


@pytest.mark.parametrize("formula", CHEATS)
@pytest.mark.parametrize("seed", range(5))
def test_knowledge_of_the_future_is_found_out(formula: Any, seed: int) -> None:
    verdict = check_look_ahead(Written(formula), NOTHING, walk(300), cuts=40, seed=seed)
    assert not verdict.passed
    assert verdict.difference is not None
    assert verdict.difference.timestamp <= verdict.difference.cut_after
    assert verdict.difference.signal == ("confidence" if formula is rated_by_the_last else "entry")


def test_honest_signals_pass() -> None:
    verdict = check_look_ahead(Written(above_its_average), NOTHING, walk(300), cuts=40, seed=1)
    assert verdict.passed
    assert verdict.difference is None
    assert verdict.signals > 5
    assert verdict.to_dict()["symbol"] == "X"


def lightly(formula: Any, seed: int) -> LookAhead:
    candles = walk(20_000)
    flags = signals_of(Written(formula), NOTHING, candles).entry
    return light_look_ahead_check(Written(formula), NOTHING, [candles], [np.flatnonzero(flags)], seed)


def test_the_light_check_finds_cheats_and_never_accuses_an_honest_strategy() -> None:
    for seed in range(10):
        assert lightly(above_its_average, seed).passed
        assert lightly(above_its_average, seed).signals > 0
    for formula in CHEATS:
        assert sum(not lightly(formula, seed).passed for seed in range(10)) >= 8


def test_the_light_check_looks_around_a_signal_however_rare() -> None:
    def once(close: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.arange(len(close)) == 15_000 if len(close) > 15_000 else close > 1e9

    verdict = lightly(once, seed=0)
    assert verdict.bars == 1_000
    assert verdict.passed


def test_the_light_check_takes_a_single_bar_and_no_signal() -> None:
    nowhere = np.empty(0, dtype=np.int64)
    assert light_look_ahead_check(Written(above_its_average), NOTHING, [walk(1)], [nowhere], seed=0).passed


def ran(formula: Any) -> list[str]:
    request = BacktestRequest(strategy="written", symbols=("X",))
    return run({"X": walk(300)}, request, Written(formula), NOTHING).diagnostics


def test_every_run_says_when_its_strategy_looks_ahead() -> None:
    assert any(
        remark.startswith("The strategy looks ahead: its entry at 2024-") for remark in ran(tomorrow_rises)
    )
    assert not any("looks ahead" in remark for remark in ran(above_its_average))


def test_a_strategy_that_needs_all_its_candles_runs_all_the_same() -> None:
    def demanding(close: NDArray[np.float64]) -> Any:
        if len(close) < 300:
            raise ValueError("300 candles, please")
        return close > 100

    remarks = ran(demanding)
    assert any("could not be done" in remark and "300 candles, please" in remark for remark in remarks)


def test_warm_up_is_the_bars_until_a_later_start_is_forgotten() -> None:
    simple = measure_warm_up(Written(above_its_average), NOTHING, walk(2_000), starts=20, seed=0)
    assert simple.settled
    assert simple.bars_to_settle <= 10

    def exponential(close: NDArray[np.float64]) -> NDArray[np.bool_]:
        return crossed_above(close, ema(close, 10))

    smoothed = measure_warm_up(Written(exponential), NOTHING, walk(2_000), starts=20, seed=0)
    assert smoothed.settled
    assert 10 <= smoothed.bars_to_settle < 100


def test_signals_that_never_forget_their_start_are_not_settled() -> None:
    def above_the_first(close: NDArray[np.float64]) -> Any:
        return close > close[0]

    rising = candles_of(np.repeat(np.arange(1.0, 101.0)[:, None], 4, axis=1)[::-1])
    down_and_up = candles_of(np.concatenate([[[50.0] * 4] * 60, [[10.0] * 4] * 30, [[40.0] * 4] * 30]))
    assert measure_warm_up(Written(above_the_first), NOTHING, rising, starts=5, seed=0).settled
    assert measure_warm_up(
        Written(lambda close: close < close[:90].min() + 35), NOTHING, down_and_up, starts=5, seed=0
    ).settled
    assert not measure_warm_up(
        Written(lambda close: np.arange(len(close)) % 2 == 0), NOTHING, down_and_up, starts=5, seed=0
    ).settled
