"""Candles written down row by row, and a strategy that gives the signals it is told to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest_pipeline.engine.run import run
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.panel import Panel
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy, Weights
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe

SIGNAL_NAMES = ("entry", "exit", "short_entry", "short_exit")


class Scripted(Strategy):
    """Gives each symbol the signals that it was built with."""

    name = "scripted"

    def __init__(self, by_symbol: Mapping[str, Signals], holding_period: int | None = None) -> None:
        self.by_symbol = by_symbol
        self.holding_period = holding_period

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        whole = self.by_symbol[candles.symbol]
        if isinstance(whole, Signals) and len(whole.entry) > len(candles):
            cut: dict[str, Any] = {
                name: None if flags is None else flags[: len(candles)] for name, flags in vars_of(whole)
            }
            return Signals(**cut)
        return whole

    def holding_period_bars(self, params: StrategyParams) -> int | None:
        return self.holding_period


class ScriptedWeights(PortfolioStrategy):
    """Gives the weights that it was built with, or as many rows of them as it is asked for."""

    name = "scripted"

    def __init__(self, answer: Weights) -> None:
        self.answer = answer

    def weights(self, panel: Panel, params: StrategyParams) -> Weights:
        return dataclasses.replace(self.answer, weights=self.answer.weights[: len(panel)])


def candles_of(
    rows: Sequence[Sequence[float]] | NDArray[np.float64],
    *,
    symbol: str = "X",
    timeframe: Timeframe = "1d",
    start: str = "2024-01-01",
    volume: Sequence[float] | None = None,
) -> Candles:
    """Candles from rows of open, high, low, close, bar after bar without a gap."""
    table = np.asarray(rows, dtype=np.float64)
    step = np.timedelta64(BAR_SECONDS[timeframe] * 1_000_000, "us")
    columns: dict[str, NDArray[Any]] = {
        "timestamp": np.datetime64(start, "us") + np.arange(len(table)) * step,
        "volume": np.full(len(table), 1_000.0) if volume is None else np.asarray(volume, dtype=np.float64),
    }
    columns |= {name: table[:, column] for column, name in enumerate(("open", "high", "low", "close"))}
    return Candles.from_arrays(symbol, timeframe, columns)


def vars_of(signals: Signals) -> list[tuple[str, Any]]:
    return [(name, getattr(signals, name)) for name in Signals.__slots__]


def flat(*closes: float) -> list[Sequence[float]]:
    """Bars that stand still at each of these prices."""
    return [[close] * 4 for close in closes]


def signals_at(bars: int, **at: Sequence[int]) -> Signals:
    """Signals that stand at the bars listed under their names."""
    flags: dict[str, Any] = {}
    for name in SIGNAL_NAMES:
        flags[name] = np.zeros(bars, dtype=np.bool_)
        flags[name][list(at.get(name, ()))] = True
    return Signals(**flags)


def play(
    rows: Sequence[Sequence[float]] | NDArray[np.float64] | Candles,
    signals: Signals,
    *,
    holding_period: int | None = None,
    progress_callback: Any = None,
    **request: Any,
) -> BacktestResult:
    """Runs scripted signals over one symbol, with 1 000 of cash and no fees unless the request says more."""
    candles = rows if isinstance(rows, Candles) else candles_of(rows)
    fields = {"initial_cash": 1_000, "fee_bps": 0, "timeframe": candles.timeframe} | request
    asked = BacktestRequest(strategy="scripted", symbols=(candles.symbol,), **fields)
    strategy = Scripted({candles.symbol: signals}, holding_period)
    return run({candles.symbol: candles}, asked, strategy, StrategyParams(), progress_callback)
