"""The kernel, called with the slow simulator's bars and returning its kind of outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from backtest_pipeline.engine.accounts import simulate_symbol
from backtest_pipeline.engine.kernel import EXIT_REASONS
from backtest_pipeline.engine.records import TRADE, settings_of
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.signal_checks import check_signals
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline_tests.engine.reference_simulator import Bar, Outcome, Trade
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES, candles_of


def bar_of(row: Iterable[Any]) -> Bar:
    """A bar without signals from open, high, low and close, whatever numbers they are."""
    open_price, high, low, close = map(float, row)
    return Bar(open_price, high, low, close)


def computed_by_the_kernel(bars: Sequence[Bar], request: BacktestRequest, chunk_bars: int) -> Outcome:
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
