"""What the commands on candles share: the store, and tables of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from backtest_pipeline.cli.output import print_table
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.timeframe import TIMEFRAMES
from backtest_pipeline.settings import get_settings

if TYPE_CHECKING:
    from backtest_pipeline.candles.store import CandleStore

DataRoot = Annotated[Path | None, typer.Option(help="The store's folder; otherwise DATA_ROOT.")]


def known_timeframe(text: str) -> str:
    """A timeframe as an option's value; refuses what is none."""
    if text not in TIMEFRAMES:
        near = did_you_mean(text, TIMEFRAMES)
        raise typer.BadParameter(f"there is no {text!r}{near}; choose one of {', '.join(TIMEFRAMES)}")
    return text


def opened_store(data_root: Path | None) -> CandleStore:
    """The store of a folder, or of the settings."""
    from backtest_pipeline.candles.store import CandleStore  # noqa: PLC0415  keeps --help quick

    settings = get_settings()
    return CandleStore(data_root or settings.data_root, settings.candle_timezone)


def tell_store(store: CandleStore, *, as_json: bool) -> None:
    """Say which folder is read or written, on stderr; a script that wants JSON has given or knows it."""
    if not as_json:
        typer.echo(f"store: {store.layout.data_root.absolute()}", err=True)


def show_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table of rows that have the same names, its columns in their order."""
    numbers = [name for name, value in rows[0].items() if isinstance(value, int)]
    print_table(
        [name.replace("_", " ") for name in rows[0]],
        [[cell(value) for value in row.values()] for row in rows],
        right=[name.replace("_", " ") for name in numbers],
    )


def cell(value: object) -> str:
    """Times are shown in the store's time zone, midnights as dates."""
    if isinstance(value, datetime):
        local = value.astimezone(ZoneInfo(get_settings().candle_timezone))
        return local.strftime("%Y-%m-%d" if local.time() == time.min else "%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def years_cell(years: Sequence[int]) -> str:
    """Years for a table: `none`, `2019, 2023` or `2019-2023`."""
    if not years:
        return "none"
    whole = years[-1] - years[0] + 1 == len(years) > 1
    return f"{years[0]}-{years[-1]}" if whole else ", ".join(str(year) for year in years)
