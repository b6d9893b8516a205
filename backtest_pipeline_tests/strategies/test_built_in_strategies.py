"""The built-in strategies: signals worked out by hand, honesty, and parameters that explain themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from backtest_pipeline.engine.lookahead import check_look_ahead, measure_warm_up
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.drawing import drawing_of
from backtest_pipeline.model.signal_checks import check_signals
from backtest_pipeline.model.strategy import Signals, Strategy
from backtest_pipeline.strategies.builtin.atr_channel_breakout import AtrChannelBreakout
from backtest_pipeline.strategies.builtin.bollinger_limit import BollingerLimit
from backtest_pipeline.strategies.builtin.bollinger_reversion import BollingerReversion
from backtest_pipeline.strategies.builtin.buy_and_hold import BuyAndHold
from backtest_pipeline.strategies.builtin.donchian_breakout import DonchianBreakout
from backtest_pipeline.strategies.builtin.ema_cross import EmaCross
from backtest_pipeline.strategies.builtin.macd_cross import MacdCross
from backtest_pipeline.strategies.builtin.momentum import Momentum
from backtest_pipeline.strategies.builtin.rsi_reversion import RsiReversion
from backtest_pipeline.strategies.builtin.sma_cross import SmaCross
from backtest_pipeline.strategies.builtin.volume_long_candle import VolumeLongCandle
from backtest_pipeline.strategies.builtin.volume_zone_breakout import VolumeZoneBreakout
from backtest_pipeline_tests.engine.generated import generated_rows
from backtest_pipeline_tests.engine.scripted import candles_of, flat

STRATEGIES: list[type[Strategy]] = [
    AtrChannelBreakout,
    BollingerLimit,
    BollingerReversion,
    BuyAndHold,
    DonchianBreakout,
    EmaCross,
    MacdCross,
    Momentum,
    RsiReversion,
    SmaCross,
    VolumeLongCandle,
    VolumeZoneBreakout,
]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def market(bars: int = 1_500) -> Candles:
    rng = np.random.default_rng(11)
    return candles_of(generated_rows(rng, bars, "walk", 1.0), volume=rng.integers(0, 1_000, bars).tolist())


def bars_of(signals: Signals) -> dict[str, list[int]]:
    names = ("entry", "exit", "short_entry", "short_exit")
    return {
        name: np.flatnonzero(flags).tolist()
        for name in names
        if (flags := getattr(signals, name)) is not None and flags.any()
    }


def signals_on(strategy: Strategy, *closes: float, **params: Any) -> dict[str, list[int]]:
    return bars_of(strategy.signals(candles_of(flat(*closes)), strategy.Params(**params)))


@every_strategy
def test_no_strategy_knows_the_future(strategy: type[Strategy]) -> None:
    verdict = check_look_ahead(strategy(), strategy.Params(), market(), cuts=60, seed=1)
    assert verdict.passed, verdict.difference
    assert verdict.signals > 0


@every_strategy
def test_every_strategy_forgets_where_the_candles_began(strategy: type[Strategy]) -> None:
    warm_up = measure_warm_up(strategy(), strategy.Params(), market(), starts=20, seed=1)
    assert warm_up.settled
    assert warm_up.bars_to_settle < 400


@every_strategy
def test_every_strategy_draws_what_it_goes_by(strategy: type[Strategy]) -> None:
    candles = market()
    signals = strategy().signals(candles, strategy.Params())
    drawing = drawing_of(signals, len(candles))
    given = [*(signals.lines or {}), *(name for pane in (signals.panes or {}).values() for name in pane)]
    drawn = [*drawing.lines, *(name for pane in drawing.panes.values() for name in pane)]
    assert drawn == given != []  # all that it gives fits


@every_strategy
def test_every_parameter_has_a_default_and_a_description(strategy: type[Strategy]) -> None:
    strategy.Params()
    for field in strategy.Params.model_fields.values():
        assert field.description
        assert field.annotation is bool or field.metadata


@every_strategy
def test_names_and_first_lines_are_what_users_read(strategy: type[Strategy]) -> None:
    assert strategy.__module__.endswith(f".{strategy.name}")
    assert (strategy.__doc__ or "").splitlines()[0].endswith(".")
    assert strategy.summary() == (strategy.__doc__ or "").splitlines()[0]


@every_strategy
@pytest.mark.parametrize("bars", [1, 2, 15])
def test_few_candles_are_no_error(strategy: type[Strategy], bars: int) -> None:
    signals = strategy().signals(market(bars), strategy.Params())
    assert signals.entry.shape == (bars,)


@every_strategy
def test_prices_that_never_move_give_no_signal(strategy: type[Strategy]) -> None:
    still = bars_of(strategy().signals(candles_of(flat(*[0.1] * 200)), strategy.Params()))
    expected = {"entry": [0]} if strategy is BuyAndHold else {}
    assert still == expected


def test_sma_cross() -> None:
    # fast 1: the close; slow 2: (20 + 10) / 2 = 15 > 10, then (10 + 30) / 2 = 20 < 30, then 20 > 10
    found = signals_on(SmaCross(), 20, 10, 30, 10, fast=1, slow=2)
    assert found == {"entry": [2], "short_exit": [2], "exit": [3], "short_entry": [3]}


def test_ema_cross() -> None:
    # fast 1: the close; slow 3: starts at 20, then 20 + (50 - 20) / 2 = 35 < 50, then 35 + (5 - 35) / 2 = 20
    found = signals_on(EmaCross(), 30, 20, 10, 50, 5, fast=1, slow=3)
    assert found == {"entry": [3], "short_exit": [3], "exit": [4], "short_entry": [4]}


def test_rsi_reversion() -> None:
    # window 2: averages of gains and losses 0.5 and 0.5 (50), 0.25 and 5.25 (4.5), 10.1 and 2.6 (79)
    found = signals_on(RsiReversion(), 10, 11, 10, 0.5, 20, window=2)
    assert found == {"entry": [3], "short_exit": [3], "exit": [4], "short_entry": [4]}


def test_bollinger_reversion() -> None:
    # window 2: one deviation reaches to the lower and the higher of the two closes, half of one stays inside
    found = signals_on(BollingerReversion(), 10, 10, 8, 12, 12, window=2, deviations=0.5)
    assert found == {"entry": [2], "short_exit": [2], "exit": [3], "short_entry": [3]}


def test_macd_cross() -> None:
    # fast 1, slow 2, signal 2: the line turns up with the jump and down with the fall
    found = signals_on(MacdCross(), 10, 10, 10, 10, 20, 20, 20, fast=1, slow=2, signal=2)
    assert found == {"entry": [4], "short_exit": [4], "exit": [5], "short_entry": [5]}


def test_donchian_breakout() -> None:
    # channel of the two bars before: 12 > 11 enters; 10 is below the one bar before (12), then below 10 and 9
    found = signals_on(DonchianBreakout(), 10, 11, 12, 10, 9, entry_window=2, exit_window=1)
    assert found == {"entry": [2], "exit": [3, 4], "short_entry": [3, 4], "short_exit": [1, 2]}


def test_momentum() -> None:
    # returns over one bar: 0, 20 %, 0, -50 %, 100 %
    found = signals_on(Momentum(), 10, 10, 12, 12, 6, 12, window=1, threshold=0.1)
    assert found == {"entry": [2, 5], "short_exit": [2, 5], "exit": [4], "short_entry": [4]}


def test_buy_and_hold() -> None:
    assert signals_on(BuyAndHold(), 10, 10, 12) == {"entry": [0]}


@pytest.mark.parametrize("strategy", [SmaCross, EmaCross, MacdCross])
def test_the_fast_average_must_be_the_faster_one(strategy: Any) -> None:
    with pytest.raises(ValidationError, match=r"fast \(30 bars\) must be less than slow \(30 bars\)"):
        strategy.Params(fast=30, slow=30)


def test_the_levels_of_rsi_reversion_must_rise() -> None:
    with pytest.raises(
        ValidationError, match=r"oversold \(60\), exit_level \(50\) and overbought \(70\) must rise"
    ):
        RsiReversion.Params(oversold=60)


def ordered(signals: Signals, bars: int) -> dict[str, list[int]]:
    """Bars of the flags as the engine reads them: with those that have the price of an order."""
    checked = check_signals("ordered", signals, bars)
    names = ("entry", "exit", "short_entry", "short_exit")
    return {name: np.flatnonzero(flags).tolist() for name in names if (flags := getattr(checked, name)).any()}


def test_atr_channel_breakout() -> None:
    rows = [[20, 21, 19, 20], [20, 22, 18, 20], [20, 24, 20, 22], [12, 14, 10, 12]]
    params = AtrChannelBreakout.Params(window=2, atr_window=1, entry_atr=0.5, stop_atr=2)
    signals = AtrChannelBreakout().signals(candles_of(rows), params)
    nan = np.nan
    third = 20 + 2 / 3 * (22 - 20)  # the average, which starts at 20
    fourth = third + 2 / 3 * (12 - third)
    # True ranges are 4, 4 and, down from 22 to 10, 12: half of that is the channel, twice that the stop.
    assert signals.entry_stop == pytest.approx([nan, nan, third + 2, nan], nan_ok=True)
    assert signals.short_entry_stop == pytest.approx([nan, nan, nan, fourth - 6], nan_ok=True)
    stops = [nan, nan, third + 2 - 8, fourth - 6 + 24]
    assert signals.stop_price == pytest.approx(stops, nan_ok=True)
    assert ordered(signals, 4) == {"entry": [2], "exit": [3], "short_entry": [3], "short_exit": [2]}


def test_an_order_or_a_stop_below_zero_is_not_placed() -> None:
    rows = [[20, 21, 19, 20], [20, 60, 1, 30], [20, 50, 1, 10]]
    params = AtrChannelBreakout.Params(window=2, atr_window=1, entry_atr=1, stop_atr=10)
    signals = AtrChannelBreakout().signals(candles_of(rows), params)
    # Averages 25 and 15, true ranges 59 and 49: a stop at 84 - 590, an order to sell at 15 - 49
    assert ordered(signals, 3) == {"entry": [1], "exit": [2]}
    assert signals.stop_price is not None
    assert np.isnan(signals.stop_price[:2]).all()


def test_bollinger_limit() -> None:
    signals = BollingerLimit().signals(
        candles_of(flat(10, 12, 12, 8)), BollingerLimit.Params(window=2, deviations=2)
    )
    nan = np.nan
    # Means 11, 12, 10, deviations 1, 0, 2: bands at 9 and 13, none, at 6 and 14
    assert signals.entry_limit == pytest.approx([nan, 9, nan, 6], nan_ok=True)
    assert signals.short_entry_limit == pytest.approx([nan, 13, nan, 14], nan_ok=True)
    assert signals.target_price == pytest.approx([nan, 11, 12, 10], nan_ok=True)
    assert ordered(signals, 4) == {"entry": [1, 3], "short_entry": [1, 3], "short_exit": [3]}
