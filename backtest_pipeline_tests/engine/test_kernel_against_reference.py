"""The kernel and the slow simulator agree in every bit, whatever the candles, signals and settings."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest_pipeline.engine.accounts import simulate_symbol
from backtest_pipeline.engine.kernel import EXIT_REASONS
from backtest_pipeline.engine.records import TRADE, settings_of
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.signals import Signals, check_signals
from backtest_pipeline_tests.engine.generated import (
    SCALES,
    STYLES,
    generated_rows,
    generated_signals,
    requests,
)
from backtest_pipeline_tests.engine.reference_simulator import Bar, Outcome, ReferenceSimulator, Trade
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES, candles_of

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


def computed_by_the_kernel(bars: list[Bar], request: BacktestRequest, chunk_bars: int) -> Outcome:
    candles = candles_of([[bar.open, bar.high, bar.low, bar.close] for bar in bars])
    flags: dict[str, Any] = {
        name: np.array([getattr(bar, name) for bar in bars], dtype=np.bool_) for name in SIGNAL_NAMES
    }
    outcome, curve = simulate_symbol(
        candles,
        check_signals("scripted", Signals(**flags), len(bars)),
        settings_of(request, request.max_hold_bars),
        request.initial_cash,
        chunk_bars,
        lambda bars: None,
    )
    names = [field.name for field in dataclasses.fields(Trade)]
    trades = []
    for row in outcome.trades:
        values = dict(zip(TRADE.names or (), row.tolist(), strict=True))
        values["side"] = {1: "long", -1: "short"}[values["side"]]
        values["exit_reason"] = EXIT_REASONS[values["reason"] - 1]
        values["bars_held"] = values["exit_bar"] - values["entry_bar"]
        trades.append(Trade(**{name: values[name] for name in names}))
    return Outcome(
        trades, curve.equity.tolist(), curve.cash.tolist(), curve.gross.tolist(), outcome.skipped_entries
    )


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


@settings(max_examples=1_500, derandomize=True, deadline=None)
@given(request=requests, bars=bars_one_by_one)
def test_kernel_equals_reference_bar_by_bar(request: BacktestRequest, bars: list[Bar]) -> None:
    expected = ReferenceSimulator(request, request.initial_cash, request.max_hold_bars).run(bars)

    assert computed_by_the_kernel(bars, request, 3) == expected
