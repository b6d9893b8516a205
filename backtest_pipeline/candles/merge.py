"""Putting candles into the store: one writer at a time, no half-written year."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.candles.year_file import VALUE_COLUMNS, parquet_bytes
from backtest_pipeline.model.candle_rules import moment_label
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import CandlesInvalid
from backtest_pipeline.model.span import FARTHEST_OFFSET_US, moment_of, year_of, year_start_us
from backtest_pipeline.model.time_grid import off_grid
from backtest_pipeline.storage.atomic import fsync_folder, make_folder_durably, write_and_sync
from backtest_pipeline.storage.locks import file_lock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.candles.year_file import CandleFile, Columns, Extent
    from backtest_pipeline.model.timeframe import Timeframe


MOST_CHANGES = 20


@dataclass(frozen=True, slots=True)
class CandleChange:
    """A value in which a candle differs from the one that the store has at its time."""

    at: datetime
    column: str
    stored: float
    given: float


@dataclass(frozen=True, slots=True)
class Merged:
    """What putting candles into the store changed.

    Attributes:
        rows_new: candles at times of which the store had none.
        rows_replaced: candles that differ from what the store had at their time, and took its place.
        years: files written, oldest first.
        rows_kept: candles that differ from what the store had at their time, which stayed.
        changes: in which values those two kinds differ, at most `MOST_CHANGES` of them.
    """

    rows_new: int
    rows_replaced: int
    years: tuple[int, ...]
    rows_kept: int = 0
    changes: tuple[CandleChange, ...] = ()


def merge_candles(
    store: CandleStore, symbol: str, timeframe: Timeframe, columns: Columns, *, replace: bool = True
) -> Merged:
    """Adds candles; one at a time that the store has already takes its place, or is only reported.

    A candle goes into the file of its year in UTC, unless a file that was cut by local years already
    reaches over it. A year without a change is not written. All years are written beside their targets
    first; then each replaces its target in one step. After a crash every year is whole, old or new, and a
    repeated call does the rest.

    Args:
        store: to which the candles are added.
        symbol: their symbol.
        timeframe: their timeframe.
        columns: checked candles, at least one, sorted, unique.
        replace: whether a candle that differs from the store's takes its place.

    Raises:
        CandlesError: a file that must be merged cannot be used, or the candles do not fit those in it;
            nothing is changed.
    """
    folder = store.layout.timeframe_folder(symbol, timeframe)
    make_folder_durably(folder)
    with _only_writer(folder):
        for leftover in folder.glob(".*.parquet.tmp"):
            leftover.unlink()
        files = store.files(symbol, timeframe)
        rows_new, rows_differing = 0, 0
        changes: list[CandleChange] = []
        changed: dict[int, bytes] = {}
        for year, rows in _rows_by_year(symbol, files, columns["timestamp"].view(np.int64)):
            new = {name: column[rows] for name, column in columns.items()}
            old = files[year].read().columns if year in files else {name: new[name][:0] for name in new}
            merged, added, differing = _merged(old, new, changes, replace=replace)
            if added and len(old["timestamp"]):
                _refuse_misfits(files[year], timeframe, old, new, merged)
            rows_new, rows_differing = rows_new + added, rows_differing + differing
            if added or (differing and replace):
                changed[year] = parquet_bytes(merged)
        _publish({store.file(symbol, timeframe, year).path: data for year, data in changed.items()})
    rows_replaced, rows_kept = (rows_differing, 0) if replace else (0, rows_differing)
    return Merged(rows_new, rows_replaced, tuple(changed), rows_kept, tuple(changes[:MOST_CHANGES]))


def _refuse_misfits(
    file: CandleFile, timeframe: Timeframe, old: Columns, new: Columns, merged: Columns
) -> None:
    """Refuses candles on a grid of their own: imported in another time zone, or still in progress."""
    fault = off_grid(merged["timestamp"], timeframe)
    if fault and not off_grid(old["timestamp"], timeframe) and not off_grid(new["timestamp"], timeframe):
        problem = f"the file's candles and the store's do not fit together: {fault.problem}"
        cure = "where CANDLE_TIMEZONE was another, delete the folder and import again"
        raise CandlesInvalid(file.symbol, f"{problem}; {cure}", source=file.path)


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    with file_lock(folder / ".lock", f"writing candles to {folder}"):
        yield


def _publish(files: dict[Path, bytes]) -> None:
    staged = {path.with_name(f".{path.name}.tmp"): path for path in files}
    try:
        for tmp, path in staged.items():
            write_and_sync(tmp, files[path])
        for tmp, path in staged.items():
            tmp.replace(path)
    finally:
        for tmp in staged:
            tmp.unlink(missing_ok=True)
    for folder in {path.parent for path in files}:
        fsync_folder(folder)


def _rows_by_year(
    symbol: str, files: dict[int, CandleFile], moments_us: NDArray[np.int64]
) -> Iterator[tuple[int, slice]]:
    """Yields each year with its part of the sorted rows, so that the files stay in order."""
    first = year_of(int(moments_us[0]) - FARTHEST_OFFSET_US)
    last = year_of(int(moments_us[-1]) + FARTHEST_OFFSET_US)
    near = {year: file for year, file in files.items() if first - 1 <= year <= last}
    extents = {year: extent for year, file in near.items() if (extent := file.extent()).rows}
    for year, extent in extents.items():
        check_year(near[year], year, extent)
    years = list(range(first, last + 1))
    begins = np.searchsorted(moments_us, [_first_us(symbol, year, files, extents) for year in years])
    for year, begin, stop in zip(years, begins, [*begins[1:], len(moments_us)], strict=True):
        if begin < stop:
            yield year, slice(int(begin), int(stop))


def check_year(file: CandleFile, year: int, extent: Extent) -> None:
    """Refuses a file whose candles are of another year, in UTC and in every time zone.

    Raises:
        CandlesInvalid: naming the file and its first or last candle.
    """
    begin = year_start_us(year) - FARTHEST_OFFSET_US
    end = year_start_us(year + 1) + FARTHEST_OFFSET_US
    for moment_us in (extent.first_us, extent.last_us):
        if not begin <= moment_us < end:
            stray = moment_label(np.datetime64(moment_us, "us"))
            problem = f"the file of {year} holds a candle of {stray}"
            raise CandlesInvalid(file.symbol, problem, source=file.path)


def _first_us(symbol: str, year: int, files: dict[int, CandleFile], extents: dict[int, Extent]) -> int:
    """Where the file of a year begins: the new year in UTC, or where its rows or its neighbour's say."""
    begin = year_start_us(year)
    own, before = extents.get(year), extents.get(year - 1)
    if own and before and own.first_us <= before.last_us:
        problem = f"{files[year - 1].path.name} and {files[year].path.name} overlap"
        raise CandlesInvalid(symbol, problem, source=files[year].path)
    if own and own.first_us < begin:
        return own.first_us
    if before and before.last_us >= begin:
        return before.last_us + 1
    return begin


def _merged(
    old: Columns, new: Columns, changes: list[CandleChange], *, replace: bool
) -> tuple[Columns, int, int]:
    """All rows of both, how many of `new` were added, and how many differ; where both have one, `new`'s."""
    at = np.searchsorted(old["timestamp"], new["timestamp"])
    there = at < len(old["timestamp"])
    there[there] = old["timestamp"][at[there]] == new["timestamp"][there]
    stored = at[there]
    differs = np.zeros(len(stored), dtype=np.bool_)
    for name in VALUE_COLUMNS:
        differs |= old[name][stored] != new[name][there]
    changes += _changes(old, stored[differs], new, np.flatnonzero(there)[differs])
    kept, taken = np.ones(len(old["timestamp"]), dtype=np.bool_), np.ones(len(there), dtype=np.bool_)
    if replace:
        kept[stored] = False
    else:
        taken = ~there
    rows = {name: np.concatenate([old[name][kept], new[name][taken]]) for name in CANDLE_COLUMNS}
    order = np.argsort(rows["timestamp"], kind="stable")
    merged = {name: column[order] for name, column in rows.items()}
    return merged, int((~there).sum()), int(differs.sum())


def _changes(
    old: Columns, stored: NDArray[np.int64], new: Columns, given: NDArray[np.int64]
) -> list[CandleChange]:
    """The values in which some rows of both differ, of the first of them."""
    return [
        CandleChange(
            moment_of(int(new["timestamp"][after].astype(np.int64))),
            name,
            float(old[name][before]),
            float(new[name][after]),
        )
        for before, after in zip(stored[:MOST_CHANGES], given[:MOST_CHANGES], strict=True)
        for name in VALUE_COLUMNS
        if old[name][before] != new[name][after]
    ]
