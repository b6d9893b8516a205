"""Importing candles from files and tables into the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from backtest_pipeline.candles.formats.file_reader import AS_READ, read_source
from backtest_pipeline.candles.formats.source_table import CandleSource
from backtest_pipeline.candles.merge import merge_candles
from backtest_pipeline.candles.symbol_record import write_record
from backtest_pipeline.candles.year_file import VALUE_COLUMNS
from backtest_pipeline.model.candle_rules import moment_label
from backtest_pipeline.model.gaps import Gaps
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.span import moment_of
from backtest_pipeline.model.time_grid import grid_fault
from backtest_pipeline.model.timeframe import Timeframe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.candles.formats.read_options import ReadOptions
    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.candles.year_file import Columns


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import read and what it changed.

    Attributes:
        rows_read: rows of the source, repeated ones included.
        rows_new: candles that the store did not have.
        rows_replaced: candles that the store had with other values.
        years: year files written, oldest first; none where the store had everything.
        first, last: open times of the source's first and last candle, UTC.
        gaps: within the source's candles.
        assumptions: what the file does not say and was taken for granted, a sentence each.
    """

    symbol: str
    timeframe: Timeframe
    rows_read: int
    rows_new: int
    rows_replaced: int
    years: tuple[int, ...]
    first: datetime
    last: datetime
    gaps: Gaps
    assumptions: tuple[str, ...] = ()


def import_candles(
    store: CandleStore,
    path: str | Path,
    symbol: str,
    timeframe: Timeframe,
    adjust: bool = False,
    options: ReadOptions = AS_READ,
    *,
    calendar: str | None = None,
) -> ImportReport:
    """Imports a file of text, JSON, Parquet or Feather; see `import_table`.

    Args:
        store: where the candles go.
        path: the file.
        symbol: the candles' symbol.
        timeframe: the candles' timeframe.
        adjust: as `import_table`.
        options: what the file does not say itself.
        calendar: as `import_table`.

    Raises:
        CandleFileUnreadable: the file is none of these, or damaged.
        CandlesInvalid: as `import_table`.
    """
    store.files(symbol, timeframe)  # refuses what is no symbol or timeframe before reading anything
    record = store.record_with(symbol, calendar)
    source = read_source(Path(path), symbol, store.zone, options)
    return _imported(store, source, timeframe, adjust=adjust, record=record)


def import_table(
    store: CandleStore,
    table: pa.Table,
    symbol: str,
    timeframe: Timeframe,
    *,
    adjust: bool = False,
    source: str = "table",
    calendar: str | None = None,
) -> ImportReport:
    """Imports a table of candles.

    Rows may come in any order and repeat; imported candles replace the store's of the same time. The same
    import again changes no file. Nothing is written if any row is bad.

    Args:
        store: where the candles go.
        table: its columns are found by their usual names, whatever their case.
        symbol: the candles' symbol.
        timeframe: the candles' timeframe.
        adjust: scale prices and volume to the adjusted close, see `CandleSource.columns`.
        source: where the table comes from, for messages.
        calendar: recorded as the symbol's, `24/7` or an exchange's MIC; `None`: what is recorded stays.

    Raises:
        CandlesInvalid: a column is missing, a row breaks a rule, two rows of one time differ, there are
            several symbols, or the opens are not on the timeframe's grid.
        CandlesError: a year of the store that must be merged cannot be used.
        RequestInvalid: this is no symbol, timeframe or calendar.
    """
    store.files(symbol, timeframe)
    record = store.record_with(symbol, calendar)
    rows = CandleSource(symbol, source, store.zone, table).of_one_series()
    return _imported(store, rows, timeframe, adjust=adjust, record=record)


def _imported(
    store: CandleStore,
    source: CandleSource,
    timeframe: Timeframe,
    *,
    adjust: bool,
    record: SymbolRecord | None,
) -> ImportReport:
    source = source.with_prices()
    columns, rows = _sorted_unique(source, source.columns(adjust=adjust))
    timestamp = columns["timestamp"]
    if fault := grid_fault(timestamp, timeframe):
        raise source.fault(fault.problem, None if fault.row is None else int(rows[fault.row]))
    merged = merge_candles(store, source.symbol, timeframe, columns)
    if record is not None:
        write_record(store.layout, source.symbol, record)
    return ImportReport(
        source.symbol,
        timeframe,
        rows_read=source.table.num_rows,
        rows_new=merged.rows_new,
        rows_replaced=merged.rows_replaced,
        years=merged.years,
        first=moment_of(timestamp[0].astype(np.int64)),
        last=moment_of(timestamp[-1].astype(np.int64)),
        gaps=store.gaps_of(timestamp, timeframe, record.calendar if record else None),
        assumptions=tuple(source.assumptions),
    )


def _sorted_unique(source: CandleSource, columns: Columns) -> tuple[Columns, NDArray[np.int64]]:
    """Sorted rows, none twice, and where each stood; two rows of one time that differ are refused."""
    order = np.argsort(columns["timestamp"], kind="stable")
    rows = {name: column[order] for name, column in columns.items()}
    again = np.zeros(len(order), dtype=np.bool_)
    again[1:] = rows["timestamp"][1:] == rows["timestamp"][:-1]
    for name in VALUE_COLUMNS:
        differs = again.copy()
        differs[1:] &= rows[name][1:] != rows[name][:-1]
        if differs.any():
            row = int(np.argmax(differs))
            raise source.fault(
                f"{name} is {rows[name][row]}, but {rows[name][row - 1]} "
                f"in {source.place(int(order[row - 1]))} of the same time, "
                f"{moment_label(rows['timestamp'][row])}",
                int(order[row]),
            )
    return {name: column[~again] for name, column in rows.items()}, order[~again]
