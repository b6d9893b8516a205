"""Both predecessor strategies give exactly the signals that their description asks for."""

from __future__ import annotations

import importlib
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, StrategyParams
from backtest_pipeline.strategies.builtin.volume_long_candle import VolumeLongCandle
from backtest_pipeline.strategies.builtin.volume_zone_breakout import VolumeZoneBreakout
from backtest_pipeline_tests.engine.scripted import candles_of, flat
from backtest_pipeline_tests.strategies import reference_signals

CandleParams: TypeAlias = VolumeLongCandle.Params
ZoneParams: TypeAlias = VolumeZoneBreakout.Params

candle_params = st.builds(
    CandleParams,
    vol_ma_window=st.sampled_from([1, 2, 5, 20]),
    vol_multiplier=st.sampled_from([1.0, 1.5, 3.0]),
    body_pct=st.sampled_from([0.001, 0.02, 0.1]),
)
zone_params = st.builds(
    ZoneParams,
    volume_window=st.sampled_from([10, 15, 30]),
    top_percentile=st.sampled_from([0.05, 0.2, 0.5]),
    breakout_buffer=st.sampled_from([0.0, 0.01, 0.05]),
    num_bins=st.sampled_from([5, 20, 37]),
    include_wicks=st.booleans(),
    first_break_only=st.booleans(),
)


@st.composite
def markets(draw: st.DrawFn) -> Candles:
    """Walks on a coarse grid, with flat stretches, bars of zero height and bars without volume."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bars, tick = 90, draw(st.sampled_from([0.1, 1.0, 0.003]))
    closes = 40 + np.cumsum(
        rng.integers(-2, 3, bars) * (rng.random(bars) < draw(st.sampled_from([0.1, 0.9])))
    )
    closes = np.maximum(closes, 3)
    opens = np.maximum(closes + rng.integers(-2, 3, bars) * (rng.random(bars) < 0.6), 3)
    has_wicks = rng.random(bars) < 0.6
    highs = np.maximum(opens, closes) + rng.integers(0, 3, bars) * has_wicks
    lows = np.maximum(np.minimum(opens, closes) - rng.integers(0, 3, bars) * has_wicks, 1)
    volume = rng.integers(0, 5, bars) * 100.0 * (rng.random(bars) < draw(st.sampled_from([0.05, 0.5, 1.0])))
    return candles_of(np.column_stack([opens, highs, lows, closes]) * tick, volume=volume.tolist())


def adjusted(symbol: str) -> Candles:
    """Real daily candles, adjusted for splits and dividends."""
    stocks = importlib.import_module("bokeh_sampledata.stocks")
    table = getattr(stocks, symbol)
    close = np.array(table["close"], dtype=np.float64)
    factor = np.array(table["adj_close"], dtype=np.float64) / close
    columns = {
        name: np.array(table[name], dtype=np.float64) * factor for name in ("open", "high", "low", "close")
    }
    # Adjusting rounds; the bar's ends take in what they are the ends of.
    columns["high"] = np.maximum.reduce([columns[name] for name in ("open", "high", "close")])
    columns["low"] = np.minimum.reduce([columns[name] for name in ("open", "low", "close")])
    volume = np.array(table["volume"], dtype=np.float64)
    moments = np.array(table["date"], dtype="datetime64[us]")
    return Candles.from_arrays(symbol, "1d", {"timestamp": moments, "volume": volume, **columns})


def found_in(signals: Signals) -> reference_signals.Found:
    assert signals.confidence is not None
    assert signals.exit is None
    return {int(bar): float(signals.confidence[bar]) for bar in np.flatnonzero(signals.entry)}


def agree(found: reference_signals.Found, expected: reference_signals.Found) -> bool:
    return found == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@settings(max_examples=250, derandomize=True, deadline=None)
@given(candles=markets(), params=candle_params)
def test_volume_long_candle_on_generated_candles(candles: Candles, params: CandleParams) -> None:
    found = found_in(VolumeLongCandle().signals(candles, params))
    assert agree(found, reference_signals.volume_long_candle(candles, params))


@pytest.mark.slow
@settings(max_examples=120, derandomize=True, deadline=None)
@given(candles=markets(), params=zone_params)
def test_volume_zone_breakout_on_generated_candles(candles: Candles, params: ZoneParams) -> None:
    found = found_in(VolumeZoneBreakout().signals(candles, params))
    assert agree(found, reference_signals.volume_zone_breakout(candles, params))


@pytest.mark.parametrize("symbol", ["AAPL", "IBM", "MSFT"])
def test_volume_long_candle_on_real_candles(symbol: str) -> None:
    candles, params = adjusted(symbol), CandleParams()
    found = found_in(VolumeLongCandle().signals(candles, params))
    assert len(found) > 20
    assert agree(found, reference_signals.volume_long_candle(candles, params))


@pytest.mark.parametrize("params", [ZoneParams(), ZoneParams(include_wicks=False, first_break_only=True)])
def test_volume_zone_breakout_on_real_candles(params: ZoneParams) -> None:
    candles = adjusted("AAPL").slice(0, 260)
    found = found_in(VolumeZoneBreakout().signals(candles, params))
    assert len(found) > 5
    assert agree(found, reference_signals.volume_zone_breakout(candles, params))


def test_a_window_of_one_price_has_that_price_as_its_resistance() -> None:
    rows = [*flat(*([100] * 10)), [100, 101, 100, 100]]
    signals = VolumeZoneBreakout().signals(
        candles_of(rows), ZoneParams(volume_window=10, breakout_buffer=0.01)
    )
    assert found_in(signals) == {10: 0.5}  # the high of 101 is at the level of 101 to the last digit


def test_a_window_without_volume_has_no_resistance() -> None:
    candles = candles_of(flat(*[100] * 15), volume=[0] * 15)
    assert found_in(VolumeZoneBreakout().signals(candles, ZoneParams(volume_window=10))) == {}


def test_a_fifth_of_the_volume_reaches_a_fifth() -> None:
    # Ten bars of equal volume: eight at 100, one at 110, one at 120; the bins are 4 wide.
    # From the top: 120 has a tenth, 110 the second; its bin begins at 100 + 2 * 4.
    rows = [*flat(*([100] * 8), 110, 120), [108, 108, 100, 100], [107, 107, 100, 100]]
    params = ZoneParams(volume_window=10, num_bins=5, breakout_buffer=0, top_percentile=0.2)
    assert list(found_in(VolumeZoneBreakout().signals(candles_of(rows), params))) == [10]


def test_first_break_only_is_silent_until_the_high_has_been_below_again() -> None:
    rows = flat(*[100] * 10, 105, 106, 95, 107)
    every = VolumeZoneBreakout().signals(candles_of(rows), ZoneParams(volume_window=10))
    first = VolumeZoneBreakout().signals(
        candles_of(rows), ZoneParams(volume_window=10, first_break_only=True)
    )
    assert list(found_in(every)) == [10, 11, 13]
    assert list(found_in(first)) == [10, 13]


def test_a_long_candle_on_surging_volume() -> None:
    # mean of 100, 100, 400 is 200; 400 is at least 1.5 times that; body 3 %, no wicks
    candles = candles_of([*flat(100, 100), [100, 103, 100, 103]], volume=[100, 100, 400])
    signals = VolumeLongCandle().signals(candles, CandleParams(vol_ma_window=3))
    assert found_in(signals) == {2: pytest.approx(400 / 200 / 3)}


def test_a_long_wick_silences_the_signal() -> None:
    candles = candles_of([*flat(100, 100), [100, 107.1, 100, 103]], volume=[100, 100, 400])
    assert found_in(VolumeLongCandle().signals(candles, CandleParams(vol_ma_window=3))) == {}


def test_missing_volume_silences_nothing_but_itself() -> None:
    rows = [*flat(100), [100, 103, 100, 103], *flat(100), [100, 103, 100, 103]]
    candles = candles_of(rows, volume=[0, 0, 100, 400])
    signals = VolumeLongCandle().signals(candles, CandleParams(vol_ma_window=2))
    assert found_in(signals) == {1: 0.0, 3: pytest.approx(400 / 250 / 3)}


@pytest.mark.parametrize("strategy", [VolumeLongCandle(), VolumeZoneBreakout()])
def test_positions_are_held_for_the_holding_period(strategy: VolumeLongCandle | VolumeZoneBreakout) -> None:
    params: StrategyParams = strategy.Params(hold_period_bars=7)
    assert strategy.holding_period_bars(params) == 7  # type: ignore[arg-type]  # its own Params
