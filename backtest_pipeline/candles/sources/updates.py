"""What people ask for: markets of a source by name, and everything that came from a source, up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, cast

from backtest_pipeline.candles.sources.ccxt_exchange import CcxtExchange
from backtest_pipeline.candles.sources.coverage import recorded_funding, recorded_series
from backtest_pipeline.candles.sources.downloads import (
    PARALLEL_SERIES,
    DownloadProgress,
    DownloadReport,
    OnProgress,
    State,
    download,
)
from backtest_pipeline.candles.sources.folder_source import PREFIX, FolderSource
from backtest_pipeline.candles.sources.funding_download import FUNDING, FundingSeries
from backtest_pipeline.candles.sources.market_data import MarketDataSource
from backtest_pipeline.candles.sources.series_outcome import Series
from backtest_pipeline.model.errors import MarketsUnknown, RequestInvalid, SourceError
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.timeframe import Timeframe, symbol_problem

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.coverage import Coverage
    from backtest_pipeline.candles.sources.market_data import Clock
    from backtest_pipeline.candles.store import CandleStore

OpenSource = Callable[[str], MarketDataSource]


def open_source(name: str, store: CandleStore, clock: Clock, urls: Mapping[str, str]) -> MarketDataSource:
    """The source of a recorded name.

    Args:
        name: ccxt's name of an exchange, or `folder:` and a path.
        store: beside which its pace is kept, and whose zone a folder's files have.
        clock: to wait by.
        urls: by exchange, what is asked instead of its own hosts.

    Raises:
        ExchangeUnknown: there is none of this name.
        ExchangesMissing: ccxt is not installed.
    """
    if name.startswith(PREFIX):
        return FolderSource(Path(name.removeprefix(PREFIX)), store.zone, clock)
    return CcxtExchange(name, store.layout.pace, clock, base_url=urls.get(name))


def wanted_series(
    source: MarketDataSource,
    asked: Sequence[str],
    timeframes: Sequence[Timeframe],
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    refresh: bool = False,
    renamed: bool = False,
) -> list[Series]:
    """The series that markets by name and timeframes mean, each once.

    Args:
        source: that has the markets.
        asked: names of markets, or `MARKET=SYMBOL` to store one under another symbol.
        timeframes: of each of them.
        since_ms: as in `Series`.
        until_ms: as in `Series`.
        refresh: as in `Series`.
        renamed: as in `Series`.

    Raises:
        MarketsUnknown: naming all that are not there.
        SourceLacks: the source has no candles of a timeframe.
        RequestInvalid: a symbol cannot be one, or two markets would be one symbol.
    """
    for timeframe in timeframes:
        source.require(timeframe)
    pairs = [name.rpartition("=")[::2] if "=" in name else (name, "") for name in dict.fromkeys(asked)]
    found = source.markets([name for name, _ in pairs])
    named = [
        (market, symbol or market.symbol) for market, (_, symbol) in zip(found, pairs, strict=True) if market
    ]
    if len(named) < len(pairs):
        missing = [name for (name, _), market in zip(pairs, found, strict=True) if market is None]
        raise MarketsUnknown(source.name, missing, source.market_names())
    stored: dict[str, str] = {}
    for market, symbol in named:
        if problem := symbol_problem(symbol):
            advice = f"store it under another name: {market.name}=NAME"
            raise RequestInvalid([("symbols", f"{problem}; {advice}")])
        if stored.setdefault(symbol, market.name) != market.name:
            advice = f"name one of them {market.name}=OTHER"
            problem = f"{stored[symbol]} and {market.name} would both be {symbol}; {advice}"
            raise RequestInvalid([("symbols", problem)])
    series = [
        Series(market, symbol, timeframe, since_ms, until_ms, refresh=refresh, renamed=renamed)
        for market, symbol in named
        for timeframe in timeframes
    ]
    return list(dict.fromkeys(series))


def funding_of(series: Sequence[Series]) -> list[FundingSeries]:
    """The funding rates of the same markets, from the same moment on."""
    found = [FundingSeries(one.market, one.symbol, one.since_ms, one.refresh) for one in series]
    return list(dict.fromkeys(found))


def update_folder(
    store: CandleStore, source: FolderSource, clock: Clock, *, refresh: bool = False
) -> list[DownloadReport]:
    """Store what a folder's files have, of every symbol and timeframe that there are files of.

    Args:
        store: where the candles go.
        source: the folder.
        clock: as `download`.
        refresh: let what differs replace what is stored.

    Raises:
        SourceUnreachable: the folder cannot be read.
    """
    found = source.series()
    series = [Series(market, market.symbol, timeframe, refresh=refresh) for market, timeframe in found]
    return download(store, source, series, clock)


def update_all(
    store: CandleStore,
    opened: OpenSource,
    clock: Clock,
    *,
    symbols: Sequence[str] = (),
    refresh: bool = False,
    parallel: int = PARALLEL_SERIES,
    on_progress: OnProgress | None = None,
) -> list[DownloadReport]:
    """Bring everything that came from a source up to date.

    A source that cannot be reached fails its own series alone; of a market that its source has no more, the
    candles stay as they are.

    Args:
        store: whose series are updated.
        opened: gives the source of a name.
        clock: as `download`.
        symbols: these only; empty: all.
        refresh: ask for all of it again, and let what differs replace what is stored.
        parallel: as `download`.
        on_progress: as `download`, over all sources.

    Raises:
        RequestInvalid: a symbol came from no source.
        CandleFileUnreadable: a record of a source cannot be used.
    """
    recorded: list[tuple[str, str, Coverage]] = [*recorded_series(store)]
    recorded += [(symbol, FUNDING, coverage) for symbol, coverage in recorded_funding(store)]
    there = {symbol for symbol, *_ in recorded}
    if unknown := [symbol for symbol in symbols if symbol not in there]:
        problem = f"{', '.join(unknown)} came from no exchange or folder{did_you_mean(unknown[0], there)}"
        raise RequestInvalid([("symbols", problem)])
    known = sorted((one for one in recorded if not symbols or one[0] in symbols), key=lambda one: one[0])
    reports: list[DownloadReport] = []
    by_source = sorted(known, key=lambda one: one[2].source)
    for name, group in groupby(by_source, key=lambda one: one[2].source):
        members = list(group)
        counted = _counted(on_progress, len(reports), len(known))
        try:
            source = opened(name)
            series, delisted = _series_of(source, members, refresh=refresh)
        except SourceError as error:
            reports += [_ended(*one, "failed", str(error)) for one in members]
            continue
        reports += delisted
        reports += download(store, source, series, clock, parallel=parallel, on_progress=counted)
    order = {one[:2]: at for at, one in enumerate(known)}
    return sorted(reports, key=lambda report: order[report.symbol, report.timeframe])


def _series_of(
    source: MarketDataSource, members: Sequence[tuple[str, str, Coverage]], *, refresh: bool
) -> tuple[list[Series | FundingSeries], list[DownloadReport]]:
    markets = source.markets([coverage.market for *_, coverage in members])
    found: list[Series | FundingSeries] = []
    delisted = []
    for one, market in zip(members, markets, strict=True):
        symbol, timeframe, _ = one
        if market is None:
            delisted.append(_ended(*one, "delisted"))
        elif timeframe == FUNDING:
            found.append(FundingSeries(market, symbol, refresh=refresh))
        else:
            bars = cast("Timeframe", timeframe)
            found.append(Series(market, symbol, bars, only_newer=True, refresh=refresh))
    return found, delisted


def _ended(symbol: str, timeframe: str, coverage: Coverage, state: State, error: str = "") -> DownloadReport:
    """The report of a series that nothing was asked for."""
    source, market = coverage.source, coverage.market
    return DownloadReport(symbol, timeframe, source, market, state, until=coverage.until, error=error)


def _counted(on_progress: OnProgress | None, before: int, series: int) -> OnProgress | None:
    """Reports progress of one source's series as progress of all."""
    if on_progress is None:
        return None

    def counted(progress: DownloadProgress) -> None:
        done = (before + progress.done_frac * progress.series) / series
        on_progress(replace(progress, done_frac=done, ended=before + progress.ended, series=series))

    return counted
