"""`backtest candles`: bring candles into the store, see what is there, check it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
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
    years_cell,
)
from backtest_pipeline.cli.commands.download_commands import download_markets, update
from backtest_pipeline.cli.commands.resample_command import resample_symbols
from backtest_pipeline.cli.output import Json, print_json
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe

if TYPE_CHECKING:
    from backtest_pipeline.candles.importer import ImportReport
    from backtest_pipeline.model.gaps import Gaps

candles_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Bring candles into the store, list them, check them."
)


@candles_app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(help="A CSV, JSON, Parquet or Feather file.", exists=True, dir_okay=False)
    ],
    symbol: Annotated[str, typer.Option(help="What the candles are of, e.g. AAPL.")],
    timeframe: Annotated[
        str, typer.Option(help=f"Length of a bar: {', '.join(TIMEFRAMES)}.", callback=known_timeframe)
    ],
    *,
    adjust: Annotated[
        bool, typer.Option("--adjust", help="Scale prices and volume to the adjusted close.")
    ] = False,
    calendar: Annotated[
        str | None,
        typer.Option(help="When the market is open, recorded for the symbol: 24/7, or an MIC as XKRX."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the text, e.g. cp949.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Their names in order, where the file has none; _ skips one.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="The one symbol to take from a file of several.")] = None,
    decimal: Annotated[str | None, typer.Option(help="The decimal sign, . or , where it is unclear.")] = None,
    date_format: Annotated[
        str | None, typer.Option(help="Of dates that can be read in two ways, e.g. %d/%m/%y.")
    ] = None,
    no_volume: Annotated[
        bool, typer.Option("--no-volume", help="Store 0 where the file has no volume.")
    ] = False,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Import candles from a file; what is there at the same time is replaced."""
    from backtest_pipeline.candles.formats.read_options import ReadOptions  # noqa: PLC0415  as above
    from backtest_pipeline.candles.importer import import_candles  # noqa: PLC0415  keeps --help quick

    names = tuple(name.strip() for name in columns.split(",")) if columns else ()
    options = ReadOptions(encoding, names, only, decimal, date_format, no_volume=no_volume)
    store = opened_store(data_root)
    tell_store(store, as_json=as_json)
    report = import_candles(
        store, file, symbol, cast(Timeframe, timeframe), adjust, options, calendar=calendar
    )
    if as_json:
        print_json(asdict(report))
    else:
        _show_imports([report])


candles_app.command("download")(download_markets)
candles_app.command("update")(update)
candles_app.command("resample")(resample_symbols)


@candles_app.command("demo")
def demo(data_root: DataRoot = None, *, as_json: Json = False) -> None:
    """Import the demo candles: AAPL, IBM, MSFT, GOOG and FB by day, adjusted."""
    from backtest_pipeline.candles.demo import import_demo  # noqa: PLC0415  keeps --help quick

    store = opened_store(data_root)
    tell_store(store, as_json=as_json)
    reports = import_demo(store)
    if as_json:
        print_json([asdict(report) for report in reports])
    else:
        _show_imports(reports)


@candles_app.command("list")
def list_candles(data_root: DataRoot = None, *, as_json: Json = False) -> None:
    """List what the store has."""
    from backtest_pipeline.cli.calendar_cells import calendar_facts  # noqa: PLC0415  keeps --help quick

    store = opened_store(data_root)
    tell_store(store, as_json=as_json)
    listings = [asdict(listing) | calendar_facts(store, listing) for listing in store.inventory()]
    if as_json:
        print_json(listings)
    elif listings:
        show_rows(listings)
    else:
        typer.echo("no candles yet; see `backtest candles import --help`")


@candles_app.command("check")
def check(
    symbols: Annotated[list[str] | None, typer.Argument(help="These only; otherwise all.")] = None,
    data_root: DataRoot = None,
    *,
    as_json: Json = False,
) -> None:
    """Read and validate every file of the store and report gaps; exit status 1 where one is faulty."""
    from backtest_pipeline.candles.store_check import check_store  # noqa: PLC0415  keeps --help quick

    store = opened_store(data_root)
    tell_store(store, as_json=as_json)
    reports = list(check_store(store, symbols or []))
    faults = [fault for report in reports for fault in report.faults]
    if as_json:
        print_json([asdict(report) for report in reports])
    elif reports:
        counts = [asdict(report) | {"faults": len(report.faults)} for report in reports]
        if not any(report.rows_partial for report in reports):
            counts = [{name: row[name] for name in row if name != "rows_partial"} for row in counts]
        show_rows([row | _gap_cells(report.gaps) for row, report in zip(counts, reports, strict=True)])
        for fault in faults:
            typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)


def _show_imports(reports: Sequence[ImportReport]) -> None:
    rows = [
        asdict(report) | {"years": years_cell(report.years)} | _gap_cells(report.gaps) for report in reports
    ]
    show_rows([{name: cell for name, cell in row.items() if name != "assumptions"} for row in rows])
    for report in reports:
        for sentence in report.assumptions:
            typer.echo(f"assumed: {sentence}", err=True)


def _gap_cells(gaps: Gaps) -> dict[str, Any]:
    if not gaps.count:
        return {"gaps": 0, "largest gap": ""}
    around = f"{cell(gaps.largest_from)} to {cell(gaps.largest_to)}, {gaps.largest_bars} bars"
    missing = f"; without {', '.join(gaps.missing_sessions)}" if gaps.missing_sessions else ""
    return {"gaps": gaps.count, "largest gap": around + missing}
