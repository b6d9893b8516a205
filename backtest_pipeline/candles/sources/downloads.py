"""Downloading many series at once, within what the source allows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from backtest_pipeline.candles.merge import CandleChange
from backtest_pipeline.candles.sources.funding_download import FundingDownload, FundingSeries
from backtest_pipeline.candles.sources.series_download import SeriesDownload
from backtest_pipeline.candles.sources.series_outcome import Series, SeriesOutcome
from backtest_pipeline.model.errors import BacktestError, DownloadStopped, LockNotAcquired, SourceBlocked

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.market_data import Clock, MarketDataSource
    from backtest_pipeline.candles.store import CandleStore

State = Literal["updated", "unchanged", "empty", "delisted", "busy", "failed"]

# Enough to hide an answer's way behind the others', however few requests a second an exchange allows.
PARALLEL_SERIES = 4


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What the download of one symbol in one timeframe did.

    Attributes:
        timeframe: length of the bars, or `funding` for funding rates.
        state: `updated`; `unchanged`, where nothing was new; `empty`, where the market has no candles;
            `delisted`, where the source has the market no more; `busy`, where another download has it;
            `failed`.
        rows_new, rows_replaced, rows_differing, rows_gone, changes, remarks, requests: as `SeriesOutcome`.
        until: up to before when the source has been asked, UTC, or `None`.
        error: why it failed, or empty.
    """

    symbol: str
    timeframe: str
    source: str
    market: str
    state: State
    rows_new: int = 0
    rows_replaced: int = 0
    rows_differing: int = 0
    rows_gone: int = 0
    requests: int = 0
    until: datetime | None = None
    error: str = ""
    changes: tuple[CandleChange, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download of several series is.

    Attributes:
        done_frac: 0 to 1, by the time that the candles span; of series that have not begun the mean.
        rows: candles received so far.
        ended: how many series have ended.
        series: how many there are.
        label: symbol and timeframe of the newest page.
    """

    done_frac: float
    rows: int
    ended: int
    series: int
    label: str


OnProgress = Callable[[DownloadProgress], object]


def download(
    store: CandleStore,
    source: MarketDataSource,
    wanted: Sequence[Series | FundingSeries],
    clock: Clock,
    *,
    parallel: int = PARALLEL_SERIES,
    on_progress: OnProgress | None = None,
) -> list[DownloadReport]:
    """Download series; one that fails leaves the others alone, unless the source refuses this address.

    The order of the series and `parallel` change nothing in what is stored.

    Args:
        store: where the candles go.
        source: of all of the series.
        wanted: each symbol and timeframe once.
        clock: whose sleep may raise `DownloadStopped`, which ends all of them.
        parallel: how many at a time.
        on_progress: called after every page, by one thread at a time.

    Returns:
        A report for each, in their order.
    """
    meter = _Meter(len(wanted), on_progress)
    refused = threading.Event()

    def one(at: int) -> DownloadReport:
        series = wanted[at]
        on_page = meter.of(at, series)
        run = (
            SeriesDownload(store, source, series, clock, on_page)
            if isinstance(series, Series)
            else FundingDownload(store, source, series, clock, on_page)
        )
        error: BacktestError | None = None
        if not refused.is_set() and not meter.stopped.is_set():
            try:
                run.run()
            except SourceBlocked as blocked:
                refused.set()
                error = blocked
            except BacktestError as failed:
                error = failed
            except OSError as failed:
                error = BacktestError(f"cannot store candles: {failed}")
        meter.end(at)
        return _report(source, series, run.outcome, error, skipped=refused.is_set() and error is None)

    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="download") as threads:
        try:
            return list(threads.map(one, range(len(wanted))))
        except (
            BaseException
        ):  # a run that is cancelled: its threads end with their page, not with their series
            meter.stopped.set()
            clock.stop()
            raise


def _report(
    source: MarketDataSource,
    series: Series | FundingSeries,
    outcome: SeriesOutcome,
    error: BacktestError | None,
    *,
    skipped: bool,
) -> DownloadReport:
    changed = outcome.rows_new or outcome.rows_replaced
    state: State = "updated" if changed else "unchanged"
    if isinstance(error, LockNotAcquired):
        state = "busy"
    elif error is not None or (skipped and outcome.until is None):
        state = "failed"
    elif outcome.until is None and not outcome.requests:
        state = "empty"
    said = f"not tried any more, as {source.name} refuses this address" if skipped else ""
    return DownloadReport(
        series.symbol,
        series.timeframe,
        source.name,
        series.market.name,
        state,
        outcome.rows_new,
        outcome.rows_replaced,
        outcome.rows_differing,
        outcome.rows_gone,
        outcome.requests,
        outcome.until,
        str(error) if error else said if state == "failed" else "",
        tuple(outcome.changes),
        tuple(outcome.remarks),
    )


class _Meter:
    """Adds up what the series have done."""

    def __init__(self, series: int, on_progress: OnProgress | None) -> None:
        self.stopped = threading.Event()
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._done_frac = [0.0] * series
        self._ended = 0
        self._rows = 0

    def of(self, at: int, series: Series | FundingSeries) -> Callable[[int, int, int], None]:
        """What to call after every page of one series."""

        def on_page(rows: int, done_ms: int, all_ms: int) -> None:
            if self.stopped.is_set():
                raise DownloadStopped
            self._add(at, rows, done_ms / all_ms if all_ms else 1.0, f"{series.symbol} {series.timeframe}")

        return on_page

    def end(self, at: int) -> None:
        """Count a series that has ended."""
        with self._lock:
            self._ended += 1
        self._add(at, 0, 1.0, "")

    def _add(self, at: int, rows: int, done_frac: float, label: str) -> None:
        with self._lock:
            self._rows += rows
            self._done_frac[at] = done_frac
            series = len(self._done_frac)
            if self._on_progress is not None:
                done = sum(self._done_frac) / series
                self._on_progress(DownloadProgress(done, self._rows, self._ended, series, label))
