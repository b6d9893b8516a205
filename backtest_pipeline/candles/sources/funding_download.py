"""Downloading the funding rates of a perpetual: in stretches of time, resumable at every moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from backtest_pipeline.candles.funding_file import read_funding, write_funding
from backtest_pipeline.candles.merge import MOST_CHANGES, CandleChange
from backtest_pipeline.candles.sources.coverage import Coverage, moment, read_record_at, write_record_at
from backtest_pipeline.candles.sources.market_data import FUNDING_SPAN_MS, Market, MarketDataSource
from backtest_pipeline.candles.sources.series_outcome import OnPage, SeriesOutcome
from backtest_pipeline.model.errors import SymbolTaken
from backtest_pipeline.storage.atomic import make_folder_durably
from backtest_pipeline.storage.locks import file_lock

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.market_data import Clock
    from backtest_pipeline.candles.store import CandleStore

STORE_EVERY_PAGES = 20
FUNDING: Final = "funding"


@dataclass(frozen=True, slots=True)
class FundingSeries:
    """Funding rates that are to be downloaded.

    Attributes:
        market: a perpetual.
        symbol: its name in the store.
        since_ms: from when on (milliseconds since 1970); `None`: from the market's first candle.
        refresh: ask for everything again, and let what differs replace what is stored.
        timeframe: what stands in reports in place of one.
    """

    market: Market
    symbol: str
    since_ms: int | None = None
    refresh: bool = False
    timeframe: str = FUNDING


class FundingDownload:
    """The download of one symbol's rates; `outcome` is filled also where it ends by an error."""

    def __init__(
        self,
        store: CandleStore,
        source: MarketDataSource,
        series: FundingSeries,
        clock: Clock,
        on_page: OnPage,
    ) -> None:
        """Prepare it; nothing is asked or written yet."""
        self.outcome = SeriesOutcome()
        self._store, self._source, self._clock, self._on_page = store, source, clock, on_page
        self._market, self._symbol = series.market, series.symbol
        self._since_ms, self._refresh = series.since_ms, series.refresh

    def run(self) -> SeriesOutcome:
        """Download what is missing; a second call finds nothing to do.

        Raises:
            SourceError: the source gives no more; what came before is stored.
            SymbolTaken: the symbol's rates come from another market.
            LockNotAcquired: they are being downloaded already.
        """
        record = self._store.layout.funding_coverage(self._symbol)
        make_folder_durably(record.parent)
        lock = record.with_name(".funding.lock")
        with file_lock(lock, f"downloading funding rates of {self._symbol}", patience_s=0):
            known = read_record_at(record, self._symbol)
            own = self._source.name, self._market.name
            if known is not None and (known.source, known.market) != own:
                raise SymbolTaken(self._symbol, "funding", (known.source, known.market), own)
            self._download(known)
        return self.outcome

    def _download(self, known: Coverage | None) -> None:
        first_ms = self._first_ms(known)
        if first_ms is None:
            return
        # Earlier history wanted later: from there on once more, as rates are few.
        whole = known is None or self._refresh or first_ms < known.first_ms
        cursor_ms = first_ms if whole or known is None else known.until_ms
        begin_ms, end_ms = cursor_ms, self._clock.now_ms()
        rates: dict[int, float] = {}
        pages = 0
        while cursor_ms < end_ms:
            stop_ms = min(cursor_ms + FUNDING_SPAN_MS, end_ms)
            page = self._source.rates(self._market, cursor_ms, stop_ms)
            reached_ms = min(stop_ms, page.known_until_ms)
            rates |= page.by_ms
            self.outcome.requests += 1
            pages += 1
            last = reached_ms < stop_ms or stop_ms == end_ms
            self._on_page(len(page.by_ms), stop_ms - begin_ms, end_ms - begin_ms)
            # A stretch before what is there already is recorded only when it reaches it.
            joins = known is None or reached_ms >= known.first_ms
            if last or (joins and pages % STORE_EVERY_PAGES == 0):
                self._store_rates(rates)
                until_ms = max(reached_ms, known.until_ms if known else 0)
                first = min(first_ms, known.first_ms) if known else first_ms
                self._record(first // 60_000 * 60_000, until_ms // 60_000 * 60_000)
                rates = {}
            if last:
                return
            cursor_ms = stop_ms

    def _first_ms(self, known: Coverage | None) -> int | None:
        if self._since_ms is not None:
            return self._since_ms if known is None or self._refresh else min(self._since_ms, known.first_ms)
        return known.first_ms if known else self._source.first_ms(self._market, "1d")

    def _record(self, first_ms: int, until_ms: int) -> None:
        coverage = Coverage(
            source=self._source.name,
            market=self._market.name,
            first=moment(first_ms),
            until=moment(until_ms),
        )
        write_record_at(self._store.layout.funding_coverage(self._symbol), coverage)
        self.outcome.until = coverage.until

    def _store_rates(self, given: dict[int, float]) -> None:
        known = read_funding(self._store.layout, self._symbol)
        moments, values = known.timestamp, known.rate
        stored_ms = moments.astype("datetime64[ms]").astype(np.int64)
        stored = dict(zip(map(int, stored_ms), map(float, values), strict=True))
        differing = {at: rate for at, rate in given.items() if stored.get(at, rate) != rate}
        new = {at: rate for at, rate in given.items() if at not in stored}
        changes = [
            CandleChange(moment(at), "rate", stored[at], rate) for at, rate in sorted(differing.items())
        ]
        self.outcome.changes = [*self.outcome.changes, *changes][:MOST_CHANGES]
        self.outcome.rows_new += len(new)
        if self._refresh:
            self.outcome.rows_replaced += len(differing)
            new |= differing
        else:
            self.outcome.rows_differing += len(differing)
        if new:
            merged = sorted((stored | new).items())
            at = np.array([one for one, _ in merged], dtype=np.int64).astype("datetime64[ms]")
            rates = np.array([rate for _, rate in merged], dtype=np.float64)
            write_funding(self._store.layout, self._symbol, at.astype("datetime64[us]"), rates)
