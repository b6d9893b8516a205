"""Indicators against exact arithmetic and against TA-Lib."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backtest_pipeline.engine.indicators import functions as indicators

Floats = NDArray[np.float64]

WINDOWS = (1, 2, 3, 7, 20)


def market(seed: int, bars: int = 600) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, bars)))
    spread = 1 + rng.random((2, bars)) * 0.02
    return close * spread[0], close / spread[1], close


def same(ours: Floats, theirs: Floats, after: int = 0) -> bool:
    assert np.array_equal(np.isnan(ours[after:]), np.isnan(theirs[after:]))
    return bool(np.allclose(ours[after:], theirs[after:], rtol=1e-10, atol=1e-10, equal_nan=True))


@pytest.mark.parametrize("window", [2, 14, 50])
def test_indicators_agree_with_talib(window: int) -> None:
    high, low, close = market(window)
    assert same(indicators.sma(close, window), talib.SMA(close, window))
    assert same(indicators.ema(close, window), talib.EMA(close, window))
    assert same(indicators.rsi(close, window), talib.RSI(close, window))
    assert same(indicators.atr(high, low, close, window), talib.ATR(high, low, close, window))
    lower, middle, upper = indicators.bollinger(close, window, 2.0)
    their_upper, their_middle, their_lower = talib.BBANDS(close, window, 2.0, 2.0)
    assert np.allclose(lower, their_lower, rtol=1e-7, equal_nan=True)  # TA-Lib's squares lose digits
    assert same(middle, their_middle)
    assert np.allclose(upper, their_upper, rtol=1e-7, equal_nan=True)
    assert np.allclose(
        indicators.deviation(close, window), talib.STDDEV(close, window), rtol=1e-6, equal_nan=True
    )
    lowest, highest = indicators.donchian(high, low, window)
    assert same(lowest, talib.MIN(low, window))
    assert same(highest, talib.MAX(high, window))


def test_macd_agrees_with_talib_once_its_late_start_has_faded() -> None:
    close = market(1)[2]
    line, signal = indicators.macd(close, 12, 26, 9)
    their_line, their_signal, _ = talib.MACD(close, 12, 26, 9)
    assert same(line, their_line, after=300)
    assert same(signal, their_signal, after=300)


def test_rsi_by_hand() -> None:
    # changes +1, +1, -1 with window 2: averages 1 and 0, then (1 + 0) / 2 and (0 + 1) / 2
    assert indicators.rsi(np.array([1.0, 2.0, 3.0, 2.0]), 2).tolist()[2:] == [100, 50]


def test_atr_by_hand() -> None:
    # True ranges from the second bar on: 12 - 9, 13 - 11, and 12 - 8 as the close before was 12. Window 2:
    # the first mean is 2.5, then 2.5 + (4 - 2.5) / 2.
    high, low = np.array([11.0, 12.0, 13.0, 9.0]), np.array([9.0, 9.0, 11.0, 8.0])
    close = np.array([10.0, 11.0, 12.0, 8.5])
    assert indicators.atr(high, low, close, 2).tolist()[2:] == [2.5, 3.25]


def test_an_indicator_by_symbol_is_that_of_the_symbols_own_bars_and_stays_until_the_next() -> None:
    nan = np.nan
    close = np.array([[1.0, nan], [nan, 10.0], [3.0, 20.0], [nan, nan], [8.0, 60.0]])
    found = indicators.by_symbol(indicators.sma, close, window=2)
    # Of the first 1, 3, 8: 2 and 5.5; of the second 10, 20, 60: 15 and 40
    expected = np.array([[nan, nan], [nan, nan], [2, 15], [2, 15], [5.5, 40]])
    assert np.array_equal(found, expected, equal_nan=True)
    whole = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert indicators.by_symbol(indicators.sma, whole, window=1).tolist() == whole.tolist()
    nobody = indicators.by_symbol(indicators.sma, np.full((3, 1), nan), window=1)
    assert np.isnan(nobody).all()


def test_an_indicator_by_symbol_takes_several_columns() -> None:
    high, low, close = (np.stack([own, own * 2], axis=1) for own in market(3, 60))
    high[7] = low[7] = close[7] = np.nan
    found = indicators.by_symbol(indicators.atr, high, low, close, window=5)
    own_high, own_low, own_close = (np.delete(column[:, 0], 7) for column in (high, low, close))
    alone = indicators.atr(own_high, own_low, own_close, 5)
    assert np.array_equal(np.delete(found[:, 0], 7), alone, equal_nan=True)
    assert same(found[:, 1], 2 * found[:, 0])


def test_an_indicator_that_has_no_value_at_a_bar_has_none_until_the_next() -> None:
    """What is carried over rows without a bar is what the last bar has, be it nothing."""

    def odd(close: Floats) -> Floats:
        return np.where(close % 2 == 1, close, np.nan)

    nan = np.nan
    found = indicators.by_symbol(odd, np.array([[1.0], [nan], [2.0], [nan], [3.0]]))
    assert np.array_equal(found[:, 0], [1, 1, nan, nan, 3], equal_nan=True)


def test_what_a_symbol_lacks_is_carried_from_its_latest_value() -> None:
    nan = np.nan
    table = np.array([[nan, 1.0], [2.0, nan], [nan, nan], [3.0, 4.0]])
    expected = np.array([[nan, 1.0], [2, 1], [2, 1], [3, 4]])
    assert np.array_equal(indicators.carried(table), expected, equal_nan=True)
    assert np.isnan(table[2]).all()  # the table is left as it was


def test_rsi_of_prices_that_never_move_is_neutral() -> None:
    assert indicators.rsi(np.full(10, 3.3), 4).tolist()[4:] == [50] * 6


def test_ema_by_hand() -> None:
    # starts at (1 + 2 + 3) / 3 = 2, weight 2 / 4: 2 + (6 - 2) / 2 = 4
    assert indicators.ema(np.array([1.0, 2.0, 3.0, 6.0]), 3).tolist()[2:] == [2, 4]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.1, 0.3, 1e-3, 1e9, 123.456, 7e9]), min_size=1, max_size=40),
    window=st.sampled_from(WINDOWS),
)
def test_sma_is_the_exact_mean_rounded_once(values: list[float], window: int) -> None:
    means = indicators.sma(np.array(values), window)
    for bar, mean in enumerate(means):
        if bar < window - 1:
            assert math.isnan(mean)
        else:
            exact = sum((Fraction(value) for value in values[bar - window + 1 : bar + 1]), Fraction())
            assert mean == pytest.approx(float(exact / window), rel=2.3e-16, abs=0)


@pytest.mark.parametrize("price", [0.1, 1 / 3, 123.456, 1e-3])
def test_equal_values_have_that_value_as_mean_and_no_deviation_whatever_came_before(price: float) -> None:
    values = np.concatenate([market(3)[2] * 1e6, np.full(50, price)])
    for window in (3, 7, 20):
        lower, middle, upper = indicators.bollinger(values, window, 2.0)
        still = slice(len(values) - 50 + window, None)
        assert (middle[still] == price).all()
        assert (lower[still] == price).all()
        assert (upper[still] == price).all()


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), window=st.sampled_from([2, 3, 7, 20]), level=st.sampled_from([0.0, 1e6])
)
def test_deviation_keeps_its_digits_far_from_zero(seed: int, window: int, level: float) -> None:
    values = level + np.random.default_rng(seed).normal(0, 1, 60)
    lower, _, upper = indicators.bollinger(values, window, 1.0)
    for bar in range(window - 1, 60):
        exact = [Fraction(value) for value in values[bar - window + 1 : bar + 1]]
        mean = sum(exact, Fraction()) / window
        deviation = math.sqrt(sum(((value - mean) ** 2 for value in exact), Fraction()) / window)
        assert (upper[bar] - lower[bar]) / 2 == pytest.approx(deviation, rel=1e-10, abs=1e-15 * max(level, 1))


def test_a_gap_in_the_values_empties_the_window() -> None:
    values = np.array([1.0, 2.0, np.nan, 3.0, 5.0, 7.0])
    nan = np.nan
    assert np.array_equal(indicators.sma(values, 2), [nan, 1.5, nan, nan, 4, 6], equal_nan=True)
    assert np.array_equal(indicators.donchian(values, values, 2)[1], [nan, 2, nan, nan, 5, 7], equal_nan=True)
    assert np.array_equal(indicators.bollinger(values, 2, 1)[2], [nan, 2, nan, nan, 5, 7], equal_nan=True)


def test_indicators_take_any_numbers() -> None:
    assert indicators.sma([1, 2, 3], 2).tolist()[1:] == [1.5, 2.5]
    assert indicators.sma(np.arange(10)[::3], 2).tolist()[1:] == [1.5, 4.5, 7.5]


@pytest.mark.parametrize("name", ["sma", "ema", "rsi"])
def test_too_few_values_have_no_indicator(name: str) -> None:
    assert np.isnan(getattr(indicators, name)(np.arange(3.0), 10)).all()
    assert len(getattr(indicators, name)(np.empty(0), 10)) == 0


def test_crossings_touch_before_they_cross() -> None:
    left, right = np.array([1.0, 2.0, 3.0, 2.0, 1.0]), np.array([2.0, 2.0, 2.0, 2.0, 2.0])
    assert np.flatnonzero(indicators.crossed_above(left, right)).tolist() == [2]
    assert np.flatnonzero(indicators.crossed_below(left, right)).tolist() == [4]
    assert not indicators.crossed_above(np.array([np.nan, 3.0]), 2.0).any()


def test_before_looks_back() -> None:
    assert np.array_equal(
        indicators.before(np.array([1.0, 2.0, 3.0]), 2), [np.nan, np.nan, 1], equal_nan=True
    )
    assert np.isnan(indicators.before(np.array([1.0]), 2)).all()
