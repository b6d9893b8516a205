"""A case for a shared account: candles, signals or weights, finer candles and funding rates, by symbol."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.market_days import grid_slots
from backtest_pipeline.model.portfolio_strategy import Weights
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe
from backtest_pipeline_tests.engine.reference_account import ReferenceAccount, SymbolData
from backtest_pipeline_tests.engine.reference_holdings import AccountOutcome, Candle
from backtest_pipeline_tests.engine.reference_rebalancing import Rows, TargetWeights

Funding = tuple[NDArray[np.datetime64], NDArray[np.float64]]
DAY_S = 86_400
PERIODS: dict[Timeframe, float] = {
    "1m": 525_600,
    "5m": 105_120,
    "15m": 35_040,
    "30m": 17_520,
    "1h": 8_760,
    "4h": 2_190,
    "1d": 365,
    "1w": 52,
}
"""Bars a year of a market that is always open."""


@dataclass(frozen=True, eq=False)
class AccountCase:
    """One account to simulate.

    Attributes:
        request: its symbols are all keys of `candles`; its calendar is `24/7`.
        candles: by symbol, none empty.
        signals: by symbol, arrays as long as its candles; empty for a portfolio.
        weights: target weights, columns in the request's order, rows those of the joint grid.
        details: finer candles, by symbol; not all have some.
        funding: moments and rates, by symbol; not all have some.
    """

    request: BacktestRequest
    candles: Mapping[str, Candles]
    signals: Mapping[str, Signals] = field(default_factory=dict)
    weights: Weights | None = None
    details: Mapping[str, Candles] = field(default_factory=dict)
    funding: Mapping[str, Funding] = field(default_factory=dict)


def simulated(case: AccountCase) -> AccountOutcome:
    """What the slow simulator makes of a case, all symbols in one account."""
    request = case.request
    return ReferenceAccount(
        request,
        {symbol: _data_of(case, symbol) for symbol in request.symbols},
        request.initial_cash,
        request.max_hold_bars,
        Rows(_slots(case)),
        None if case.weights is None else target_weights_of(case),
    ).run()


def _slots(case: AccountCase) -> dict[str, list[int]]:
    """Of each symbol's bars, their places on the grid; a symbol alone has one for each of its bars."""
    candles = [case.candles[symbol] for symbol in case.request.symbols]
    if len(candles) == 1:
        return {candles[0].symbol: list(range(len(candles[0])))}
    return {own.symbol: grid_slots(own.timestamp, own.timeframe).tolist() for own in candles}


def _data_of(case: AccountCase, symbol: str) -> SymbolData:
    details, funding = case.details.get(symbol), case.funding.get(symbol)
    rates: list[tuple[int, float]] = []
    if case.request.funding and funding is not None:
        rates = list(zip(funding[0].astype(np.int64).tolist(), funding[1].tolist(), strict=True))
    return SymbolData(
        bars=bars_of(case.candles[symbol]),
        signals=None if case.weights is not None else case.signals[symbol],
        details=bars_of(details) if details is not None and case.request.detail_timeframe else (),
        funding=rates,
        periods=float(PERIODS[case.request.timeframe]),
    )


def bars_of(candles: Candles) -> list[Candle]:
    """Bars end after the timeframe, or at the open of the next, if that is sooner."""
    begins = candles.timestamp.astype(np.int64).tolist()
    length = BAR_SECONDS[candles.timeframe] * 1_000_000
    ends = [min(begin + length, after) for begin, after in zip(begins, [*begins[1:], math.inf], strict=False)]
    prices = (getattr(candles, name).tolist() for name in ("open", "high", "low", "close"))
    return [Candle(*row) for row in zip(begins, map(int, ends), *prices, strict=True)]


def target_weights_of(case: AccountCase) -> TargetWeights:
    """The case's weights, row by row."""
    assert case.weights is not None
    request = case.request
    own = [grid_slots(case.candles[symbol].timestamp, request.timeframe) for symbol in request.symbols]
    slots = own[0] if len(own) == 1 else np.unique(np.concatenate(own))
    return TargetWeights(
        [dict(zip(request.symbols, row, strict=True)) for row in case.weights.weights.tolist()],
        [_day_of(slot, request.timeframe) for slot in slots.tolist()],
        case.weights.rebalance,
        case.weights.drift_frac,
    )


def _day_of(slot: int, timeframe: Timeframe) -> int:
    """Day since 1970 on which a place of the grid begins; week 1 begins on Monday, 1970-01-05."""
    if timeframe == "1w":
        return 4 + (slot - 1) * 7
    return slot * BAR_SECONDS[timeframe] // DAY_S
