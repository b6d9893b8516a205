"""`backtest candles download` and `update`: candles from exchanges, and what came from them up to date."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from backtest_pipeline.cli.candle_cells import (
    DataRoot,
    cell,
    known_timeframe,
    opened_store,
    show_rows,
    tell_store,
)
from backtest_pipeline.cli.download_bar import download_bar
from backtest_pipeline.cli.output import Json, print_json
from backtest_pipeline.model.span import span_of
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe
from backtest_pipeline.settings import get_settings

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.downloads import DownloadReport
    from backtest_pipeline.candles.sources.funding_download import FundingSeries
    from backtest_pipeline.candles.sources.market_data import Clock, MarketDataSource
    from backtest_pipeline.candles.sources.series_outcome import Series
    from backtest_pipeline.candles.store import CandleStore

_UNSHOWN = ("source", "requests", "changes", "remarks", "error")
_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]

Refresh = Annotated[
    bool,
    typer.Option("--refresh", help="Ask for all of it again; what the exchange has corrected is replaced."),
]
Parallel = Annotated[int, typer.Option(min=1, max=32, help="How many series at a time.")]


def download_markets(
    exchange: Annotated[str, typer.Option(help="One of ccxt's, as upbit, binance, bybit.")],
    symbols: Annotated[
        str,
        typer.Option(help="The exchange's markets, by commas; MARKET=SYMBOL stores one under another name."),
    ],
    timeframe: Annotated[
        str, typer.Option(help=f"Length of a bar, or several by commas: {', '.join(TIMEFRAMES)}.")
    ],
    since: Annotated[
        datetime | None,
        typer.Option(formats=_MOMENTS, help="From when on; otherwise from the market's first candle."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_MOMENTS, help="Up to before when; otherwise up to now.")
    ] = None,
    *,
    refresh: Refresh = False,
    renamed: Annotated[
        bool, typer.Option("--renamed", help="The exchange has renamed the market of a stored symbol.")
    ] = False,
    funding: Annotated[
        bool, typer.Option("--funding", help="The funding rates of these perpetuals as well.")
    ] = False,
    parallel: Parallel = 4,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Download candles from an exchange; run again, it goes on where it stopped."""
    from backtest_pipeline.candles.sources.downloads import download  # noqa: PLC0415  keeps --help quick
    from backtest_pipeline.candles.sources.updates import funding_of, wanted_series  # noqa: PLC0415  as above

    names = cast("list[Timeframe]", [known_timeframe(name) for name in _parts(timeframe)])
    store = opened_store(data_root)
    tell_store(store, as_json=as_json)
    clock, stop = _clock()
    source = _opener(store, clock)(exchange)
    wanted = wanted_series(
        source,
        _parts(symbols),
        names,
        since_ms=_local_ms(store, since),
        until_ms=_local_ms(store, until),
        refresh=refresh,
        renamed=renamed,
    )
    asked: list[Series | FundingSeries] = [*wanted, *(funding_of(wanted) if funding else [])]
    with _stopping(stop), download_bar() as show:
        reports = download(store, source, asked, clock, parallel=parallel, on_progress=show)
    _tell(reports, as_json=as_json)


def update(
    symbols: Annotated[list[str] | None, typer.Argument(help="These only; otherwise all.")] = None,
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Take all candles of this folder's files SYMBOL-TIMEFRAME….", exists=True, file_okay=False
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="With --folder: go on until Ctrl-C, as its files grow.")
    ] = False,
    every_s: Annotated[float, typer.Option(min=0.1, help="With --watch: how often to look.")] = 5.0,
    refresh: Refresh = False,
    parallel: Parallel = 4,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Bring everything up to date that came from an exchange or a folder of files."""
    from backtest_pipeline.candles.sources.updates import update_all  # noqa: PLC0415  keeps --help quick

    if watch and folder is None:
        raise typer.BadParameter("needs --folder; exchanges are asked by the schedule of `update_candles`")
    store = opened_store(data_root)
    tell_store(store, as_json=as_json)
    clock, stop = _clock()
    if folder is not None:
        reports = _folder_reports(store, folder, clock, stop, every_s if watch else None, refresh=refresh)
    else:
        with _stopping(stop), download_bar() as show:
            reports = update_all(
                store,
                _opener(store, clock),
                clock,
                symbols=symbols or (),
                refresh=refresh,
                parallel=parallel,
                on_progress=show,
            )
    if not reports and not as_json:
        typer.echo("nothing here came from an exchange; see `backtest candles download --help`")
        return
    _make_anew(store, reports)
    _tell(reports, as_json=as_json)


def _folder_reports(
    store: CandleStore,
    folder: Path,
    clock: Clock,
    stop: threading.Event,
    every_s: float | None,
    *,
    refresh: bool,
) -> list[DownloadReport]:
    """Take a folder's candles, once or until Ctrl-C; the reports of the last time."""
    from backtest_pipeline.candles.sources.folder_source import FolderSource  # noqa: PLC0415  as above
    from backtest_pipeline.candles.sources.updates import update_folder  # noqa: PLC0415  as above

    source = FolderSource(folder, store.zone, clock)
    if every_s is None:
        return update_folder(store, source, clock, refresh=refresh)
    typer.echo(f"watching {folder.absolute()}; Ctrl-C ends it", err=True)
    reports: list[DownloadReport] = []
    seen: object = None
    with _stopping(stop):
        while not stop.is_set():
            # Nothing can be new where no file has changed and no candle has ended, which they do at minutes.
            now = source.fingerprint(), clock.now_s() // 60
            if now == seen:
                stop.wait(every_s)
                continue
            seen = now
            reports = update_folder(store, source, clock, refresh=refresh)
            _make_anew(store, reports)
            for report in reports:
                if report.rows_new or report.rows_replaced:
                    counts = f"{report.rows_new} new, {report.rows_replaced} replaced"
                    typer.echo(f"{report.symbol} {report.timeframe}: {counts}", err=True)
                elif report.error:
                    typer.echo(f"{report.symbol} {report.timeframe}: {report.error}", err=True)
            stop.wait(every_s)
    return reports


def _make_anew(store: CandleStore, reports: Sequence[DownloadReport]) -> None:
    """Resample again what was made of candles that have changed."""
    from backtest_pipeline.candles.resampling import resample_again  # noqa: PLC0415  keeps --help quick

    for again in resample_again(store, [report.symbol for report in reports if report.state == "updated"]):
        typer.echo(f"{again.symbol} {again.coarse}: made anew of {again.fine}, {again.rows} bars", err=True)


def _clock() -> tuple[Clock, threading.Event]:
    """This machine's time, and what ends every sleep by `DownloadStopped`."""
    from backtest_pipeline.candles.sources.market_data import stoppable_clock  # noqa: PLC0415  as above

    stop = threading.Event()
    return stoppable_clock(time.time, stop), stop


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C end the requests that wait, so that what was fetched is stored and no lock stays."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _opener(store: CandleStore, clock: Clock) -> Callable[[str], MarketDataSource]:
    from backtest_pipeline.candles.sources.updates import open_source  # noqa: PLC0415  keeps --help quick

    urls = get_settings().exchange_hosts
    return lambda name: open_source(name, store, clock, urls)


def _local_ms(store: CandleStore, moment: datetime | None) -> int | None:
    """A moment of the command line, local to the store's zone, in milliseconds since 1970."""
    return None if moment is None else span_of(moment, None, store.zone).first_us // 1_000


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _tell(reports: Sequence[DownloadReport], *, as_json: bool) -> None:
    """Print what was done; exit status 1 where a series failed."""
    if as_json:
        print_json([asdict(report) for report in reports])
    else:
        show_rows([_cells(report) for report in reports])
        for report in reports:
            for line in _lines(report):
                typer.echo(f"{report.symbol} {report.timeframe}: {line}", err=True)
    if any(report.state == "failed" for report in reports):
        raise typer.Exit(1)


def _cells(report: DownloadReport) -> dict[str, Any]:
    row = {name: value for name, value in asdict(report).items() if name not in _UNSHOWN}
    return row | {"market": f"{report.market} of {report.source}"}


def _lines(report: DownloadReport) -> list[str]:
    verb = "replaced by" if report.rows_replaced else "kept, though the exchange now gives"
    changes = [
        f"{change.column} of {cell(change.at)}: {change.stored!r} {verb} {change.given!r}"
        for change in report.changes
    ]
    if report.rows_differing:
        changes.append("add --refresh to take what the exchange gives now")
    return [*changes, *report.remarks, *([report.error] if report.error else [])]
