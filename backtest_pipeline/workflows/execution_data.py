"""What decides fills and costs beside a request's own candles: finer candles, and funding rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np

from backtest_pipeline.candles.funding_file import read_funding
from backtest_pipeline.model.errors import CandlesMissing, DetailMissing, FundingMissing, SymbolsUnknown
from backtest_pipeline.model.manifest import CandleFingerprint, FundingFingerprint
from backtest_pipeline.model.span import moment_of, span_of
from backtest_pipeline.model.timeframe import BAR_SECONDS
from backtest_pipeline.workflows.needed_candles import needed_candles
from backtest_pipeline.workflows.varied_fields import choices_of, traded_symbols

if TYPE_CHECKING:
    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.task_request import TaskRequest
    from backtest_pipeline.model.timeframe import Timeframe

Times = Mapping[str, tuple[np.datetime64, np.datetime64]]
"""By symbol, from when to before when."""


class OfBacktest(TypedDict):
    """What the engine takes of it for one backtest, as its keyword arguments."""

    detail: Mapping[str, Candles] | None
    funding: Mapping[str, FundingRates] | None


@dataclass(frozen=True, eq=False, slots=True)
class ExecutionData:
    """What decides fills and costs beside the candles that strategies see.

    Attributes:
        detail: finer candles, by timeframe and symbol.
        funding: funding rates, by symbol.
    """

    detail: Mapping[str, Mapping[str, Candles]] = field(default_factory=dict)
    funding: Mapping[str, FundingRates] = field(default_factory=dict)

    def of(self, request: BacktestRequest) -> OfBacktest:
        """What one backtest needs of it."""
        timeframe = request.detail_timeframe
        return {
            "detail": None if timeframe is None else self.detail.get(timeframe, {}),
            "funding": self.funding if request.funding else None,
        }

    def detail_fingerprints(self) -> list[CandleFingerprint]:
        """What a manifest says of the finer candles."""
        return [
            CandleFingerprint.of(own).model_copy(update={"timeframe": timeframe})
            for timeframe, by_symbol in self.detail.items()
            for own in by_symbol.values()
        ]

    def funding_fingerprints(self) -> list[FundingFingerprint]:
        """What a manifest says of the funding rates."""
        return [FundingFingerprint.of(own) for own in self.funding.values()]


def detail_timeframes(request: TaskRequest) -> list[Timeframe]:
    """Timeframes of the finer candles that a backtest, or any trial, asks for; the coarsest last."""
    wanted = {one for one in choices_of(request, "detail_timeframe") if one is not None}
    return sorted(wanted, key=lambda one: BAR_SECONDS[one])


def wants_funding(request: TaskRequest) -> bool:
    """Whether a backtest, or any trial, pays funding."""
    return any(choices_of(request, "funding"))


def require_execution_data(store: CandleStore, request: TaskRequest) -> None:
    """Make sure that the store may have what a request asks for, without reading candles.

    Raises:
        DetailMissing, FundingMissing: it has not.
        CandlesError: files cannot be used.
    """
    if not detail_timeframes(request) and not wants_funding(request):
        return
    symbols, needed = traded_symbols(request), needed_candles(request, store.zone)
    for timeframe in detail_timeframes(request):
        missing = [
            symbol
            for symbol in symbols
            if not any(_may_have(store, symbol, timeframe, one.start, one.end) for one in needed)
        ]
        if missing:
            raise DetailMissing(missing, timeframe)
    if wants_funding(request):
        spans = [span_of(one.start, one.end, store.zone) for one in needed]
        without = []
        for symbol in symbols:
            paid_us = read_funding(store.layout, symbol).timestamp.view(np.int64)
            if not any(((paid_us >= one.first_us) & (paid_us <= one.last_us)).any() for one in spans):
                without.append(symbol)
        if without:
            raise FundingMissing(without)


def _may_have(store: CandleStore, symbol: str, timeframe: Timeframe, start: object, end: object) -> bool:
    try:
        store.require([symbol], timeframe, start, end)  # type: ignore[arg-type]  # moments of a request
    except (SymbolsUnknown, CandlesMissing):
        return False
    return True


def load_execution_data(store: CandleStore, request: TaskRequest, times: Times) -> ExecutionData:
    """Load what a request asks for.

    Args:
        store: where it is.
        request: of any kind; of a search, what any of its trials needs.
        times: from the open of each symbol's first traded bar to the last one's end.

    Raises:
        DetailMissing, FundingMissing: there is nothing of a symbol in that time.
        CandlesError: what there is cannot be used.
    """
    symbols = [symbol for symbol in traded_symbols(request) if symbol in times]
    detail: dict[str, Mapping[str, Candles]] = {
        one: _detail(store, symbols, one, times) for one in detail_timeframes(request)
    }
    rates = {
        symbol: read_funding(store.layout, symbol).between(*times[symbol])
        for symbol in (symbols if wants_funding(request) else ())
    }
    without = [symbol for symbol, own in rates.items() if not len(own)]
    if without:
        raise FundingMissing(without)
    return ExecutionData(detail, rates)


def times_of(traded: Iterable[Candles]) -> Times:
    """By symbol, the open of the first bar and the end of the last, whatever their timeframe."""
    return _joined(
        (own.symbol, own.timestamp[0], own.timestamp[-1] + _length(own.timeframe)) for own in traded
    )


def times_of_then(manifest: Manifest) -> Times:
    """As `times_of`, of the candles that a task traded."""
    return _joined(
        (seen.symbol, _moment(seen.first), _moment(seen.last) + _length(seen.timeframe or manifest.timeframe))
        for seen in manifest.candles
    )


def _joined(stretches: Iterable[tuple[str, np.datetime64, np.datetime64]]) -> Times:
    times: dict[str, tuple[np.datetime64, np.datetime64]] = {}
    for symbol, first, end in stretches:
        known = times.get(symbol, (first, end))
        times[symbol] = min(known[0], first), max(known[1], end)
    return times


def _moment(at: datetime) -> np.datetime64:
    return np.datetime64(at.replace(tzinfo=None), "us")


def _length(timeframe: str) -> np.timedelta64:
    return np.timedelta64(BAR_SECONDS[cast("Timeframe", timeframe)], "s")


def _detail(
    store: CandleStore, symbols: Sequence[str], timeframe: Timeframe, times: Times
) -> dict[str, Candles]:
    found: dict[str, Candles] = {}
    missing = []
    for symbol in symbols:
        first, end = (moment_of(int(moment.astype(np.int64))) for moment in times[symbol])
        try:
            own = store.load([symbol], timeframe, first, end - timedelta(microseconds=1))
        except (SymbolsUnknown, CandlesMissing):
            missing.append(symbol)
        else:
            found |= own
    if missing:
        raise DetailMissing(missing, timeframe)
    return found
