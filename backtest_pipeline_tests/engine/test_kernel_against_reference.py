"""The kernel and the slow simulator agree in every bit, whatever the candles, signals and settings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline_tests.engine.generated import (
    SCALES,
    STYLES,
    generated_rows,
    generated_signals,
    requests,
)
from backtest_pipeline_tests.engine.reference_simulator import Bar, ReferenceSimulator
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES
from backtest_pipeline_tests.engine.simulators import computed_by_the_kernel

prices = st.integers(1, 12).map(lambda step: step * 25.0)
bars_one_by_one = st.lists(
    st.builds(
        lambda points, turned, flags: Bar(
            points[2 if turned else 1], points[3], points[0], points[1 if turned else 2], *flags
        ),
        st.tuples(prices, prices, prices, prices).map(sorted),
        st.booleans(),
        st.tuples(*[st.booleans()] * 4),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=3_000, derandomize=True, deadline=None)
@given(
    request=requests,
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(1, 60),
    style=st.sampled_from(STYLES),
    scale=st.sampled_from(SCALES),
    chunk_bars=st.sampled_from([1, 7, 1_000]),
)
def test_kernel_equals_reference_on_generated_markets(
    request: BacktestRequest, seed: int, bars: int, style: str, scale: float, chunk_bars: int
) -> None:
    rng = np.random.default_rng(seed)
    signals = generated_signals(rng, bars)
    flags = zip(*(getattr(signals, name).tolist() for name in SIGNAL_NAMES), strict=True)
    rows = generated_rows(rng, bars, style, scale).tolist()
    written = [Bar(*row, *marks) for row, marks in zip(rows, flags, strict=True)]

    expected = ReferenceSimulator(request, request.initial_cash, request.max_hold_bars).run(written)

    assert computed_by_the_kernel(written, request, chunk_bars) == expected


@pytest.mark.slow
@settings(max_examples=1_500, derandomize=True, deadline=None)
@given(request=requests, bars=bars_one_by_one)
def test_kernel_equals_reference_bar_by_bar(request: BacktestRequest, bars: list[Bar]) -> None:
    expected = ReferenceSimulator(request, request.initial_cash, request.max_hold_bars).run(bars)

    assert computed_by_the_kernel(bars, request, 3) == expected
