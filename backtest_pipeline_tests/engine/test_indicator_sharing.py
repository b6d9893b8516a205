"""Indicators that many backtests share: the same numbers, bounded memory, nobody's array spoiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backtest_pipeline.engine import indicators
from backtest_pipeline.engine.indicators.sharing import IndicatorMemo, sharing
from backtest_pipeline.engine.panel_building import panel_of
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.panel import Panel
from backtest_pipeline_tests.research.made_candles import walk

RNG = np.random.default_rng(7)
CLOSE = 100 + np.cumsum(RNG.normal(0, 1, 400))
HIGH, LOW = CLOSE + RNG.random(400), CLOSE - RNG.random(400)
VOLUME = RNG.random(400)

PAIR = [walk("A", 400, skip=0.1), walk("B", 350)]

CALLS: dict[str, Any] = {
    "sma": lambda: indicators.sma(CLOSE, 10),
    "ema": lambda: indicators.ema(CLOSE, 10),
    "rsi": lambda: indicators.rsi(CLOSE, 10),
    "atr": lambda: indicators.atr(HIGH, LOW, CLOSE, 10),
    "bollinger": lambda: indicators.bollinger(CLOSE, 10, 1.5),
    "deviation": lambda: indicators.deviation(CLOSE, 10),
    "macd": lambda: indicators.macd(CLOSE, 3, 8, 4),
    "donchian": lambda: indicators.donchian(HIGH, LOW, 10),
    "before": lambda: indicators.before(CLOSE, 3),
    "body_range": lambda: indicators.body_range(CLOSE, HIGH),
    "volume_zone_level": lambda: indicators.volume_zone_level(LOW, HIGH, VOLUME, 20, 10, 0.3),
}


def _memo(*, copies: bool = False, most_bytes: int = 10**8) -> IndicatorMemo:
    memo = IndicatorMemo(most_bytes)
    memo.copies = copies
    memo.begin([CLOSE, HIGH, LOW, VOLUME])
    return memo


def _arrays(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("copies", [False, True])
def test_a_shared_indicator_has_the_bytes_of_one_by_itself(name: str, copies: bool) -> None:
    alone = _arrays(CALLS[name]())
    with sharing(_memo(copies=copies)):
        first, second = _arrays(CALLS[name]()), _arrays(CALLS[name]())
    for own, one, other in zip(alone, first, second, strict=True):
        assert own.tobytes() == one.tobytes() == other.tobytes()
        assert own.flags.writeable
        assert one.flags.writeable is copies
        assert (one is other) is not copies


def test_without_a_memo_each_call_has_its_own_array() -> None:
    assert indicators.sma(CLOSE, 10) is not indicators.sma(CLOSE, 10)


def test_an_indicator_of_an_indicator_is_shared_and_one_of_another_array_is_not() -> None:
    with sharing(_memo()):
        mean = indicators.sma(CLOSE, 5)
        assert indicators.ema(mean, 3) is indicators.ema(mean, 3)
        doubled = CLOSE * 2
        assert indicators.sma(doubled, 5) is not indicators.sma(doubled, 5)


def test_arguments_of_other_types_are_other_arguments() -> None:
    with sharing(_memo()):
        assert indicators.bollinger(CLOSE, 10, 2) is not indicators.bollinger(CLOSE, 10, 2.0)
        three = np.array(3)  # cannot be looked up, and works as it does alone
        assert np.array_equal(indicators.before(CLOSE, three), indicators.before(CLOSE, 3), equal_nan=True)  # type: ignore[arg-type]  # which is the point


def test_what_is_remembered_stays_within_its_bytes_and_right() -> None:
    memo = _memo(most_bytes=10 * CLOSE.nbytes)
    expected = {window: indicators.sma(CLOSE, window).tobytes() for window in range(1, 41)}
    with sharing(memo):
        for _ in range(3):
            for window in range(1, 41):
                assert indicators.sma(CLOSE, window).tobytes() == expected[window]
                assert indicators.ema(indicators.sma(CLOSE, window), 3).shape == (400,)
    assert memo.bytes <= 10 * CLOSE.nbytes


def test_a_round_that_is_larger_than_the_memory_still_finds_some_of_it() -> None:
    found = 0
    with sharing(_memo(most_bytes=30 * CLOSE.nbytes)):
        before: dict[int, Any] = {}
        for _ in range(10):
            for window in range(1, 41):
                mean = indicators.sma(CLOSE, window)
                found += before.get(window) is mean
                before[window] = mean
    assert found > 0.4 * 9 * 40


def test_other_candles_begin_anew() -> None:
    memo = _memo()
    with sharing(memo):
        mean = indicators.sma(CLOSE, 5)
        memo.begin([CLOSE, HIGH, LOW, VOLUME])
        assert indicators.sma(CLOSE, 5) is mean
        memo.begin([HIGH])
        assert indicators.sma(CLOSE, 5) is not indicators.sma(CLOSE, 5)
        assert indicators.sma(HIGH, 5) is indicators.sma(HIGH, 5)


def _panel() -> Panel:
    return panel_of(PAIR)


def test_a_panel_is_built_once_for_the_same_candles_and_its_indicators_are_remembered() -> None:
    memo = IndicatorMemo()
    memo.copies = False
    alone = _panel()
    average = indicators.by_symbol(indicators.sma, alone.close, window=5)
    with sharing(memo):
        memo.begin(getattr(own, name) for own in PAIR for name in CANDLE_COLUMNS)
        first, second = _panel(), _panel()
        assert first.close is second.close
        assert not first.close.flags.writeable
        for name in ("timestamp", "day", *CANDLE_COLUMNS[1:]):
            assert getattr(first, name).tobytes() == getattr(alone, name).tobytes()
        found = indicators.by_symbol(indicators.sma, first.close, window=5)
        assert found.tobytes() == average.tobytes()
        assert indicators.by_symbol(indicators.sma, second.close, window=5) is found
        assert indicators.by_symbol(indicators.sma, first.close, window=6) is not found
        assert indicators.by_symbol(indicators.ema, first.close, window=5) is not found
        assert indicators.carried(first.close) is indicators.carried(second.close)
        held = memo.bytes
        for _ in range(3):  # an indicator that is made for one call is not kept
            made = indicators.by_symbol(lambda close: indicators.sma(close, 5), first.close)
            assert made.tobytes() == average.tobytes()
        assert memo.bytes == held
        memo.begin([CLOSE])
        assert _panel().close is not first.close


def test_a_strategy_that_might_write_to_a_panels_indicators_gets_its_own() -> None:
    memo = IndicatorMemo()
    with sharing(memo):
        memo.begin(getattr(own, name) for own in PAIR for name in CANDLE_COLUMNS)
        panel = _panel()
        found = indicators.by_symbol(indicators.sma, panel.close, window=5)
        found[:] = 0
        again = indicators.by_symbol(indicators.sma, panel.close, window=5)
        assert np.nanmin(again) > 0
        assert not panel.close.flags.writeable
