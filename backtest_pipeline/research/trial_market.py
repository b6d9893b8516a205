"""The candles that trials share: those of the same symbols, timeframe, span and calendar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.calendar import Calendar, account_calendar, calendar_of
from backtest_pipeline.engine.inputs import (
    SeenCandles,
    benchmark_candles,
    chosen_candles,
    read_only,
    with_warm_up,
)
from backtest_pipeline.engine.joint_grid import JointGrid, elapsed_us
from backtest_pipeline.engine.metrics.curve_kernels import EXPONENTS
from backtest_pipeline.engine.records import joined
from backtest_pipeline.model.candles import PRICE_COLUMNS, Candles
from backtest_pipeline.model.errors import RequestInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.model.timeframe import Timeframe

CandlesGiven = Mapping[str, Candles] | Mapping[str, Mapping[str, Candles]]
"""Candles by symbol, or where several timeframes are asked for, by timeframe and symbol."""

MARKET_FIELDS = ("symbols", "timeframe", "start", "end", "calendar")
"""Fields of a request that say which candles it sees and how many bars make a year."""


@dataclass(frozen=True, eq=False, slots=True)
class Market:
    """What trials of the same candles have in common.

    Attributes:
        candles: each symbol's that are traded, in the request's order, read-only.
        given: each symbol's with all that lie before, read-only.
        bars: of all symbols together.
        longest_bars: of the longest account, a symbol's or the joint one.
        arrays: what the kernel of trials takes.
        calendars: each symbol's.
        benchmark: what the accounts are measured against, or `None`.
    """

    candles: Sequence[Candles]
    given: Sequence[Candles]
    bars: int
    longest_bars: int
    arrays: tuple[NDArray[Any], ...]
    calendars: Sequence[Calendar]
    benchmark: Candles | None
    _warm: dict[int, Sequence[SeenCandles]] = field(default_factory=dict)

    def seen(self, warmup_bars: int) -> Sequence[SeenCandles]:
        """What a strategy sees of each symbol: the same arrays as long as the same warm-up is asked for."""
        if warmup_bars not in self._warm:
            self._warm.clear()
            pairs = zip(self.given, self.candles, strict=True)
            self._warm[warmup_bars] = [with_warm_up(given, own, warmup_bars) for given, own in pairs]
        return self._warm[warmup_bars]


def market_of(candles: Mapping[str, Candles], request: BacktestRequest, timezone: str) -> Market:
    """The market of a request.

    Raises:
        CandlesInvalid: a symbol's candles, or its benchmark's, are empty.
        CandlesMissing: a symbol or the benchmark has no candle in the request's span.
    """
    chosen = [read_only(own) for own in chosen_candles(candles, request, timezone)]
    given = [read_only(candles[own.symbol]) for own in chosen]
    benchmark = benchmark_candles(candles, request, timezone)
    calendars = {own.symbol: calendar_of(own, request.calendar) for own in chosen}
    grid = JointGrid.of(chosen)
    account, _ = account_calendar(calendars, grid.timestamp, request.timeframe)
    bars = [len(own) for own in chosen]
    periods = [*(calendars[own.symbol].periods_per_year for own in chosen), account.periods_per_year]
    arrays = (
        np.array([0, *accumulate(bars)], dtype=np.int64),
        *(joined([getattr(own, name) for own in chosen]) for name in PRICE_COLUMNS),
        joined([own.timestamp for own in chosen]).view(np.int64),
        joined(grid.own_slots),
        grid.slots,
        grid.moments_us,
        np.array([*(elapsed_us([own]) for own in chosen), grid.elapsed_us], dtype=np.int64),
        np.array(periods, dtype=np.float64),
        EXPONENTS,
        *_benchmark_arrays(benchmark, chosen, grid),
    )
    longest = max(*bars, len(grid.slots))
    return Market(chosen, given, sum(bars), longest, arrays, list(calendars.values()), benchmark)


def _benchmark_arrays(
    benchmark: Candles | None, chosen: Sequence[Candles], grid: JointGrid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each symbol's account is measured against, flat, and what the joint account is.

    The latter is empty where that is the sum of what was bought of each symbol, which the kernel adds up.
    """
    if benchmark is None:
        return joined([own.close for own in chosen]), np.empty(0)
    known = [benchmark.closes_known_at(own.timestamp) for own in chosen]
    return joined(known), benchmark.closes_known_at(grid.timestamp)


class CandlesByTimeframe:
    """The candles given to a sweep, which may be of several timeframes.

    Args:
        given: as `CandlesGiven`.
    """

    def __init__(self, given: CandlesGiven) -> None:
        self._by_timeframe: dict[str, dict[str, Candles]] = {}
        for name, own in given.items():
            if isinstance(own, Candles):
                self._by_timeframe.setdefault(own.timeframe, {})[name] = own
            else:
                self._by_timeframe.setdefault(name, {}).update(own)

    def of(self, timeframe: Timeframe) -> Mapping[str, Candles]:
        """The candles of a timeframe by symbol."""
        return self._by_timeframe.get(timeframe, {})

    def bars(self, symbols: Sequence[str]) -> int:
        """Bars of the symbols together, in the timeframe that has most."""
        return max(
            sum(len(own[symbol]) for symbol in symbols if symbol in own)
            for own in self._by_timeframe.values()
        )

    def check(self, request: SweepRequest) -> None:
        """Makes sure that there are candles of all that a sweep reads, in all timeframes.

        Raises:
            RequestInvalid: there are none of some.
        """
        problems = []
        for timeframe in request.space.get("timeframe", (request.backtest.timeframe,)):
            missing = [symbol for symbol in request.symbols_read if symbol not in self.of(timeframe)]
            if missing:
                given = ", ".join(sorted(self.of(timeframe))) or "none"
                problem = f"no {timeframe} candles were given for {', '.join(missing)}; given: {given}"
                only_benchmark = not set(missing) & set(request.symbols_traded)
                problems.append(("backtest.benchmark" if only_benchmark else "symbols", problem))
        if problems:
            raise RequestInvalid(problems, heading="this sweep cannot be run")
