"""Looking through the whole store for faults and gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.candles.merge import check_year
from backtest_pipeline.candles.resampling import partial_bars
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.candles.year_file import check_files_in_order
from backtest_pipeline.model.errors import CandlesError, CandlesInvalid, SymbolsUnknown
from backtest_pipeline.model.gaps import Gaps
from backtest_pipeline.model.time_grid import grid_fault
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.candles.year_file import CandleFile, CandleRows


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of one symbol in one timeframe found.

    Attributes:
        files: year files looked at.
        rows: candles in the files without a fault.
        faults: what is wrong, by file; empty where all is well.
        gaps: between the candles of the files without a fault.
        rows_partial: resampled bars that lack some of the shorter ones of which they were made.
    """

    symbol: str
    timeframe: Timeframe
    files: int
    rows: int
    faults: tuple[str, ...]
    gaps: Gaps
    rows_partial: int = 0


def check_store(store: CandleStore, symbols: Sequence[str] = ()) -> Iterator[CheckReport]:
    """Reads and validates every file, going on after a faulty one.

    Args:
        store: to look through.
        symbols: these only; empty: all of them.

    Yields:
        A report for each symbol and timeframe that the store has.

    Raises:
        SymbolsUnknown: naming all symbols that the store lacks in every timeframe.
    """
    known = {listed for timeframe in TIMEFRAMES for listed in store.symbols(timeframe)}
    unknown = [symbol for symbol in symbols if symbol not in known]
    if unknown:
        raise SymbolsUnknown(unknown, "", sorted(known))
    for symbol in dict.fromkeys(symbols) or sorted(known):
        for timeframe in TIMEFRAMES:
            if files := store.files(symbol, timeframe):
                yield _report(store, symbol, timeframe, files)


def _report(
    store: CandleStore, symbol: str, timeframe: Timeframe, files: dict[int, CandleFile]
) -> CheckReport:
    good: list[CandleRows] = []
    faults = []
    calendar = None
    try:
        record = store.record(symbol)
        calendar = record.calendar if record else None
    except CandlesError as fault:
        faults.append(str(fault))
    for year, file in files.items():
        try:
            rows = file.read()
            if len(rows):
                check_year(file, year, file.extent())
                if good:
                    check_files_in_order(symbol, good[-1], rows)
                good.append(rows)
        except CandlesError as fault:
            faults.append(str(fault))
    timestamp = np.concatenate([rows.timestamp for rows in good]) if good else np.empty(0, "datetime64[us]")
    faults += _grid_faults(symbol, timeframe, good, timestamp)
    gaps = store.gaps_of(timestamp, timeframe, calendar)
    partial = 0
    try:
        partial = len(partial_bars(store, symbol, timeframe))
    except CandlesError as fault:
        faults.append(str(fault))
    return CheckReport(symbol, timeframe, len(files), len(timestamp), tuple(faults), gaps, partial)


def _grid_faults(
    symbol: str, timeframe: Timeframe, good: list[CandleRows], timestamp: NDArray[np.datetime64]
) -> list[str]:
    """The first open that is not on the timeframe's grid, with its file and row."""
    fault = grid_fault(timestamp, timeframe)
    if not fault:
        return []
    if fault.row is None:
        return [str(CandlesInvalid(symbol, fault.problem, source=good[0].path.parent))]
    ends = np.cumsum([len(rows) for rows in good])
    at = int(np.searchsorted(ends, fault.row, side="right"))
    row = fault.row - int(ends[at]) + len(good[at])
    return [str(CandlesInvalid(symbol, fault.problem, source=good[at].path, row=row))]
