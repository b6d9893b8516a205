"""A pandas frame's times and numbers as candles hold them, or refused with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from backtest_pipeline.model.epochs import epoch_us
from backtest_pipeline.model.errors import CandlesInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_OFFSET = r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})$"


def columns_of(
    frame: pd.DataFrame, names: Sequence[str], symbol: str, source: str
) -> dict[str, NDArray[Any]]:
    """The columns of these names as arrays; `timestamp` may be the index, and is in UTC without a zone.

    Raises:
        CandlesInvalid: this is no frame, it has none or two of a column, or one that cannot be read.
    """
    if not isinstance(frame, pd.DataFrame):
        problem = f"give a pandas frame with the columns {', '.join(names)}, not {type(frame).__name__}"
        raise CandlesInvalid(symbol, problem, source=source)
    refuse_levels(frame, symbol, source)
    if "timestamp" not in frame.columns and not isinstance(frame.index, pd.RangeIndex):
        frame = frame.rename_axis("timestamp").reset_index()
    missing = [name for name in names if name not in frame.columns]
    if missing:
        has = ", ".join(map(str, frame.columns)) or "none"
        problem = f"missing columns: {', '.join(missing)}; rename those that it has ({has})"
        raise CandlesInvalid(symbol, problem, source=source)
    twice = [name for name in names if isinstance(frame[name], pd.DataFrame)]
    if twice:
        raise CandlesInvalid(symbol, f"it has {' and '.join(twice)} twice; drop one", source=source)
    return {
        name: moments_of(frame[name], symbol, ZoneInfo("UTC"), source)
        if name == "timestamp"
        else numbers_of(frame[name], symbol, name, source)
        for name in names
    }


def refuse_levels(frame: pd.DataFrame, symbol: str, source: str) -> None:
    """Refuse an index of several levels, as of days and symbols.

    Raises:
        CandlesInvalid: with the cure.
    """
    if frame.index.nlevels > 1:
        names = ", ".join(str(name) for name in frame.index.names)
        problem = (
            f"its index has several levels ({names}); take the rows of one symbol, as frame.xs({symbol!r})"
        )
        raise CandlesInvalid(symbol, problem, source=source)


def moments_of(stamps: pd.Series[Any], symbol: str, zone: ZoneInfo, source: str) -> NDArray[np.datetime64]:
    """Read moments, numbers since 1970 by their size, or text in ISO 8601 as `datetime64[us]` in UTC.

    Args:
        stamps: one a row.
        symbol: for messages.
        zone: what a time without a zone means.
        source: where the frame comes from, for messages.

    Raises:
        CandlesInvalid: a time is missing or cannot be read.
    """

    def fault(problem: str, row: int | None) -> CandlesInvalid:
        return CandlesInvalid(symbol, problem, source=source, row=row)

    if stamps.isna().any():
        raise fault("there is no time", int(stamps.isna().to_numpy().argmax()))
    if pd.api.types.is_numeric_dtype(stamps) and len(stamps):
        numbers = stamps.to_numpy(dtype=np.float64)
        whole = stamps.to_numpy(dtype=np.int64) if pd.api.types.is_integer_dtype(stamps) else None
        return epoch_us(numbers, whole, fault, lambda _: None).astype("datetime64[us]")
    try:
        read = _read(stamps)
        if read.dt.tz is None:
            read = read.dt.tz_localize(zone)
        moments: NDArray[np.datetime64] = (
            read.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
        )
    except (ValueError, TypeError, AttributeError) as error:  # of pandas, for text and for clock changes
        reason = str(error).partition(". ")[0]
        problem = f"its times cannot be read ({reason}); convert them first, with pandas.to_datetime"
        raise CandlesInvalid(symbol, problem, source=source) from error
    return moments


def numbers_of(column: pd.Series[Any], symbol: str, name: str, source: str) -> NDArray[np.float64]:
    """A column of numbers as float64.

    Raises:
        CandlesInvalid: it holds what is no number.
    """
    try:
        return column.to_numpy(dtype=np.float64)
    except (ValueError, TypeError) as error:
        problem = f"{name} holds what is no number: {error}; convert it first, with pandas.to_numeric"
        raise CandlesInvalid(symbol, problem, source=source) from error


def _read(stamps: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_datetime64_any_dtype(stamps):
        return stamps
    texts = stamps.map(lambda stamp: isinstance(stamp, str)).all()
    # Where clocks change, a market's times have two offsets, which pandas takes for two zones.
    zoned = bool(texts and stamps.str.contains(_OFFSET).all())
    return pd.to_datetime(stamps, format="ISO8601", utc=zoned)
