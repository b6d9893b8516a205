"""Thinning that loses no extreme."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from backtest_pipeline.reports.charts.downsample import bars_a_candle, fewer_candles, kept_points
from backtest_pipeline_tests.reports.made import candles_of, walk

LINES = npst.arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e9, 1e9, allow_nan=False, width=32))


@given(values=LINES, most=st.integers(4, 320))
def test_a_thinned_line_keeps_ends_extremes_order_and_the_limit(
    values: NDArray[np.float64], most: int
) -> None:
    kept = kept_points(values, most)
    assert len(kept) <= most
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert (np.diff(kept) > 0).all()
    assert values[kept].min() == values.min()
    assert values[kept].max() == values.max()
    if len(values) <= most:
        assert kept.tolist() == list(range(len(values)))


def test_every_stretch_of_a_line_keeps_its_own_extremes() -> None:
    # Ten bars in at most eight points: two buckets of five, each with first, lowest, highest, last.
    values = np.array([5.0, 9.0, 1.0, 6.0, 5.0, 4.0, 3.0, 8.0, 2.0, 4.0])
    assert kept_points(values, 8).tolist() == [0, 1, 2, 4, 5, 7, 8, 9]


def test_fewer_points_than_ends_and_extremes_are_refused() -> None:
    with pytest.raises(ValueError, match="not 3"):
        kept_points(np.zeros(10), 3)


def test_a_merged_candle_opens_with_the_first_and_closes_with_the_last() -> None:
    candles = candles_of([10.0, 12.0, 11.0, 9.0, 13.0])
    few = fewer_candles(candles, 2)  # 3 bars, then the 2 that are left
    assert few.timestamp.tolist() == candles.timestamp[[0, 3]].tolist()
    assert few.open.tolist() == [10.0, 11.0]
    assert few.close.tolist() == [11.0, 13.0]
    assert few.high.tolist() == pytest.approx([12.0 * 1.01, 13.0 * 1.01])
    assert few.low.tolist() == pytest.approx([10.0 * 0.99, 9.0 * 0.99])
    assert few.volume.tolist() == [300.0, 200.0]
    assert bars_a_candle(5, 2) == 3


@given(bars=st.integers(1, 400), most=st.integers(1, 400))
def test_merged_candles_keep_extremes_volume_and_the_limit(bars: int, most: int) -> None:
    candles = candles_of(walk(bars))
    few = fewer_candles(candles, most)
    assert len(few) <= most
    assert few.high.max() == candles.high.max()
    assert few.low.min() == candles.low.min()
    assert (few.open[0], few.close[-1]) == (candles.open[0], candles.close[-1])
    assert few.volume.sum() == pytest.approx(candles.volume.sum())
