"""Downloading one symbol in one timeframe: in pages of time, resumable at every moment.

The stretch for which a source was asked is one, without a hole: it grows at its end and, where earlier
history is wanted later, backwards from its beginning. Candles are stored before the record that speaks of
them, so whoever is killed in between asks for a few pages again and finds the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.candles.merge import MOST_CHANGES, merge_candles
from backtest_pipeline.candles.sources.coverage import Coverage, moment, read_coverage, write_coverage
from backtest_pipeline.candles.sources.market_data import MarketDataSource, Page, bar_ms
from backtest_pipeline.candles.sources.series_outcome import MOST_SENTENCES, OnPage, Series, SeriesOutcome
from backtest_pipeline.candles.symbol_record import write_record
from backtest_pipeline.model.candle_rules import moment_label
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import SymbolTaken
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.span import Span
from backtest_pipeline.model.timeframe import TIMEFRAMES
from backtest_pipeline.storage.atomic import make_folder_durably
from backtest_pipeline.storage.locks import file_lock

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.market_data import Clock
    from backtest_pipeline.candles.store import CandleStore

# The newest stored candles are asked for again, so that what an exchange corrects soon after is noticed.
OVERLAP_BARS = 20
STORE_EVERY_ROWS = 50_000
# Soon at first, so that whoever stops has something; then seldom, as a year's file is written whole.
STORE_AFTER_S = 1.0
STORE_EVERY_S = 16.0


class SeriesDownload:
    """The download of one series; `outcome` is filled also where it ends by an error."""

    def __init__(
        self, store: CandleStore, source: MarketDataSource, series: Series, clock: Clock, on_page: OnPage
    ) -> None:
        """Prepare it; nothing is asked or written yet."""
        self.outcome = SeriesOutcome()
        self._store = store
        self._source = source
        self._series = series
        self._clock = clock
        self._on_page = on_page
        self._coverage: Coverage | None = None
        self._pending: list[Page] = []
        self._store_at_s = clock.now_s() + STORE_AFTER_S
        self._store_every_s = STORE_AFTER_S
        self._done_ms = 0
        self._all_ms = 0

    def run(self) -> SeriesOutcome:
        """Download what is missing and return what was done; a second call finds nothing to do.

        Raises:
            SourceError: the source gives no more; what came before is stored.
            SymbolTaken: the symbol's candles come from another market.
            LockNotAcquired: this series is being downloaded already.
            CandlesError: what is stored cannot be used, or the new candles do not fit to it.
        """
        series, layout = self._series, self._store.layout
        self._refuse_other_market()
        make_folder_durably(layout.timeframe_folder(series.symbol, series.timeframe))
        lock = layout.download_lock(series.symbol, series.timeframe)
        with file_lock(lock, f"downloading {series.symbol} {series.timeframe}", patience_s=0):
            known = read_coverage(layout, series.symbol, series.timeframe)
            if known is not None and known.market != series.market.name:
                known = known.model_copy(update={"market": series.market.name})
            self._coverage = known
            try:
                self._download(known)
            finally:
                self._store_pending()
            self._tell_where_it_begins()
        return self.outcome

    def _tell_where_it_begins(self) -> None:
        """Say it where a source has nothing of the beginning that was asked for, or gives only its newest."""
        files = self._store.files(self._series.symbol, self._series.timeframe)
        if self._coverage is None or not files or not self.outcome.rows_new:
            return
        first_us = min(extent.first_us for file in files.values() if (extent := file.extent()).rows)
        if first_us // 1_000 - self._coverage.first_ms > self._span_ms():
            begins, asked = moment(first_us // 1_000), self._coverage.first
            self.outcome.remark(
                f"{self._source.name} gives nothing before {begins:%Y-%m-%d %H:%M} UTC, though it was asked "
                f"from {asked:%Y-%m-%d %H:%M} on: the market is younger, or older candles are not given"
            )

    def _refuse_other_market(self) -> None:
        series = self._series
        asked = self._source.name, series.market.name
        for timeframe in TIMEFRAMES:
            known = read_coverage(self._store.layout, series.symbol, timeframe)
            if known is None or (known.source, known.market) == asked:
                continue
            if not (series.renamed and known.source == self._source.name):
                raise SymbolTaken(series.symbol, timeframe, (known.source, known.market), asked)

    def _download(self, known: Coverage | None) -> None:
        first_ms, from_beginning = self._wanted_first(known)
        if first_ms is None:
            return
        end_ms = min(self._series.until_ms or self._clock.now_ms(), self._clock.now_ms())
        if known is None or self._source.whole_each_time:
            first_ms = min(first_ms, known.first_ms) if known else first_ms
            self._all_ms = max(0, end_ms - first_ms)
            self._forwards(first_ms, from_beginning=from_beginning)
            return
        begin_ms = known.until_ms - OVERLAP_BARS * bar_ms(self._series.timeframe)
        if self._series.refresh:
            begin_ms = self._series.since_ms or known.first_ms
        begin_ms = max(known.first_ms, min(known.until_ms, begin_ms))
        self._all_ms = max(0, known.first_ms - first_ms) + max(0, end_ms - begin_ms)
        if first_ms < known.first_ms:
            self._backwards(first_ms, known.first_ms, from_beginning=from_beginning)
            from_beginning = from_beginning or known.from_beginning
        self._forwards(begin_ms, from_beginning=from_beginning)

    def _wanted_first(self, known: Coverage | None) -> tuple[int | None, bool]:
        """Where the series shall begin, and whether the source has nothing older."""
        series = self._series
        if self._source.whole_each_time:
            return self._source.first_ms(series.market, series.timeframe), True
        if known is not None and (series.only_newer or known.from_beginning):
            return known.first_ms, known.from_beginning
        if series.since_ms is None:
            return self._source.first_ms(series.market, series.timeframe), True
        if known is not None and series.since_ms > known.first_ms:
            return known.first_ms, known.from_beginning
        return series.since_ms, False

    def _forwards(self, cursor_ms: int, *, from_beginning: bool) -> None:
        """Page after page, until the source's present or the wanted end."""
        span_ms = self._span_ms()
        first_ms = min(cursor_ms, self._coverage.first_ms) if self._coverage else cursor_ms
        while True:
            stop_ms = min(cursor_ms + span_ms, self._series.until_ms or cursor_ms + span_ms)
            if stop_ms <= cursor_ms:
                return
            page = self._page(cursor_ms, stop_ms)
            reached_ms = min(stop_ms, page.complete_until_ms)
            self._keep(page, first_ms, reached_ms, from_beginning=from_beginning)
            if reached_ms < stop_ms:
                return
            cursor_ms = stop_ms

    def _backwards(self, first_ms: int, stop_ms: int, *, from_beginning: bool) -> None:
        """From what is there already to the wanted beginning, so that no hole is there at any time."""
        span_ms = self._span_ms()
        while stop_ms > first_ms:
            begin_ms = max(first_ms, stop_ms - span_ms)
            page = self._page(begin_ms, stop_ms)
            self._keep(page, begin_ms, 0, from_beginning=from_beginning and begin_ms == first_ms)
            stop_ms = begin_ms
        self._store_pending()

    def _span_ms(self) -> int:
        return self._source.page_bars() * bar_ms(self._series.timeframe)

    def _page(self, first_ms: int, stop_ms: int) -> Page:
        series, known = self._series, self._coverage
        page = self._source.page(series.market, series.timeframe, first_ms, stop_ms)
        self.outcome.requests += page.requests
        for sentence in page.left_out:
            self.outcome.remark(f"left out: {sentence}")
        if known is not None and first_ms < known.until_ms and stop_ms > known.first_ms:
            self._look_for_gone(page, max(first_ms, known.first_ms), min(stop_ms, known.until_ms))
        self._done_ms = min(self._all_ms, self._done_ms + stop_ms - first_ms)
        self._on_page(len(page.columns["timestamp"]), self._done_ms, self._all_ms)
        return page

    def _keep(self, page: Page, first_ms: int, reached_ms: int, *, from_beginning: bool) -> None:
        """Keep a page until it is worth writing; from then on the record says that it is there."""
        series, known = self._series, self._coverage
        self._pending.append(page)
        self._coverage = Coverage(
            source=self._source.name,
            market=series.market.name,
            first=moment(min(first_ms, known.first_ms) if known else first_ms),
            until=moment(max(reached_ms, known.until_ms if known else first_ms)),
            from_beginning=from_beginning,
        )
        rows = sum(len(one.columns["timestamp"]) for one in self._pending)
        if rows >= STORE_EVERY_ROWS or self._clock.now_s() >= self._store_at_s:
            self._store_pending()

    def _store_pending(self) -> None:
        """Write the candles of the pages so far, and then the record of them."""
        if not self._pending or self._coverage is None:
            return
        series, outcome = self._series, self.outcome
        pages = sorted(
            (page.columns for page in self._pending if len(page.columns["timestamp"])),
            key=lambda columns: columns["timestamp"][0],
        )
        self._pending = []
        if pages:
            columns = {name: np.concatenate([page[name] for page in pages]) for name in CANDLE_COLUMNS}
            merged = merge_candles(
                self._store, series.symbol, series.timeframe, columns, replace=series.refresh
            )
            outcome.rows_new += merged.rows_new
            outcome.rows_replaced += merged.rows_replaced
            outcome.rows_differing += merged.rows_kept
            outcome.changes = [*outcome.changes, *merged.changes][:MOST_CHANGES]
            self._record_symbol()
        write_coverage(self._store.layout, series.symbol, series.timeframe, self._coverage)
        outcome.until = self._coverage.until
        self._store_every_s = min(STORE_EVERY_S, 2 * self._store_every_s)
        self._store_at_s = self._clock.now_s() + self._store_every_s

    def _record_symbol(self) -> None:
        """Record the market's calendar and currency, where nothing is recorded yet."""
        market, store, symbol = self._series.market, self._store, self._series.symbol
        if market.calendar and store.record(symbol) is None:
            write_record(store.layout, symbol, SymbolRecord.of(market.calendar, market.quote))

    def _look_for_gone(self, page: Page, first_ms: int, stop_ms: int) -> None:
        """Count what is stored and not given any more; an answer that lacks candles must not delete any."""
        span = Span(first_ms * 1_000, stop_ms * 1_000 - 1)
        first_year, last_year = span.years()
        files = self._store.files(self._series.symbol, self._series.timeframe)
        near = [file for year, file in files.items() if first_year <= year <= last_year]
        stored = [file.read(span).timestamp for file in near]
        gone = np.setdiff1d(
            np.concatenate([np.empty(0, "datetime64[us]"), *stored]), page.columns["timestamp"]
        )
        self.outcome.rows_gone += len(gone)
        for one in gone[:MOST_SENTENCES]:
            source = self._source.name
            self.outcome.remark(
                f"{source} does not give the candle of {moment_label(one)} any more; it stays"
            )
