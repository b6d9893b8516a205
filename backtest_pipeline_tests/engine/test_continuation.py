"""Candles that go on differently keep every rule and all that came before, and are the contrary after it."""

from __future__ import annotations

import numpy as np
import pytest

from backtest_pipeline.engine.continuation import OTHER_BARS, Manner, continued
from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline_tests.engine.generated import generated_rows
from backtest_pipeline_tests.engine.scripted import candles_of, flat

every_manner = pytest.mark.parametrize("manner", list(Manner))


def columns_of(candles: Candles) -> dict[str, np.ndarray]:
    return {name: getattr(candles, name) for name in CANDLE_COLUMNS}


@every_manner
@pytest.mark.parametrize("style", ["grid", "walk", "jumps", "still"])
@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e9])
def test_every_rule_of_candles_holds(manner: Manner, style: str, scale: float) -> None:
    candles = candles_of(
        generated_rows(np.random.default_rng(3), 60, style, scale), volume=[0.0] * 30 + [5.0] * 30
    )
    for bar in (0, 1, 29, 57, 58, 59):
        for jitter in (0, 7):
            other = continued(candles, 0, bar, manner, jitter=jitter)
            Candles.from_arrays("X", "1d", columns_of(other))


@every_manner
def test_the_bars_until_then_and_all_timestamps_stay(manner: Manner) -> None:
    candles = candles_of(generated_rows(np.random.default_rng(3), 60, "jumps", 1.0))
    other = continued(candles, 10, 40, manner)
    assert len(other) == 31 + (0 if manner is Manner.CUT else OTHER_BARS)
    for name in CANDLE_COLUMNS:
        assert getattr(other, name)[:31].tolist() == getattr(candles, name)[10:41].tolist()
        assert not getattr(other, name).flags.writeable
    assert other.timestamp.tolist() == candles.timestamp[10 : 10 + len(other)].tolist()
    assert len(continued(candles, 0, 57, manner)) == (58 if manner is Manner.CUT else 60)


def test_what_follows_is_the_contrary_of_what_came() -> None:
    # closes 100 to 103 (a range of 3 %), then a rise of 0.5 % to 103.515
    candles = candles_of(
        [*flat(100, 101, 102, 103), [103.2, 104, 103.1, 103.515]], volume=[10, 10, 10, 10, 30]
    )
    opposite = continued(candles, 0, 3, Manner.OPPOSITE)
    ratio, leap = 103 / 103.515, 103 / 100
    assert opposite.close[4] == pytest.approx(103 * ratio / leap)
    assert opposite.open[4] == pytest.approx(103 * (103 / 103.2) / leap)
    assert opposite.high[4] == pytest.approx(103 * (103 / 103.1) / leap)  # the mirrored low
    assert opposite.volume[4] == 10 / 16
    along = continued(candles, 0, 3, Manner.ALONG)
    assert along.close[4] == pytest.approx(103.515 * leap)
    against = continued(candles, 0, 3, Manner.AGAINST)
    assert against.close[4] == pytest.approx(103 * ratio / leap)
    assert against.high[4] == 103
    calm = continued(candles, 0, 3, Manner.CALM)
    assert calm.close[4] == pytest.approx(103 * ratio**0.125)
    extreme = continued(candles, 0, 3, Manner.EXTREME)
    assert (extreme.close[4], extreme.low[4], extreme.high[4]) == (412, 103, 412)


def test_a_large_move_is_answered_by_a_small_one() -> None:
    candles = candles_of(flat(100, 101, 100, 101, 100, 130))  # a mean move of 1 %, then 30 %
    assert continued(candles, 0, 4, Manner.OPPOSITE).close[5] == pytest.approx(100 * (100 / 130) ** 0.125)


def test_a_bar_that_opened_where_the_last_one_closed_has_a_gap_now() -> None:
    candles = candles_of([*flat(100, 101), [101, 102, 101, 102]])
    other = continued(candles, 0, 1, Manner.OPPOSITE)
    assert other.close[2] < other.open[2] < 101


def test_jitter_moves_whole_bars_by_a_millionth_and_always_alike() -> None:
    candles = candles_of(flat(*[100.0] * 50))
    once, again = (continued(candles, 0, 49, Manner.CUT, jitter=1) for _ in range(2))
    assert once.close.tolist() == again.close.tolist()
    assert np.abs(once.close / 100 - 1).max() <= 1e-6
    assert len(set(once.close.tolist())) == 50
    assert once.open.tolist() == once.high.tolist() == once.close.tolist()
    assert once.close.tolist() != continued(candles, 0, 49, Manner.CUT, jitter=2).close.tolist()
    # a bar's factor belongs to the bar, wherever the candles start
    assert continued(candles, 20, 49, Manner.CUT, jitter=1).close.tolist() == once.close[20:].tolist()
