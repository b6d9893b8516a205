"""Candles from a pandas frame as people have it: usual names in any case, times in a column or the index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from backtest_pipeline.candles.formats.column_names import (
    ALIASES,
    SERIES_NAMES,
    TIMES,
    short_name,
    zoned_name,
)
from backtest_pipeline.candles.formats.columns import day_and_clock
from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.errors import CandlesInvalid
from backtest_pipeline.model.frame_columns import moments_of, numbers_of, refuse_levels
from backtest_pipeline.model.span import zone_of
from backtest_pipeline.model.time_grid import grid_fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe

_SOURCE = "the frame given"


def candles_of_frame(
    frame: pd.DataFrame, symbol: str, timeframe: Timeframe, timezone: str = "UTC"
) -> Candles:
    """Make checked candles of a frame; rows may come newest first, and further columns are ignored.

    Args:
        frame: one row a bar. Columns are found by their usual names in any case, as those of files are;
            times are a column, or the index where no column has such a name: moments, numbers since 1970, or
            text in ISO 8601. Of a frame with columns of several symbols, as yfinance makes it, this symbol's
            are taken.
        symbol: the candles' symbol.
        timeframe: the candles' timeframe.
        timezone: what a time without a zone means.

    Raises:
        CandlesInvalid: a column is missing, a time cannot be read, bars are of another length, or a row
            breaks a rule of candles.
    """
    frame = _of_symbol(frame, symbol)
    refuse_levels(frame, symbol, _SOURCE)
    _refuse_several_series(frame, symbol)
    stamps, zone = _times(frame, symbol)
    timestamp = moments_of(stamps, symbol, zone_of(zone or timezone), _SOURCE)
    columns: dict[str, NDArray[Any]] = {"timestamp": timestamp}
    for name in CANDLE_COLUMNS[1:]:
        found = _named(frame, ALIASES[name])
        if found is not None:
            columns[name] = numbers_of(frame[found], symbol, str(found), _SOURCE)
    if len(timestamp) > 1 and timestamp[0] > timestamp[-1]:
        columns = {name: column[::-1] for name, column in columns.items()}
    missing = [name for name in CANDLE_COLUMNS if name not in columns]
    if missing:
        has = ", ".join(map(str, frame.columns)) or "none"
        raise CandlesInvalid(symbol, f"it has no column for {', '.join(missing)}, but {has}", source=_SOURCE)
    candles = Candles.from_arrays(symbol, timeframe, columns, source=_SOURCE)
    if fault := grid_fault(candles.timestamp, timeframe):
        problem = f"{fault.problem}; say which they are, as in timeframe='1h'"
        raise CandlesInvalid(symbol, problem, source=_SOURCE)
    return candles


def _of_symbol(frame: pd.DataFrame, symbol: str) -> pd.DataFrame:
    """The columns of one symbol, of a frame whose columns have two levels."""
    if frame.columns.nlevels != 2:
        return frame
    for level in (0, 1):
        known = {str(name).upper(): name for name in frame.columns.get_level_values(level)}
        if symbol in known:
            return pd.DataFrame(frame.xs(known[symbol], axis="columns", level=level))
    for level in (0, 1):
        if frame.columns.get_level_values(level).nunique() == 1:
            return frame.droplevel(level, axis="columns")
    return frame


def _refuse_several_series(frame: pd.DataFrame, symbol: str) -> None:
    """Refuse rows of several symbols (markets, intervals …), of which each would follow the other."""
    for at, name in enumerate(frame.columns):
        if short_name(str(name)) in SERIES_NAMES:
            values = frame.iloc[:, at].dropna().astype(str).unique()
            if len(values) > 1:
                shown = ", ".join(values[:8])
                problem = f"the column {str(name)!r} has {len(values)} values ({shown})"
                cure = f"take the rows of one of them, as frame[frame[{str(name)!r}] == {values[0]!r}]"
                raise CandlesInvalid(symbol, f"{problem}; {cure}", source=_SOURCE)


def _named(frame: pd.DataFrame, names: tuple[str, ...]) -> Any:
    """The column whose name comes first among `names`; None where there is none."""
    known = {short_name(str(column)): column for column in reversed(frame.columns)}
    return next((known[name] for name in names if name in known), None)


def _times(frame: pd.DataFrame, symbol: str) -> tuple[pd.Series[Any], str | None]:
    """The column of times and the zone that its name says, or the index."""
    known = {zoned_name(str(column))[0]: column for column in reversed(frame.columns)}
    for name in TIMES:
        if name in known:
            if two := day_and_clock(list(known), name):
                day, clock = (list(known.values())[at] for at in two)
                joined = f"frame[{day!r}].astype(str) + ' ' + frame[{clock!r}].astype(str)"
                problem = f"its times are in two columns; join them, as frame['timestamp'] = {joined}"
                raise CandlesInvalid(symbol, problem, source=_SOURCE)
            column = known[name]
            return frame[column], zoned_name(str(column))[1]
    if isinstance(frame.index, pd.RangeIndex):
        problem = "it has no times; name their column `timestamp`, or make them its index"
        raise CandlesInvalid(symbol, problem, source=_SOURCE)
    return pd.Series(frame.index), zoned_name(str(frame.index.name or ""))[1]
