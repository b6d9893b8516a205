"""`backtest candles resample`: longer candles made of shorter ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from backtest_pipeline.cli.candle_cells import (
    DataRoot,
    known_timeframe,
    opened_store,
    show_rows,
    tell_store,
    years_cell,
)
from backtest_pipeline.cli.output import Json, print_json

if TYPE_CHECKING:
    from backtest_pipeline.candles.resampling import ResampleReport
    from backtest_pipeline.model.timeframe import Timeframe


def resample_symbols(
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...", help="Whose candles.")],
    *,
    fine: Annotated[
        str, typer.Option("--from", help="Timeframe of the shorter candles.", callback=known_timeframe)
    ],
    coarse: Annotated[
        str, typer.Option("--to", help="Timeframe of the longer ones.", callback=known_timeframe)
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where there are imported or downloaded ones of it.")
    ] = False,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Make longer candles of shorter ones; `update` makes them anew with the shorter ones."""
    from backtest_pipeline.candles.resampling import resample  # noqa: PLC0415  keeps --help quick

    store = opened_store(data_root)
    tell_store(store, as_json=as_json)
    names = cast("tuple[Timeframe, Timeframe]", (fine, coarse))
    reports = [resample(store, symbol, *names, replace=replace) for symbol in symbols]
    if as_json:
        print_json([asdict(report) for report in reports])
    else:
        show_resampled(reports)


def show_resampled(reports: list[ResampleReport]) -> None:
    """Print a line for each, and which bars lack shorter ones below."""
    rows = [asdict(report) | {"years": years_cell(report.years)} for report in reports]
    show_rows([{name: value for name, value in row.items() if name != "assumptions"} for row in rows])
    for report in reports:
        for sentence in report.assumptions:
            typer.echo(f"assumed: {sentence}", err=True)
        if report.rows_partial:
            lack = (
                f"{report.rows_partial} bars lack {report.fine} candles; `backtest candles check` counts them"
            )
            typer.echo(f"{report.symbol} {report.coarse}: {lack}", err=True)
